//! PgBouncer, by its console and its file: PAUSE, the lines of `[databases]`, RELOAD, RESUME.
//! Holds always: a PAUSE that was given up is taken back, and clients are never let go on
//! while their line names the side that does not serve.

mod databases;
mod ini;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use trunkline_changes::{Side, quote_ident};
use trunkline_migration::traffic::{Step, Traffic, TrafficError};
use trunkline_postgres::{Conninfo, Console, ConsoleRow, PgError};

use crate::address::{Addresses, named};
use crate::chain::kept_for_undoing;
use crate::failure::{Failure, on_files, settled, through_restart, within};
use crate::limits::{LOGS_IN_WITHIN, POLL_EVERY, SETTLES_WITHIN, SHORT_LOGIN_RETRY};
use crate::replace;
use databases::{Served, field, is_stale, waits_for_servers};

/// PgBouncer's setting for how long a pool waits after a login that failed.
const LOGIN_RETRY: &str = "server_login_retry";

/// One PgBouncer of a plan.
#[derive(Clone, Debug)]
pub struct PgBouncerPlan {
    /// Its console, as one of `admin_users`.
    pub admin: Conninfo,
    /// The file with the lines of `[databases]`, as this process reaches it.
    pub config: PathBuf,
    /// The names in `[databases]`.
    pub databases: Vec<String>,
    /// Both sides, as PgBouncer reaches them.
    pub addresses: Addresses,
}

/// Moves the clients of one PgBouncer.
#[derive(Clone, Debug)]
pub struct PgBouncer {
    plan: PgBouncerPlan,
}

impl PgBouncer {
    /// The adapter for one PgBouncer.
    pub fn new(plan: PgBouncerPlan) -> Self {
        PgBouncer { plan }
    }

    fn broken(&self, cause: PgError) -> Failure {
        Failure::Console {
            console: format!("PgBouncer at {}", self.plan.admin.label()),
            cause,
        }
    }

    async fn console(&self) -> Result<Console, Failure> {
        let connected = Console::connect(&self.plan.admin, "traffic").await;
        connected.map_err(|cause| self.broken(cause))
    }

    async fn tell(&self, console: &mut Console, command: &str) -> Result<(), Failure> {
        let answer = console.run(command).await;
        answer.map(drop).map_err(|cause| self.broken(cause))
    }

    async fn all_served(&self, console: &mut Console) -> Result<Vec<Served>, Failure> {
        let rows = console.run("SHOW DATABASES").await;
        let rows = rows.map_err(|cause| self.broken(cause))?;
        Ok(rows.iter().filter_map(Served::read).collect())
    }

    /// The plan's databases, all of them.
    async fn served(&self, console: &mut Console) -> Result<Vec<Served>, Failure> {
        let all = self.all_served(console).await?;
        let one = |name: &String| {
            let found = all.iter().find(|served| served.name == *name);
            found.cloned().ok_or_else(|| {
                let label = self.plan.admin.label();
                Failure::found(format!("PgBouncer at {label} serves no database {name:?}"))
            })
        };
        self.plan.databases.iter().map(one).collect()
    }

    async fn goes_to(&self, console: &mut Console, side: Side) -> Result<(), Failure> {
        let address = self.plan.addresses.of(side);
        let served = self.served(console).await?;
        let Some(astray) = served.iter().find(|served| !served.goes_to(address)) else {
            return Ok(());
        };
        let (name, place, side) = (&astray.name, astray.place(), named(side));
        Err(Failure::found(format!(
            "PgBouncer's database {name:?} goes to {place}, not to the {side} {address}; if \
             that is the same server, say so by `{side} = \"{place}\"` in this entry"
        )))
    }

    async fn look_at_all(&self, serves: Side) -> Result<(), Failure> {
        // The file first: what it would become, and whether it may be replaced at all.
        let text = replace::read(&self.plan.config)?;
        ini::point(&text, &self.plan.databases, self.plan.addresses.of(serves))
            .map_err(|why| self.in_config(&why))?;
        replace::can_replace(&self.plan.config)?;
        let mut console = self.console().await?;
        self.goes_to(&mut console, serves).await?;
        self.may_command(&mut console).await?;
        if let Some(name) = self.pooled_by_session(&mut console).await? {
            tracing::warn!(
                database = name,
                "its pool_mode is session: PAUSE waits until its clients leave by themselves"
            );
        }
        let address = self.plan.addresses.of(serves);
        for served in self.all_served(&mut console).await? {
            if served.goes_to(address) && !self.plan.databases.contains(&served.name) {
                tracing::warn!(
                    database = served.name,
                    "it leads to the same database and is not in the plan's traffic: its \
                     clients will be cut off"
                );
            }
        }
        Ok(())
    }

