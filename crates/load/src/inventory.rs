//! What is to be loaded: the tables in scope, and the structure as it was dumped. Once the
//! dump is there it counts, whatever becomes of the source.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{Conninfo, OnSide, PgError, Session};

use crate::catalog::{self, Table};
use crate::error::LoadError;
use crate::limits::{
    CLIENTS_FIRST, DUMP_ENDS_WITHIN, DUMP_LOOK, DUMP_PATIENCE, DUMP_PATIENCE_MOST,
};
use crate::loader::Loader;
use crate::options::StructureSource;
use crate::retrying::retried;
use crate::scope::OWN_SCHEMA;
use crate::structure::{self, Builds, Entry, Programs, Selection, Structure, table_builds};
use crate::transform::{Layout, Naming, leaving_out};

/// What stands in scope on the source, read once.
pub struct Inventory {
    /// The tables, leaves and partitioned ones.
    pub tables: Vec<Table>,
    /// The structure; empty when the target's own is used.
    pub structure: Arc<Structure>,
    pub(crate) builds: Builds,
}

impl Loader {
    /// Reads the source's tables in scope, and dumps its structure into `directory` unless
    /// a dump is there.
    pub async fn inventory(&self, directory: &Path) -> Result<Inventory, LoadError> {
        retried(&self.cancel, || self.read_inventory(directory)).await
    }

    /// The same, where an earlier phase has read it: the dump is not read again while the
    /// tables are the same.
    pub async fn inventory_after(
        &self,
        directory: &Path,
        earlier: Option<Inventory>,
    ) -> Result<Inventory, LoadError> {
        let Some(earlier) = earlier else {
            return self.inventory(directory).await;
        };
        let tables = retried(&self.cancel, || async {
            let mut source = self.connect(Side::Source, "structure").await?;
            self.tables_by_now(&mut source, directory).await
        })
        .await?;
        let same = tables.len() == earlier.tables.len()
            && std::iter::zip(&tables, &earlier.tables).all(|(now, then)| now.is_shaped_as(then));
        if !same {
            return self.inventory(directory).await;
        }
        Ok(Inventory { tables, ..earlier })
    }

    async fn tables_by_now(
        &self,
        source: &mut Session,
        directory: &Path,
    ) -> Result<Vec<Table>, LoadError> {
        let scope = &self.options.scope;
        Ok(if structure::is_dumped(directory) {
            catalog::tables_by_now(source, Side::Source, scope).await?
        } else {
            catalog::tables(source, scope).await?
        })
    }

    async fn read_inventory(&self, directory: &Path) -> Result<Inventory, LoadError> {
        // First: what such a one waits for, the look at the tables waits for, too.
        self.end_left_over_dumps(directory).await;
        let mut source = self.connect(Side::Source, "structure").await?;
        let scope = &self.options.scope;
        let tables = self.tables_by_now(&mut source, directory).await?;
        if self.options.structure == StructureSource::Target {
            return Ok(Inventory {
                tables,
                structure: Arc::default(),
                builds: Builds::default(),
            });
        }
        let (entries, unreadable) = self.dumped(&mut source, &tables, directory).await?;
        let indexes = catalog::indexes(&mut source).await?;
        let layout = Layout::new(&self.options.transform, &tables, Naming::Final);
        let left_behind = layout.left_out();
        let users = leaving_out::read_users(&mut source, &left_behind).await?;
        let selection = Selection {
            scope,
            tables: &tables,
            indexes: &indexes,
            no_privileges: self.options.no_privileges,
            left_behind: &left_behind,
            users: &users,
        };
        let mut structure = structure::select(entries, &selection);
        structure.note_unreadable(&unreadable);
        let builds = table_builds(&structure, &tables, &indexes);
        Ok(Inventory {
            tables,
            structure: Arc::new(structure),
            builds,
        })
    }

