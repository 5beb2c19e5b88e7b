//! What a standing fence would let through, looked for before clients are held.

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{OnSide, PgError, Session};

use super::before::{Authority, Now, settings_before};
use super::error::{FenceError, Intruder, list};
use super::sessions;
use super::standing::superusers_that_write;

/// What would get through without a session's saying so, but is bound by the database's
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct BoundByDefault {
    /// Superusers' sessions that are not ours, such as an application's.
    pub(crate) superusers: Vec<Intruder>,
}

/// Refuses where our role may not change the database.
pub(super) fn owned(now: &Now, side: Side) -> Result<(), FenceError> {
    if now.authority != Authority::None {
        return Ok(());
    }
    let (owner, ours) = (quote_ident(&now.owner_name), quote_ident(&now.our_name));
    let remedy = if now.owner_is_superuser {
        let database = quote_ident(&now.settings.database);
        format!("ALTER DATABASE {database} OWNER TO {ours};")
    } else {
        format!("GRANT {owner} TO {ours};")
    };
    Err(FenceError::NotAllowed {
        side,
        why: format!(
            "only its database's owner, {}, may close it",
            now.owner_name
        ),
        remedy,
    })
}

/// Whether our role has the rights that raising a fence takes: to be asked before its intent is
/// journalled, and whatever is to become of the way back.
pub(crate) async fn may_be_raised(inside: &mut Session, side: Side) -> Result<(), FenceError> {
    let database = settings_before(inside, side).await?.database;
    let now = Now::read(inside, side, &database).await?;
    owned(&now, side)?;
    let doing = "looking whose sessions the fence may end";
    let stay = first_column(inside, include_str!("sql/not_ended_by_us.sql")).await;
    let stay = stay.on(side, doing)?;
    if stay.is_empty() {
        return Ok(());
    }
    let ours = quote_ident(&now.our_name);
    Err(FenceError::NotAllowed {
        side,
        why: format!("our role may not end the sessions of {}", stay.join(", ")),
        remedy: format!("GRANT pg_signal_backend TO {ours};"),
    })
}

/// Whether a standing fence that lets our role in can be kept: to be asked before clients are
/// held. Refuses by name what would get through.
pub(crate) async fn may_stand(
    inside: &mut Session,
    side: Side,
) -> Result<BoundByDefault, FenceError> {
    may_stand_without(inside, side, None).await
}

/// The same of the time when this subscription of ours is gone.
pub(crate) async fn may_stand_without(
    inside: &mut Session,
    side: Side,
    ours: Option<&str>,
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
            .filter(|name| Some(name.as_str()) != ours)
            .map(|name| format!("the subscription {name} writes into the database; disable it")),
    );
    if now.authority != Authority::Superuser {
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
