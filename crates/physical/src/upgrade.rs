//! `pg_upgrade` of a copy into a new folder, before anybody uses it. The copy itself stays as
//! it is (files are copied, not linked), so that this can be begun anew.

use tokio_util::sync::CancellationToken;
use trunkline_postgres::{PgError, Session};

use crate::child;
use crate::error::{AtPath, PhysicalError};
use crate::folder;
use crate::instance::{Instance, StopMode};
use crate::settings::{self, Setting};

/// What a new cluster must have in common with an old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    superuser: String,
    encoding: String,
    collate: String,
    ctype: String,
    icu_locale: Option<String>,
    has_checksums: bool,
    segment_megabytes: u64,
}

impl ClusterFacts {
    /// Reads them from a running server.
    pub async fn read(session: &mut Session) -> Result<ClusterFacts, PhysicalError> {
        read(session).await.map_err(|cause| PhysicalError::Asking {
            doing: "reading what the cluster was made with",
            cause,
        })
    }

    fn initdb_arguments(&self, major: u32) -> Vec<String> {
        let mut arguments = vec![
            format!("--username={}", self.superuser),
            format!("--encoding={}", self.encoding),
            format!("--lc-collate={}", self.collate),
            format!("--lc-ctype={}", self.ctype),
            format!("--wal-segsize={}", self.segment_megabytes),
            "--auth=trust".to_owned(),
        ];
        if let Some(locale) = &self.icu_locale {
            arguments.push("--locale-provider=icu".to_owned());
            arguments.push(format!("--icu-locale={locale}"));
        }
        match (self.has_checksums, major) {
            (true, _) => arguments.push("--data-checksums".to_owned()),
            // They are the default from 18 on.
            (false, 18..) => arguments.push("--no-data-checksums".to_owned()),
            (false, _) => {}
        }
        arguments
    }
}

async fn read(session: &mut Session) -> Result<ClusterFacts, PgError> {
    let icu = match session.version().major() {
        ..15 => "NULL::text",
        15 | 16 => "CASE WHEN datlocprovider = 'i' THEN daticulocale::text END",
        17.. => "CASE WHEN datlocprovider = 'i' THEN datlocale::text END",
    };
    let sql = format!(
        "SELECT (SELECT rolname::text FROM pg_catalog.pg_roles WHERE oid = 10), \
                pg_catalog.pg_encoding_to_char(encoding)::text, datcollate::text, \
                datctype::text, {icu}, \
                pg_catalog.current_setting('data_checksums') = 'on', \
                pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) >> 20 \
         FROM pg_catalog.pg_database WHERE datname = 'template0'"
    );
    let row = session.query_one(&sql, &[]).await?;
    Ok(ClusterFacts {
        superuser: row.get(0)?,
        encoding: row.get(1)?,
        collate: row.get(2)?,
        ctype: row.get(3)?,
        icu_locale: row.get(4)?,
        has_checksums: row.get(5)?,
        segment_megabytes: row.get(6)?,
    })
}

impl Instance {
    /// Makes this folder a cluster with everything that `old` holds, by `pg_upgrade`. `old` is
    /// stopped and must have been shut down as a server of its own. `settings` are the new
    /// server's. What an earlier call left unfinished is made anew; a whole one is kept.
    pub async fn upgrade_from(
        &self,
        old: &Instance,
        owner: &str,
        facts: &ClusterFacts,
        settings: &[Setting],
        cancel: &CancellationToken,
    ) -> Result<(), PhysicalError> {
        if self.is_whole(owner).await? {
            return Ok(());
        }
        old.stop(StopMode::Fast).await?;
        folder::begin(self.account(), self.data(), owner, None)?;
        self.account().make_folder(self.data())?;
        self.init(owner, facts, cancel).await?;
        self.configure(settings)?;
        self.run_pg_upgrade(old, owner, facts, cancel).await?;
        for name in ["pg_hba.conf", "pg_ident.conf"] {
            let path = old.data().join(name);
            let content = std::fs::read(&path).at("reading", &path)?;
            self.account().write(&self.data().join(name), &content)?;
        }
        settings::own_files(self.account(), self.data())?;
        folder::finish(self.account(), self.data(), owner)
    }

    async fn init(
        &self,
        owner: &str,
        facts: &ClusterFacts,
        cancel: &CancellationToken,
    ) -> Result<(), PhysicalError> {
        let mut command = self.account().command(&self.programs().path("initdb"));
        command
            .arg("--pgdata")
            .arg(self.data())
            .args(facts.initdb_arguments(self.programs().version().major()));
        let born = |id| folder::begin(self.account(), self.data(), owner, Some(id));
        child::run(command, "initdb", born, &mut |_| {}, cancel).await
    }

    async fn run_pg_upgrade(
        &self,
        old: &Instance,
        owner: &str,
        facts: &ClusterFacts,
        cancel: &CancellationToken,
    ) -> Result<(), PhysicalError> {
        let workshop = self.private_sockets()?;
        let mut command = self.account().command(&self.programs().path("pg_upgrade"));
        command
            .arg("--old-datadir")
            .arg(old.data())
            .arg("--new-datadir")
            .arg(self.data())
            .arg("--old-bindir")
            .arg(old.programs().bin())
            .arg("--new-bindir")
            .arg(self.programs().bin())
            .arg("--socketdir")
            .arg(&workshop)
            .arg(format!("--username={}", facts.superuser))
            .current_dir(&workshop);
        let born = |id| folder::begin(self.account(), self.data(), owner, Some(id));
        let ended = child::run(command, "pg_upgrade", born, &mut |_| {}, cancel).await;
        if ended.is_err() {
            // It starts both servers itself, and may have left one of them.
            old.stop(StopMode::Fast).await?;
            self.stop(StopMode::Immediate).await?;
        }
        ended
    }
}