    fn in_config(&self, why: &Failure) -> Failure {
        Failure::found(format!("{}: {why}", self.plan.config.display()))
    }

    /// A user of `stats_users` may look and not command. To resume what is not paused changes
    /// nothing, and is refused for another reason.
    async fn may_command(&self, console: &mut Console) -> Result<(), Failure> {
        let served = self.served(console).await?;
        let Some(free) = served.iter().find(|served| !served.is_paused) else {
            return Ok(());
        };
        match console.run(&command("RESUME", &free.name)).await {
            Err(PgError::Server(refusal)) if refusal.message.contains("admin access") => {
                Err(self.broken(PgError::Server(refusal)))
            }
            Ok(_) | Err(PgError::Server(_)) => Ok(()),
            Err(cause) => Err(self.broken(cause)),
        }
    }

    /// The first database whose server connections are bound to clients until they leave.
    async fn pooled_by_session(&self, console: &mut Console) -> Result<Option<String>, Failure> {
        let default = self.setting(console, "pool_mode").await?;
        let served = self.served(console).await?;
        let by_session = |served: &Served| {
            let mode = served.pool_mode.as_ref().or(default.as_ref());
            mode.is_some_and(|mode| mode == "session")
        };
        Ok(served
            .into_iter()
            .find(by_session)
            .map(|served| served.name))
    }

    async fn setting(&self, console: &mut Console, name: &str) -> Result<Option<String>, Failure> {
        let settings = console.run("SHOW CONFIG").await;
        let settings = settings.map_err(|cause| self.broken(cause))?;
        let ours = |row: &&ConsoleRow| field(row, "key").as_deref() == Some(name);
        Ok(settings
            .iter()
            .find(ours)
            .and_then(|row| field(row, "value")))
    }

    async fn pause(&self) -> Result<(), Failure> {
        let mut console = self.console().await?;
        for name in &self.plan.databases {
            self.tell(&mut console, &command("PAUSE", name)).await?;
        }
        let served = self.served(&mut console).await?;
        match served.iter().find(|served| !served.is_paused) {
            None => Ok(()),
            Some(free) => Err(Failure::found(format!(
                "somebody else let the clients of PgBouncer's database {:?} go on",
                free.name
            ))),
        }
    }

    /// Pauses all, or none when it fails.
    async fn hold_clients(&self, time: Duration) -> Result<(), TrafficError> {
        let undoing = kept_for_undoing(time);
        let Err(failure) = within(time.saturating_sub(undoing), self.pause()).await else {
            return Ok(());
        };
        let mut why = failure.to_string();
        let undone = within(undoing, async {
            // What waits for a client to leave says so, unless PgBouncer is what is slow.
            let mut console = self.console().await?;
            self.resume(&mut console).await?;
            self.pooled_by_session(&mut console).await
        });
        match undone.await {
            Ok(None) => {}
            Ok(Some(name)) => {
                why = format!(
                    "{why}; PgBouncer's database {name:?} is in pool_mode session, in which \
                     PAUSE waits until its clients leave"
                );
            }
            Err(second) => why = format!("{why}; and its clients may still wait: {second}"),
        }
        Err(Failure::Found(why).at("hold"))
    }

    /// Lets clients of every paused database go on.
    ///
    /// PAUSE closes a server connection that is logging in as well, and PgBouncer takes that
    /// for a failed login: it would make the pool wait for `server_login_retry` (15 seconds).
    /// So that is short for a moment.
    async fn resume(&self, console: &mut Console) -> Result<(), Failure> {
        let served = self.served(console).await?;
        if served.iter().all(|served| !served.is_paused) {
            return Ok(());
        }
        let patience = self.setting(console, LOGIN_RETRY).await?;
        let shortened = format!("SET {LOGIN_RETRY} = '{SHORT_LOGIN_RETRY}'");
        if let Err(error) = self.tell(console, &shortened).await {
            tracing::debug!(%error, "clients may wait for a server connection");
        }
        let resumed = self.resume_paused(console, served).await;
        let waited = self.until_clients_are_served(console).await;
        if let Some(patience) = patience {
            let restored = format!("SET {LOGIN_RETRY} = '{patience}'");
            self.tell(console, &restored).await?;
        }
        resumed.and(waited)
    }

