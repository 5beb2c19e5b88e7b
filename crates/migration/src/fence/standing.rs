//! The standing fence: the side that does not serve lets Trunkline's role in, and superusers,
//! who by default cannot write. Also how any fence is lifted.

use trunkline_changes::{Side, quote_ident, quote_literal};
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::before::{FenceBefore, Now, settings_before};
use super::error::{FenceError, list};
use super::grants::{self, Names};
use super::sessions;

/// How the old database stands after the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterSwitch {
    /// Trunkline's role, a superuser, and other superusers may connect and read; whoever does
    /// not say otherwise cannot write.
    ReadableBySuperusers,
    /// Trunkline's role, an ordinary one, may connect; superusers may read, and write only if
    /// they say so.
    OpenToTrunkline,
    /// Nobody may connect: a superuser's own settings would let it write.
    Closed,
}

/// What would get through without a session's saying so, but is bound by the database's
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct BoundByDefault {
    /// Superusers' sessions that are not ours, such as an application's.
    pub(crate) superusers: Vec<super::error::Intruder>,
}

/// After the switch: the database takes connections again, of Trunkline's role and of
/// superusers, who default to read-only. Where a superuser's own settings say otherwise, it
/// stays closed, or is closed again. May be called in any state, and again.
pub(crate) async fn stand(
    outside: &mut Session,
    side: Side,
    before: &FenceBefore,
) -> Result<AfterSwitch, Fault> {
    let doing = "keeping the database closed to others";
    let overrides = superusers_that_write(outside, &before.database).await;
    if !overrides.on(side, doing)?.is_empty() {
        let database = quote_ident(&before.database);
        let close = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS false");
        outside.batch(&close).await.on(side, doing)?;
        return Ok(AfterSwitch::Closed);
    }
    let_ourselves_in(outside, side, before).await
}

/// As [`stand`], without asking about superusers' settings: to clean up.
pub(crate) async fn let_ourselves_in(
    outside: &mut Session,
    side: Side,
    before: &FenceBefore,
) -> Result<AfterSwitch, Fault> {
    let now = Now::read(outside, side, &before.database).await?;
    let doing = "opening the database to Trunkline's role";
    let mut statements = keep_out(outside, &now).await.on(side, doing)?;
    let database = quote_ident(&before.database);
    let mut open = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true");
    if !now.we_are_superuser {
        open += &format!(" CONNECTION LIMIT {}", before.connection_limit);
    }
    statements.push(open);
    together(outside, &statements).await.on(side, doing)?;
    Ok(if now.we_are_superuser {
        AfterSwitch::ReadableBySuperusers
    } else {
        AfterSwitch::OpenToTrunkline
    })
}

/// The doors of a limited fence: as the standing one, from inside.
pub(super) async fn shut(inside: &mut Session, side: Side, database: &str) -> Result<(), Fault> {
    let now = Now::read(inside, side, database).await?;
    let doing = "closing the database to others";
    let statements = keep_out(inside, &now).await.on(side, doing)?;
    together(inside, &statements).await.on(side, doing)
}

/// What keeps others out while our role comes in.
async fn keep_out(session: &mut Session, now: &Now) -> Result<Vec<String>, PgError> {
    let database = quote_ident(&now.settings.database);
    let mut statements = vec![format!(
        "ALTER DATABASE {database} SET default_transaction_read_only = on"
    )];
    if now.we_are_superuser {
        statements.push(format!("ALTER DATABASE {database} WITH CONNECTION LIMIT 0"));
    } else {
        let names = Names::read(session, now.connect.iter()).await?;
        statements.extend(grants::keep_only_ours(now, &names));
    }
    Ok(statements)
}

/// Exactly what was set before, from any fence and any state between.
pub(crate) async fn lift(
    outside: &mut Session,
    side: Side,
    before: &FenceBefore,
) -> Result<(), Fault> {
    let doing = "lifting the fence";
    let now = Now::read(outside, side, &before.database).await?;
    let mut statements = restored_grants(outside, before, &now)
        .await
        .on(side, doing)?;
    let database = quote_ident(&before.database);
    let read_only = match &before.read_only {
        Some(value) => format!(
            "SET default_transaction_read_only = {}",
            quote_literal(value)
        ),
        None => "RESET default_transaction_read_only".to_owned(),
    };
    statements.push(format!("ALTER DATABASE {database} {read_only}"));
    statements.push(format!(
        "ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT {}",
        before.connection_limit
    ));
    together(outside, &statements).await.on(side, doing)
}

