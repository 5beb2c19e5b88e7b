//! What a server is to be like, before it starts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::Account;
use crate::error::SandboxError;
use crate::installation::{Installation, program};
use crate::port::free_port;
use crate::server::{Layout, Server};
use crate::template;

/// Settings of every server: small, fast, not durable, and ready for logical replication.
const BASE_SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "logical"),
    ("max_wal_senders", "20"),
    ("max_replication_slots", "20"),
    ("max_prepared_transactions", "10"),
    ("max_worker_processes", "16"),
    ("max_logical_replication_workers", "8"),
    ("shared_buffers", "64MB"),
    ("jit", "off"),
    ("log_line_prefix", "%m [%p] %q%u@%d %a "),
];

/// Everybody of this machine is trusted.
const TRUST: &str = "local all all trust
host all all 127.0.0.1/32 trust
local replication all trust
host replication all 127.0.0.1/32 trust
";

/// Long enough for a machine that is busy with other servers.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Where the data come from.
#[derive(Debug, Clone)]
enum Data {
    Initdb(Vec<String>),
    BaseBackup {
        conninfo: String,
        arguments: Vec<String>,
    },
    Copy(PathBuf),
}

/// A throwaway server that does not run yet.
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    installation: Installation,
    settings: Vec<(String, String)>,
    hba: String,
    locale: String,
    encoding: String,
    data: Data,
    ready_within: Duration,
}

impl ServerBuilder {
    pub(crate) fn new(installation: &Installation) -> Self {
        Self {
            installation: installation.clone(),
            settings: Vec::new(),
            hba: TRUST.to_owned(),
            locale: "C".to_owned(),
            encoding: "UTF8".to_owned(),
            data: Data::Initdb(Vec::new()),
            ready_within: READY_WITHIN,
        }
    }

    /// A line of `postgresql.conf`; the last one of a name counts, and wins over the defaults.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The whole content of `pg_hba.conf`, in place of trust for 127.0.0.1 and the socket.
    #[must_use]
    pub fn hba(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.hba);
        self
    }

    /// The locale of the databases; `C` by default.
    #[must_use]
    pub fn locale(mut self, locale: &str) -> Self {
        locale.clone_into(&mut self.locale);
        self
    }

    /// The encoding of the databases; `UTF8` by default.
    #[must_use]
    pub fn encoding(mut self, encoding: &str) -> Self {
        encoding.clone_into(&mut self.encoding);
        self
    }

    /// Makes ICU the provider of the default collation (PostgreSQL 15 or later).
    #[must_use]
    pub fn icu(self, icu_locale: &str) -> Self {
        self.initdb_argument("--locale-provider=icu")
            .initdb_argument(&format!("--icu-locale={icu_locale}"))
    }

    /// A further argument to `initdb`, such as `--data-checksums`.
    #[must_use]
    pub fn initdb_argument(mut self, argument: &str) -> Self {
        if let Data::Initdb(arguments) = &mut self.data {
            arguments.push(argument.to_owned());
        }
        self
    }

    /// Takes the data by `pg_basebackup` from a running server of the same major version, with
    /// further arguments such as `-R` or `--slot=NAME`.
    #[must_use]
    pub fn base_backup_of(mut self, conninfo: &str, arguments: &[&str]) -> Self {
        self.data = Data::BaseBackup {
            conninfo: conninfo.to_owned(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        };
        self
    }

    /// Takes a copy of the data of a server of the same major version that does not run.
    #[must_use]
    pub fn copy_of(mut self, data: &Path) -> Self {
        self.data = Data::Copy(data.to_owned());
        self
    }

    /// How long the server may take to become ready; a minute by default.
    #[must_use]
    pub fn ready_within(mut self, limit: Duration) -> Self {
        self.ready_within = limit;
        self
    }

    /// Makes the data folder and its configuration; [`Server::start_again`] starts the server.
    pub fn prepare(self) -> Result<Server, SandboxError> {
        let account = Account::current()?;
        let folder = account.new_sandbox()?;
        let layout = Layout::new(self.installation.clone(), account, folder);
        let server = Server::over(layout, free_port(), self.ready_within)?;
        self.make_data(account, &server)?;
        account.write(&server.data().join("pg_hba.conf"), self.hba.as_bytes())?;
        server.configure(&self.all_settings())?;
        Ok(server)
    }

    /// Makes the server and waits until it takes connections.
    pub fn start(self) -> Result<Server, SandboxError> {
        let mut server = self.prepare()?;
        server.start_again()?;
        Ok(server)
    }

    fn make_data(&self, account: Account, server: &Server) -> Result<(), SandboxError> {
        match &self.data {
            Data::Initdb(arguments) => {
                let mut options = vec![
                    format!("--locale={}", self.locale),
                    format!("--encoding={}", self.encoding),
                ];
                options.extend_from_slice(arguments);
                template::create(account, &self.installation, &options, server.data())
            }
            Data::Copy(data) => account.copy_folder(data, server.data()),
            Data::BaseBackup {
                conninfo,
                arguments,
            } => {
                let mut all: Vec<String> = vec![
                    format!("--pgdata={}", server.data().display()),
                    format!("--dbname={conninfo}"),
                    "--checkpoint=fast".to_owned(),
                    "--wal-method=stream".to_owned(),
                ];
                all.extend_from_slice(arguments);
                account.run(&program(self.installation.major, "pg_basebackup")?, &all)?;
                Ok(())
            }
        }
    }

    fn all_settings(&self) -> Vec<(String, String)> {
        BASE_SETTINGS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain(self.settings.iter().cloned())
            .collect()
    }
}
