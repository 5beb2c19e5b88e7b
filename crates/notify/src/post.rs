//! One request: a connection, a JSON body, the status of the answer. Redirects are not
//! followed: they would take the token somewhere else.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::limits::ATTEMPT_WITHIN;
use crate::webhook::Webhook;

/// Why an event did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// The receiver answered that it does not want it: the same again would change nothing.
    #[error("the receiver answered {0}")]
    Refused(StatusCode),
    /// The receiver cannot take it now.
    #[error("the receiver answered {0}")]
    Busy(StatusCode),
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// No answer in time.
    #[error("no answer within {} s", ATTEMPT_WITHIN.as_secs())]
    Silent,
}

impl PostError {
    /// Whether doing it again may help.
    pub(crate) fn may_retry(&self) -> bool {
        !matches!(self, PostError::Refused(_))
    }
}

/// Sends a body, and waits for the answer's status.
pub(crate) async fn post(webhook: &Webhook, body: Bytes) -> Result<(), PostError> {
    let posted = tokio::time::timeout(ATTEMPT_WITHIN, attempt(webhook, body));
    let status = posted.await.map_err(|_| PostError::Silent)??;
    if status.is_success() {
        return Ok(());
    }
    let later = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    Err(if later {
        PostError::Busy(status)
    } else {
        PostError::Refused(status)
    })
}

async fn attempt(webhook: &Webhook, body: Bytes) -> Result<StatusCode, PostError> {
    let broken = |error: std::io::Error| PostError::Broken(error.to_string());
    let tcp = TcpStream::connect((webhook.host.as_str(), webhook.port));
    let tcp = tcp.await.map_err(broken)?;
    match &webhook.tls {
        None => exchange(tcp, webhook, body).await,
        Some(tls) => {
            let secured = tls.connector.connect(tls.name.clone(), tcp);
            exchange(secured.await.map_err(broken)?, webhook, body).await
        }
    }
}

async fn exchange<S>(stream: S, webhook: &Webhook, body: Bytes) -> Result<StatusCode, PostError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| PostError::Broken(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let mut request = Request::post(webhook.path.as_str())
        .header(HOST, webhook.authority.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("trunkline/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = &webhook.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request
        .body(Full::new(body))
        .map_err(|error| PostError::Broken(error.to_string()))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        // Nobody reads the answer's body; the connection goes with it.
        Ok(answer.status())
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection ended; an answer that came before lies ready.
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    fn certificate(folder: &Path) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let (key, certificate) = (folder.join("key"), folder.join("certificate"));
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=receiver",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
        (
            CertificateDer::from_pem_file(certificate).expect("openssl wrote it"),
            PrivateKeyDer::from_pem_file(key).expect("openssl wrote it"),
        )
    }

    #[tokio::test]
    async fn an_https_receiver_gets_the_event_if_its_certificate_is_trusted_and_nothing_otherwise()
    {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = certificate(folder.path());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::spawn(async move {
            let mut secured = 0;
            for _ in 0..2 {
                let (tcp, _) = listener.accept().await.expect("a connection");
                let Ok(mut stream) = acceptor.accept(tcp).await else {
                    continue;
                };
                let mut chunk = [0_u8; 4_096];
                if stream.read(&mut chunk).await.is_ok_and(|count| count > 0) {
                    secured += 1;
                    stream
                        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                        .await
                        .ok();
                }
            }
            secured
        });
        let url = format!("https://127.0.0.1:{port}/");
        let mut trusted = RootCertStore::empty();
        trusted.add(certificate).expect("a certificate");
        for (roots, arrives) in [(RootCertStore::empty(), false), (trusted, true)] {
            let webhook = Webhook::trusting(&url, None, || Ok(roots)).expect("a URL");
            let posted = post(&webhook, Bytes::from_static(b"{}")).await;
            assert_eq!(posted.is_ok(), arrives, "{posted:?}");
        }
        assert_eq!(serving.await.expect("it served"), 1);
    }
}