/// When the migration is over and the side goes on refusing: two settings that anybody can
/// read and set back. Rights are as before, because Trunkline's role will not be there.
pub(crate) async fn retire(
    outside: &mut Session,
    side: Side,
    before: &FenceBefore,
) -> Result<AfterSwitch, Fault> {
    let doing = "leaving the old database closed";
    let overrides = superusers_that_write(outside, &before.database).await;
    let open = overrides.on(side, doing)?.is_empty();
    let now = Now::read(outside, side, &before.database).await?;
    let database = quote_ident(&before.database);
    let mut statements = vec![
        format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
        format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS {open} CONNECTION LIMIT 0"),
    ];
    statements.extend(
        restored_grants(outside, before, &now)
            .await
            .on(side, doing)?,
    );
    together(outside, &statements).await.on(side, doing)?;
    Ok(if open {
        AfterSwitch::ReadableBySuperusers
    } else {
        AfterSwitch::Closed
    })
}

async fn restored_grants(
    session: &mut Session,
    before: &FenceBefore,
    now: &Now,
) -> Result<Vec<String>, PgError> {
    let Some(connect) = &before.connect else {
        return Ok(Vec::new());
    };
    let names = Names::read(session, connect.iter()).await?;
    Ok(grants::restore(connect, now, &names))
}

/// All of them or none: many statements in one message are one transaction.
async fn together(session: &mut Session, statements: &[String]) -> Result<(), PgError> {
    session.batch(&statements.join("; ")).await.map(drop)
}

async fn superusers_that_write(
    session: &mut Session,
    database: &str,
) -> Result<Vec<String>, PgError> {
    let sql = include_str!("sql/superusers_that_write.sql");
    let rows = session.query(sql, &[&database]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Refuses where our role may not change the database.
pub(super) fn owned(now: &Now, side: Side) -> Result<(), FenceError> {
    if now.we_are_superuser || now.we_own_it {
        return Ok(());
    }
    let (owner, ours) = (quote_ident(&now.owner_name), quote_ident(&now.our_name));
    Err(FenceError::NotAllowed {
        side,
        why: format!("only the database's owner may close it; GRANT {owner} TO {ours}"),
    })
}

/// Whether a standing fence that lets our role in can be kept: to be asked before clients are
/// held. Refuses by name what would get through.
pub(crate) async fn may_stand(
    inside: &mut Session,
    side: Side,
) -> Result<BoundByDefault, FenceError> {
    let database = settings_before(inside, side).await?.database;
    let now = Now::read(inside, side, &database).await?;
    owned(&now, side)?;
    let mut holes = Vec::new();
    let doing = "looking for what a standing fence would let through";
    let superusers = superusers_that_write(inside, &database).await;
    holes.extend(superusers.on(side, doing)?.into_iter().map(|name| {
        format!("the superuser {name} has default_transaction_read_only off in its own settings")
    }));
    let subscriptions = first_column(inside, include_str!("sql/subscriptions.sql")).await;
    holes.extend(
        subscriptions
            .on(side, doing)?
            .into_iter()
            .map(|name| format!("the subscription {name} writes into the database; disable it")),
    );
    if !now.we_are_superuser {
        holes.extend(holes_of_a_plain_role(inside, side, &now.our_name).await?);
    }
    if !holes.is_empty() {
        return Err(FenceError::WouldNotStand(side, holes));
    }
    let sql = include_str!("sql/superusers_inside.sql");
    Ok(BoundByDefault {
        superusers: sessions::named_by(inside, side, sql, &[]).await?,
    })
}

/// What an ordinary role of ours brings with it: others come in through it or as it, and what
/// cannot be given back must not be taken.
async fn holes_of_a_plain_role(
    inside: &mut Session,
    side: Side,
    our_name: &str,
) -> Result<Vec<String>, FenceError> {
    let doing = "looking for what a standing fence would let through";
    let through = first_column(inside, include_str!("sql/roles_through_ours.sql")).await;
    let mut holes: Vec<String> = through
        .on(side, doing)?
        .into_iter()
        .map(|name| format!("{name} inherits from {our_name}, and would connect through it"))
        .collect();
    let sql = include_str!("sql/strangers_as_us.sql");
    let strangers = sessions::named_by(inside, side, sql, &[]).await?;
    if !strangers.is_empty() {
        holes.push(format!(
            "others connect as {our_name} too, and cannot be told from Trunkline: {}",
            list(&strangers)
        ));
    }
    // From 16 on a membership may come without the right to take the role's place.
    let kind = if inside.version().major() >= 16 {
        "SET"
    } else {
        "MEMBER"
    };
    let sql = include_str!("sql/not_restorable.sql");
    let rows = inside.query(sql, &[&kind]).await.on(side, doing)?;
    for row in &rows {
        let (by, to): (String, String) = (row.get(0).on(side, doing)?, row.get(1).on(side, doing)?);
        holes.push(format!(
            "the right to connect that {by} granted to {to} could not be given back as it is"
        ));
    }
    Ok(holes)
}

async fn first_column(session: &mut Session, sql: &str) -> Result<Vec<String>, PgError> {
    let rows = session.query(sql, &[]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}
