//! The standing fence: the side that does not serve lets Trunkline's role in, and superusers,
//! who by default cannot write. Also how any fence is lifted.

use std::fmt::Write as _;

use trunkline_changes::{Side, quote_ident, quote_literal};
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::before::{Authority, FenceBefore, Now};
use super::grants::{self, Names};

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
    let statements = to_let_ourselves_in(outside, before, &now).await;
    together(outside, &statements.on(side, doing)?)
        .await
        .on(side, doing)?;
    Ok(if now.authority == Authority::Superuser {
        AfterSwitch::ReadableBySuperusers
    } else {
        AfterSwitch::OpenToTrunkline
    })
}

pub(super) async fn to_let_ourselves_in(
    session: &mut Session,
    before: &FenceBefore,
    now: &Now,
) -> Result<Vec<String>, PgError> {
    let mut statements = to_keep_others_out(session, now).await?;
    let database = quote_ident(&before.database);
    let mut open = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true");
    if now.authority != Authority::Superuser {
        // Writing to a String cannot fail.
        let _ = write!(open, " CONNECTION LIMIT {}", before.connection_limit);
    }
    statements.push(open);
    Ok(statements)
}

/// The doors of a limited fence: as the standing one, from inside.
pub(super) async fn shut(inside: &mut Session, side: Side, database: &str) -> Result<(), Fault> {
    let now = Now::read(inside, side, database).await?;
    let doing = "closing the database to others";
    let statements = to_keep_others_out(inside, &now).await.on(side, doing)?;
    together(inside, &statements).await.on(side, doing)
}

/// What keeps others out while our role comes in.
async fn to_keep_others_out(session: &mut Session, now: &Now) -> Result<Vec<String>, PgError> {
    let database = quote_ident(&now.settings.database);
    let mut statements = vec![format!(
        "ALTER DATABASE {database} SET default_transaction_read_only = on"
    )];
    if now.authority == Authority::Superuser {
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
    let statements = to_lift(outside, before, &now).await.on(side, doing)?;
    if statements.is_empty() {
        return Ok(());
    }
    together(outside, &statements).await.on(side, doing)
}

pub(super) async fn to_lift(
    session: &mut Session,
    before: &FenceBefore,
    now: &Now,
) -> Result<Vec<String>, PgError> {
    let database = quote_ident(&before.database);
    let read_only = match &before.read_only {
        Some(value) => format!(
            "SET default_transaction_read_only = {}",
            quote_literal(value)
        ),
        None => "RESET default_transaction_read_only".to_owned(),
    };
    let mut statements = restored_grants(session, before, now).await?;
    // Whoever may change the database says it in any case: a statement of the fence that was
    // given up may end later than we look, and meets this one at the database's row. A role
    // that may not has no such statement, and needs no right for what stands already.
    let always = now.authority != Authority::None;
    if always || now.settings.read_only != before.read_only {
        statements.push(format!("ALTER DATABASE {database} {read_only}"));
    }
    let open = now.allows_connections && now.settings.connection_limit == before.connection_limit;
    if always || !open {
        statements.push(format!(
            "ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT {}",
            before.connection_limit
        ));
    }
    Ok(statements)
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

pub(super) async fn superusers_that_write(
    session: &mut Session,
    database: &str,
) -> Result<Vec<String>, PgError> {
    let sql = include_str!("sql/superusers_that_write.sql");
    let rows = session.query(sql, &[&database]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}
