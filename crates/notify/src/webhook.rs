//! Where events go. Holds always: the token, and the path of the URL, which often is one, are
//! in no log and no debug output.

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// A receiver of events.
#[derive(Clone)]
pub struct Webhook {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as the request names them.
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) tls: Option<Tls>,
}

/// What an `https` receiver needs.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) name: ServerName<'static>,
}

/// A webhook that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhook {
    /// The URL is not one of `http` or `https` with a host.
    #[error("the webhook's URL is not understood")]
    Url,
    /// The URL holds a name or a password, which would be in every log on the way.
    #[error("the webhook's URL holds a user name")]
    UserInfo,
    /// The token cannot be sent in a header.
    #[error("the webhook's token holds characters that a header cannot")]
    Token,
    /// TLS cannot be set up.
    #[error("TLS for the webhook: {0}")]
    Tls(String),
}

impl Webhook {
    /// From a URL, and the value of the `Authorization` header if there is to be one.
    /// An `https` one is trusted by the system's root certificates.
    pub fn new(url: &str, authorization: Option<&str>) -> Result<Self, BadWebhook> {
        Webhook::trusting(url, authorization, system_roots)
    }

    /// Trusts these certificates instead.
    pub(crate) fn trusting(
        url: &str,
        authorization: Option<&str>,
        roots: impl FnOnce() -> Result<RootCertStore, BadWebhook>,
    ) -> Result<Self, BadWebhook> {
        let url: Uri = url.trim().parse().map_err(|_| BadWebhook::Url)?;
        let authority = url.authority().ok_or(BadWebhook::Url)?;
        if authority.as_str().contains('@') {
            return Err(BadWebhook::UserInfo);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (default_port, secure) = match url.scheme_str() {
            Some("https") => (443, true),
            Some("http") => (80, false),
            _ => return Err(BadWebhook::Url),
        };
        if host.is_empty() {
            return Err(BadWebhook::Url);
        }
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        Ok(Webhook {
            port: authority.port_u16().unwrap_or(default_port),
            authority: authority.to_string(),
            path: path.to_owned(),
            authorization: authorization.map(header).transpose()?,
            tls: if secure {
                Some(tls(&host, roots()?)?)
            } else {
                None
            },
            host,
        })
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("secure", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

fn header(value: &str) -> Result<HeaderValue, BadWebhook> {
    let mut header = HeaderValue::from_str(value.trim()).map_err(|_| BadWebhook::Token)?;
    header.set_sensitive(true);
    Ok(header)
}

fn system_roots() -> Result<RootCertStore, BadWebhook> {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    let (usable, _unusable) = roots.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        let why = "this system has no root certificates (is ca-certificates installed?)";
        return Err(BadWebhook::Tls(why.to_owned()));
    }
    Ok(roots)
}

fn tls(host: &str, roots: RootCertStore) -> Result<Tls, BadWebhook> {
    let failed = |error: rustls::Error| BadWebhook::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| BadWebhook::Url)?;
    Ok(Tls {
        connector: TlsConnector::from(Arc::new(config)),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_follows_the_scheme_unless_it_is_said() {
        let plain = Webhook::new("http://hooks.example/a?b=c", None).expect("a URL");
        assert_eq!((plain.port, plain.path.as_str()), (80, "/a?b=c"));
        let said = Webhook::new("http://[::1]:8080", None).expect("a URL");
        assert_eq!((said.host.as_str(), said.port), ("::1", 8080));
        assert_eq!(said.path, "/");
    }

    #[test]
    fn what_is_no_webhook_is_refused() {
        for url in [
            "",
            "hooks.example",
            "ftp://hooks.example/",
            "/path",
            "http://",
        ] {
            assert_eq!(
                Webhook::new(url, None).err(),
                Some(BadWebhook::Url),
                "{url}"
            );
        }
        let named = Webhook::new("http://me:secret@hooks.example/", None);
        assert_eq!(named.err(), Some(BadWebhook::UserInfo));
        let token = Webhook::new("http://hooks.example/", Some("Bearer a\nb"));
        assert_eq!(token.err(), Some(BadWebhook::Token));
    }

    #[test]
    fn neither_token_nor_path_is_in_the_debug_output() {
        let webhook = Webhook::new("http://hooks.example/services/s3cret", Some("Bearer t0ken"));
        let text = format!("{:?}", webhook.expect("a URL"));
        assert!(text.contains("hooks.example"), "{text}");
        assert!(
            !text.contains("s3cret") && !text.contains("t0ken"),
            "{text}"
        );
    }
}