    /// Waits until no pool has clients waiting and no server connection; not for long, because
    /// the server may be what does not answer.
    async fn until_clients_are_served(&self, console: &mut Console) -> Result<(), Failure> {
        let until = Instant::now() + LOGS_IN_WITHIN;
        while Instant::now() < until {
            let pools = console.run("SHOW POOLS").await;
            let pools = pools.map_err(|cause| self.broken(cause))?;
            let ours = pools.iter().filter(|row| {
                field(row, "database").is_some_and(|name| self.plan.databases.contains(&name))
            });
            if !ours.into_iter().any(waits_for_servers) {
                break;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// Resumes every database that is paused, and reads back that none is. One that fails
    /// does not keep the others.
    async fn resume_paused(
        &self,
        console: &mut Console,
        served: Vec<Served>,
    ) -> Result<(), Failure> {
        let mut refused = None;
        for served in served.into_iter().filter(|served| served.is_paused) {
            let told = self.tell(console, &command("RESUME", &served.name)).await;
            refused = refused.or(told.err());
        }
        let served = self.served(console).await?;
        match served.iter().find(|served| served.is_paused) {
            None => Ok(()),
            Some(paused) => Err(refused.unwrap_or_else(|| {
                let name = &paused.name;
                Failure::found(format!("PgBouncer's database {name:?} is still paused"))
            })),
        }
    }

    async fn point_lines_at(&self, side: Side) -> Result<(), Failure> {
        let plan = self.plan.clone();
        on_files(move || {
            let text = replace::read(&plan.config)?;
            let changed = ini::point(&text, &plan.databases, plan.addresses.of(side))
                .map_err(|why| Failure::found(format!("{}: {why}", plan.config.display())))?;
            if changed == text {
                return Ok(());
            }
            replace::replace(&plan.config, &changed)
        })
        .await?;
        let mut console = self.console().await?;
        self.tell(&mut console, "RELOAD").await?;
        for name in &self.plan.databases {
            // RELOAD does so where it saw a change; a version without RECONNECT relies on it.
            if let Err(error) = self.tell(&mut console, &command("RECONNECT", name)).await {
                tracing::debug!(%error, "server connections are not asked to close");
            }
        }
        self.goes_to(&mut console, side).await.map_err(|why| {
            let config = self.plan.config.display();
            Failure::found(format!(
                "{why}. {config} says so and RELOAD was done: it is not the file that this \
                 PgBouncer reads, or its log says what it refused"
            ))
        })
    }

    async fn let_go_on(&self, serves: Side) -> Result<(), Failure> {
        let mut console = self.console().await?;
        let wrong = self.plan.addresses.of(serves.other());
        let right = self.plan.addresses.of(serves);
        let served = self.served(&mut console).await?;
        // An address that is neither is an operator's own, and stays.
        if served
            .iter()
            .any(|served| served.goes_to(wrong) && !served.goes_to(right))
        {
            self.point_lines_at(serves).await?;
        }
        self.resume(&mut console).await
    }

    async fn read_back(&self, serves: Side) -> Result<(), Failure> {
        let mut console = self.console().await?;
        self.goes_to(&mut console, serves).await?;
        let address = self.plan.addresses.of(serves);
        let rows = console.run("SHOW SERVERS").await;
        let rows = rows.map_err(|cause| self.broken(cause))?;
        let stale = rows.iter().find(|row| {
            let ours =
                field(row, "database").is_some_and(|name| self.plan.databases.contains(&name));
            ours && is_stale(row, address)
        });
        match stale.and_then(|row| field(row, "database")) {
            None => Ok(()),
            Some(name) => Err(Failure::found(format!(
                "PgBouncer still uses connections of database {name:?} to another server than \
                 {address}"
            ))),
        }
    }
}

/// A command on one database, whatever its name.
fn command(verb: &str, database: &str) -> String {
    format!("{verb} {}", quote_ident(database))
}

impl Traffic for PgBouncer {
    fn describe(&self) -> String {
        format!(
            "PgBouncer at {} makes clients of {} wait between transactions",
            self.plan.admin.label(),
            self.plan.databases.join(", ")
        )
    }

    fn look(&self, serves: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let looked = within(time, self.look_at_all(serves)).await;
            looked.map_err(|failure| failure.at("look"))
        })
    }

    fn hold(&self, _serves: Side, time: Duration) -> Step<'_> {
        Box::pin(self.hold_clients(time))
    }

    fn point_at(&self, side: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let pointed = within(time, through_restart(|| self.point_lines_at(side))).await;
            pointed.map_err(|failure| failure.at("switch"))
        })
    }

    fn release(&self, serves: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let released = within(time, through_restart(|| self.let_go_on(serves))).await;
            released.map_err(|failure| failure.at("release"))
        })
    }

    fn verify(&self, serves: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            // A connection that is about to close may still be listed.
            let read_back = || settled(SETTLES_WITHIN, || self.read_back(serves));
            let verified = within(time, through_restart(read_back)).await;
            verified.map_err(|failure| failure.at("verify"))
        })
    }
}