    /// What was dumped, whatever has become of it on the source since.
    pub(crate) async fn dumped_structure(&self, directory: &Path) -> Result<Structure, LoadError> {
        let read = || async {
            let mut source = self.connect(Side::Source, "structure").await?;
            let tables =
                catalog::tables_by_now(&mut source, Side::Source, &self.options.scope).await?;
            self.dumped(&mut source, &tables, directory).await
        };
        let (entries, _) = retried(&self.cancel, read).await?;
        Ok(Structure {
            entries,
            ..Structure::default()
        })
    }

    /// Every entry of the dump, and the tables that were kept out of it.
    async fn dumped(
        &self,
        source: &mut Session,
        tables: &[Table],
        directory: &Path,
    ) -> Result<(Vec<Entry>, Vec<TableName>), LoadError> {
        let target_version = self.connect(Side::Target, "structure").await?.version();
        let folders = &self.options.program_folders;
        let programs = Programs::find(source.version(), target_version, folders).await?;
        let schemas = schemas(source).await?;
        let mut excluded = self
            .options
            .scope
            .excluded_schemas(schemas.iter().map(String::as_str));
        excluded.push(OWN_SCHEMA);
        let covered: HashSet<&TableName> = tables.iter().map(|table| &table.name).collect();
        let mut unreadable = catalog::unreadable_tables(source).await?;
        unreadable.retain(|table| !covered.contains(table));
        let what = structure::Dumped {
            source: &self.source,
            attempt: "",
            directory,
            excluded_schemas: &excluded,
            excluded_tables: &unreadable,
            no_owner: self.options.no_owner,
        };
        let entries = self.dumped_politely(&what, &programs).await?;
        Ok((entries, unreadable))
    }

    /// Ends dumps into `directory` that outlived the command that began them, when it was killed:
    /// they keep what they locked, and wait for what they want. One that cannot be ended is told
    /// of, and tried again by the next command.
    pub async fn end_left_over_dumps(&self, directory: &Path) {
        for attempt in structure::attempts(directory) {
            let ended = tokio::time::timeout(DUMP_ENDS_WITHIN, self.end_dump(&attempt)).await;
            if matches!(ended, Ok(Ok(true))) {
                structure::forget_attempt(directory, &attempt);
                continue;
            }
            tracing::warn!(
                session = session_of(&attempt),
                "a pg_dump of an earlier command may still be at work on the source, with its locks"
            );
        }
    }

    /// Gives whether no session of it is left.
    async fn end_dump(&self, attempt: &str) -> Result<bool, LoadError> {
        let doing = "ending a pg_dump that was left";
        let mut source = self.connect(Side::Source, "structure").await?;
        // The login's sessions are ended by the login's right, whatever role it plays.
        let role = "SET ROLE NONE";
        source.batch(role).await.on(Side::Source, doing)?;
        let sql = "SELECT coalesce(bool_and(CASE WHEN a.usename = session_user \
                          THEN pg_catalog.pg_terminate_backend(a.pid) ELSE false END), true) \
                   FROM pg_catalog.pg_stat_activity a \
                   WHERE a.application_name = $1 AND a.datname = pg_catalog.current_database()";
        let ended = source.query_one(sql, &[&session_of(attempt)]).await;
        Ok(ended.and_then(|row| row.get(0)).on(Side::Source, doing)?)
    }

