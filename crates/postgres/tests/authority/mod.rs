//! A certificate authority for one test, made with the `openssl` program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A private key and a certificate for it.
pub(crate) struct Identity {
    pub(crate) key: PathBuf,
    pub(crate) certificate: PathBuf,
}

impl Identity {
    /// The key's and the certificate's text.
    pub(crate) fn texts(&self) -> (String, String) {
        let read = |path| fs::read_to_string(path).expect("openssl wrote it");
        (read(&self.key), read(&self.certificate))
    }
}

/// How a certificate is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Without extensions, as `openssl x509 -req` made them for long.
    V1,
    V3,
}

/// A directory with a root certificate that signs others.
pub(crate) struct Authority {
    directory: tempfile::TempDir,
    root: Identity,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = self_signed(directory.path(), "root", "/CN=Test root");
        Self { directory, root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root.certificate
    }

    /// A certificate as the PostgreSQL manual makes one: signed by itself, with the host in the
    /// common name and no alternative names.
    pub(crate) fn self_signed(&self, name: &str) -> Identity {
        self_signed(self.directory.path(), name, &format!("/CN={name}"))
    }

    /// A certificate for the common name. `alternative` is a `subjectAltName` such as
    /// `DNS:localhost`; `key` and `signature` are arguments of openssl for another kind of key
    /// and another hash.
    pub(crate) fn issue(
        &self,
        common_name: &str,
        alternative: Option<&str>,
        version: Version,
        key: &[&str],
        signature: &[&str],
    ) -> Identity {
        let at = |suffix: &str| {
            self.directory
                .path()
                .join(format!("{common_name}.{suffix}"))
        };
        let (key_path, request, certificate) = (at("key"), at("csr"), at("crt"));
        let key_kind = match key {
            [] => &["-newkey", "rsa:2048"],
            key => key,
        };
        openssl(
            &[
                "req",
                "-new",
                "-nodes",
                "-subj",
                &format!("/CN={common_name}"),
            ],
            key_kind,
            &[("-keyout", &key_path), ("-out", &request)],
        );
        let extensions = at("ext");
        let text = match alternative {
            Some(alternative) => format!("subjectAltName={alternative}\n"),
            None => "basicConstraints=CA:FALSE\n".to_owned(),
        };
        fs::write(&extensions, text).expect("a writable file");
        let mut files = vec![
            ("-in", request.as_path()),
            ("-CA", self.root()),
            ("-CAkey", &self.root.key),
            ("-out", &certificate),
        ];
        if version == Version::V3 {
            files.push(("-extfile", &extensions));
        }
        let arguments = ["x509", "-req", "-days", "2", "-CAcreateserial"];
        openssl(&arguments, signature, &files);
        protect(&key_path);
        Identity {
            key: key_path,
            certificate,
        }
    }
}

fn self_signed(directory: &Path, name: &str, subject: &str) -> Identity {
    let key = directory.join(format!("{name}.key"));
    let certificate = directory.join(format!("{name}.crt"));
    openssl(
        &[
            "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", subject,
        ],
        &["-newkey", "rsa:2048"],
        &[("-keyout", &key), ("-out", &certificate)],
    );
    protect(&key);
    Identity { key, certificate }
}

fn protect(key: &Path) {
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("own file");
}

fn openssl(arguments: &[&str], more: &[&str], files: &[(&str, &Path)]) {
    let mut command = Command::new("openssl");
    command.args(arguments).args(more);
    for (option, path) in files {
        command.arg(option).arg(path);
    }
    let output = command.output().expect("the openssl program is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
}
