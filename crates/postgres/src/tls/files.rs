//! The files that TLS is set up from: root certificates, the client's certificate and key.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::conninfo::{ConninfoError, RootCertificates, TlsSettings};
use crate::error::PgError;

/// Certificates that are trusted.
pub(super) struct Roots {
    pub(super) store: RootCertStore,
    /// The certificates themselves, for a server that presents one of them as its own.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// Reads the trusted certificates; `None` if the settings name none and the default file does
/// not exist.
pub(super) fn roots(settings: &TlsSettings) -> Result<Option<Roots>, PgError> {
    let path = match &settings.roots {
        RootCertificates::System => return system_roots().map(Some),
        RootCertificates::File(path) => path,
        RootCertificates::Default(Some(path)) if path.exists() => path,
        RootCertificates::Default(_) => return Ok(None),
    };
    let certificates = certificates(path, "sslrootcert")?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| file_error("sslrootcert", path, error.to_string()))?;
    }
    Ok(Some(Roots {
        store,
        certificates,
    }))
}

fn system_roots() -> Result<Roots, PgError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        return Err(PgError::Tls(
            "sslrootcert=system, but this system has no root certificates (is ca-certificates \
             installed? SSL_CERT_FILE names another file)"
                .to_owned(),
        ));
    }
    Ok(Roots {
        store,
        certificates: Vec::new(),
    })
}

/// The client's certificate chain and key, if there is a certificate.
pub(super) fn client_identity(
    settings: &TlsSettings,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, PgError> {
    let Some(certificate) = &settings.certificate else {
        return Ok(None);
    };
    // As libpq: a certificate that is named but missing means to connect without one.
    if !certificate.exists() {
        return Ok(None);
    }
    let Some(key) = &settings.key else {
        return Err(file_error(
            "sslcert",
            certificate,
            "there is no sslkey for it",
        ));
    };
    Ok(Some((
        certificates(certificate, "sslcert")?,
        private_key(key)?,
    )))
}

fn certificates(
    path: &Path,
    keyword: &'static str,
) -> Result<Vec<CertificateDer<'static>>, PgError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(file_error(keyword, path, "no certificate in PEM form"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(file_error(keyword, path, error.to_string())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PgError> {
    let metadata =
        fs::metadata(path).map_err(|cause| file_error("sslkey", path, cause.to_string()))?;
    // As libpq: 0600 or less; 0640 or less if root owns it.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        let why = "readable by group or others; mode 0600 or less is needed";
        return Err(file_error("sslkey", path, why));
    }
    let text = fs::read(path).map_err(|cause| file_error("sslkey", path, cause.to_string()))?;
    let encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| text.windows(mark.len()).any(|window| window == *mark));
    if encrypted {
        return Err(PgError::Config(ConninfoError::Unsupported {
            keyword: "sslpassword",
            why: "the key is encrypted; give sslkey a key without a passphrase, mode 0600 \
                  (openssl pkey -in KEY -out NEW)",
        }));
    }
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| file_error("sslkey", path, error.to_string()))
}

fn file_error(keyword: &'static str, path: &Path, why: impl Into<String>) -> PgError {
    PgError::Config(ConninfoError::File {
        keyword,
        path: path.to_owned(),
        why: why.into(),
    })
}
