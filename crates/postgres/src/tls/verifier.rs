//! Decides whether a server's certificate is good enough for the `sslmode` (manual, "Client
//! Verification of Server Certificates").

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::{Certificate, name_covers};
use super::files::{self, Roots};
use crate::conninfo::{ConninfoError, RootCertificates, SslMode, TlsSettings};
use crate::error::PgError;

/// What is demanded of the server's certificate.
enum Checks {
    /// That the server holds its key: encryption without knowing whose.
    KeyOnly,
    /// That a trusted certificate vouches for it.
    Chain(Roots),
    /// And that it is for the host that was asked for.
    ChainAndName(Roots),
}

/// The verifier of one connection.
pub(super) struct Verifier {
    checks: Checks,
    host: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(
        host: &str,
        settings: &TlsSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, PgError> {
        let checks = match (files::roots(settings)?, settings.mode) {
            (Some(roots), SslMode::VerifyFull) => Checks::ChainAndName(roots),
            // As libpq: with root certificates, even sslmode=require verifies the chain.
            (Some(roots), _) => Checks::Chain(roots),
            (None, SslMode::VerifyCa | SslMode::VerifyFull) => return Err(no_roots(settings)),
            (None, _) => Checks::KeyOnly,
        };
        Ok(Self {
            checks,
            host: host.to_owned(),
            algorithms: provider.signature_verification_algorithms,
        })
    }

    fn verify_chain(
        &self,
        roots: &Roots,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        // A self-signed certificate that the operator trusts by name. Path building would refuse
        // it, since what PostgreSQL's manual makes is marked as an authority.
        if roots.certificates.contains(certificate) {
            let read = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
            if !read.is_valid_at(now) {
                return Err(CertificateError::Expired.into());
            }
            return Ok(());
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(certificate)?,
            &roots.store,
            intermediates,
            now,
            self.algorithms.all,
        )
    }

    fn verify_name(
        &self,
        certificate: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let read = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
        if read.has_alternative_name {
            return verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name);
        }
        match &read.common_name {
            Some(name) if name_covers(name, &self.host) => Ok(()),
            _ => Err(CertificateError::NotValidForName.into()),
        }
    }

    /// Checks a signature by the certificate's key alone, so that certificates of X.509 version
    /// 1, which rustls does not read, do for `sslmode=require`.
    fn verify_by_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let read = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
        let by_scheme = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter());
        let fits = by_scheme
            .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == read.key_algorithm)
            .any(|algorithm| {
                algorithm
                    .verify_signature(read.key, message, signed.signature())
                    .is_ok()
            });
        if !fits {
            return Err(CertificateError::BadSignature.into());
        }
        Ok(HandshakeSignatureValid::assertion())
    }
}

fn no_roots(settings: &TlsSettings) -> PgError {
    let place = match &settings.roots {
        RootCertificates::Default(Some(path)) => format!(": {} does not exist", path.display()),
        _ => String::new(),
    };
    PgError::Config(ConninfoError::InvalidValue {
        keyword: "sslrootcert",
        expected: format!("given for sslmode=verify-ca and verify-full (a file, or system){place}"),
    })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.checks {
            Checks::KeyOnly => {}
            Checks::Chain(roots) => self.verify_chain(roots, certificate, intermediates, now)?,
            Checks::ChainAndName(roots) => {
                self.verify_chain(roots, certificate, intermediates, now)?;
                self.verify_name(certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.checks {
            Checks::KeyOnly => self.verify_by_key(message, certificate, signed),
            _ => verify_tls12_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.checks {
            Checks::KeyOnly => self.verify_by_key(message, certificate, signed),
            _ => verify_tls13_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = match self.checks {
            Checks::KeyOnly => "key only",
            Checks::Chain(_) => "chain",
            Checks::ChainAndName(_) => "chain and name",
        };
        write!(f, "Verifier({checks}, {})", self.host)
    }
}