    /// `pg_dump` locks all tables, and keeps what it has while it waits for one: clients who
    /// want one of the others for themselves wait with it, and everybody behind them. It lets
    /// them pass and begins again, each time with more patience, so that it comes to its end
    /// where tables are taken all the time.
    async fn dumped_politely(
        &self,
        what: &structure::Dumped<'_>,
        programs: &Programs,
    ) -> Result<Vec<Entry>, LoadError> {
        let mut patience = DUMP_PATIENCE;
        loop {
            // Of another name each time: what is left of one says nothing of the next.
            let attempt = format!("{:08x}", fastrand::u32(..));
            let name = session_of(&attempt);
            let source = self.source.with_application_name(&name);
            let what = structure::Dumped {
                source: &source,
                attempt: &attempt,
                ..*what
            };
            // Dropped, it is told to end, and asks its server to end what it was at.
            let (mut session, process) = tokio::select! {
                dumped = structure::dump(&what, programs, &self.cancel) => {
                    if !matches!(dumped, Ok(_) | Err(LoadError::Cancelled)) {
                        // One that was killed could ask nobody.
                        self.end_left_over_dumps(what.directory).await;
                    }
                    return dumped;
                }
                found = in_the_way(&self.source, &name, patience) => found,
            };
            // What is between may not let that through.
            let end = format!("SELECT pg_cancel_backend({process})");
            let ended = tokio::time::timeout(DUMP_ENDS_WITHIN, session.query_one(&end, &[]));
            if !matches!(ended.await, Ok(Ok(_))) {
                tracing::debug!("the process of pg_dump was not cancelled by our session");
            }
            tracing::warn!(
                "pg_dump waited for a table while clients waited for others that it had: it lets \
                 them pass, and begins again"
            );
            tokio::select! {
                () = tokio::time::sleep(CLIENTS_FIRST) => {}
                () = self.cancel.cancelled() => return Err(LoadError::Cancelled),
            }
            // It has ended by now, unless nobody's word came through.
            self.end_left_over_dumps(what.directory).await;
            patience = (patience * 2).min(DUMP_PATIENCE_MOST);
        }
    }
}

/// What the session of a dump calls itself.
fn session_of(attempt: &str) -> String {
    format!("trunkline dump {attempt}")
}

/// Waits until the `pg_dump` of this name has been in the way of clients for so long, all in all,
/// while it waited for one table; or until one of them waits for it and it for him. Gives its
/// process on the server, and the session that saw it.
async fn in_the_way(source: &Conninfo, name: &str, patience: Duration) -> (Session, i32) {
    let mut kept: Option<Session> = None;
    let mut been = Duration::ZERO;
    loop {
        tokio::time::sleep(DUMP_LOOK).await;
        let looked = look(kept.take(), source, name).await;
        let (session, seen) = match looked {
            Ok(looked) => looked,
            // The next look may see more; what is wrong with the source shows elsewhere.
            Err(error) => {
                tracing::debug!(%error, "looking whether pg_dump is in the way");
                continue;
            }
        };
        match seen {
            None => been = Duration::ZERO,
            Some(dump) => {
                if dump.in_the_way {
                    been += DUMP_LOOK;
                }
                if dump.in_a_circle || been >= patience {
                    return (session, dump.process);
                }
            }
        }
        kept = Some(session);
    }
}

/// A `pg_dump` that waits for a table.
struct WaitingDump {
    process: i32,
    /// Somebody waits for a table that it has.
    in_the_way: bool,
    /// It waits for one of these.
    in_a_circle: bool,
}

async fn look(
    kept: Option<Session>,
    source: &Conninfo,
    name: &str,
) -> Result<(Session, Option<WaitingDump>), PgError> {
    let mut session = match kept {
        Some(session) => session,
        None => Session::connect(source, "watch").await?,
    };
    let sql = include_str!("sql/dump_in_the_way.sql");
    let dump = match session.query_opt(sql, &[&name]).await? {
        None => None,
        Some(row) => Some(WaitingDump {
            process: row.get(0)?,
            in_the_way: row.get(1)?,
            in_a_circle: row.get(2)?,
        }),
    };
    Ok((session, dump))
}

async fn schemas(source: &mut Session) -> Result<Vec<String>, LoadError> {
    let doing = "reading the schemas";
    let sql = "SELECT nspname::text FROM pg_namespace ORDER BY 1";
    let rows = source.query(sql, &[]).await.on(Side::Source, doing)?;
    let names = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>();
    Ok(names.on(Side::Source, doing)?)
}
