//! TLS as libpq does it (manual, "SSL Support"), with rustls and ring: what is verified depends
//! on `sslmode` and on whether there are root certificates.

mod certificate;
mod files;
mod verifier;

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::conninfo::{Demand, SslNegotiation, TlsSettings, TlsVersion};
use crate::error::PgError;
use verifier::Verifier;

/// The application protocol that a server asks for with `sslnegotiation=direct` (manual,
/// "SSL Session Encryption").
const APPLICATION_PROTOCOL: &[u8] = b"postgresql";

/// Does the TLS handshake with the server called `name` (a host name or an address).
pub(crate) async fn connect(
    stream: TcpStream,
    name: &str,
    settings: &TlsSettings,
) -> Result<TlsStream<TcpStream>, PgError> {
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| PgError::Tls(format!("\"{name}\" cannot be the name of a TLS server")))?;
    let config = configure(name, settings)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(server_name, stream)
        .await
        .map_err(handshake_error)?;
    let protocol = stream.get_ref().1.alpn_protocol();
    if settings.negotiation == SslNegotiation::Direct && protocol != Some(APPLICATION_PROTOCOL) {
        return Err(PgError::Tls(
            "the server did not agree to sslnegotiation=direct (needs PostgreSQL 17)".to_owned(),
        ));
    }
    Ok(stream)
}

/// The hash of the server's certificate that binds SCRAM to this TLS session (RFC 5929,
/// `tls-server-end-point`); `None` if the certificate's signature has no usable hash.
pub(crate) fn server_end_point(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    certificate::Certificate::read(certificate)?.end_point_hash(certificate)
}

/// A certificate that is refused, or a protocol error, comes as an io error that wraps it; the
/// rest is the socket's.
fn handshake_error(cause: std::io::Error) -> PgError {
    match cause
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(error) => PgError::Tls(error.to_string()),
        None => PgError::from(cause),
    }
}

fn configure(name: &str, settings: &TlsSettings) -> Result<ClientConfig, PgError> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let versions: Vec<_> = [(TlsVersion::V12, &TLS12), (TlsVersion::V13, &TLS13)]
        .into_iter()
        .filter(|(version, _)| (settings.lowest..=settings.highest).contains(version))
        .map(|(_, version)| version)
        .collect();
    let verifier = Verifier::new(name, settings, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| PgError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let identity = match settings.certificate_use {
        Demand::Disable => None,
        Demand::Prefer | Demand::Require => files::client_identity(settings)?,
    };
    let mut config = match identity {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| PgError::Tls(format!("sslcert and sslkey: {error}")))?,
        None if settings.certificate_use == Demand::Require => {
            return Err(PgError::Tls(
                "sslcertmode=require, but there is no client certificate (sslcert)".to_owned(),
            ));
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    config.enable_sni = settings.server_name_indication;
    Ok(config)
}
