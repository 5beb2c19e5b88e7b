//! The native subscription of the first leg: made, let run, brought to rest and removed. Holds
//! always: it is made disabled behind its receipt, and it is let run only from the position
//! that the target holds, so that no change is applied twice or left out.

mod again;
mod look;
mod options;
mod removing;
pub(crate) mod status;
pub(crate) mod syncing;

use std::time::Duration;

use tokio::time::Instant;
use trunkline_changes::{Lsn, Side, quote_ident, quote_literal};
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::limits::{SUBSCRIPTION_LOOK, SUBSCRIPTION_RESTS_WITHIN};
use crate::plan::{RowsBy, SubscriptionPlan};
use crate::run::Run;
use crate::way::Way;
use look::tables;
pub(crate) use look::{Seen, SlotSeen, seen, slot_seen};
use options::{Ground, options};
use removing::system;
pub(crate) use removing::{remove, remove_alone};

/// Another session holds what is asked for: a slot, or an origin.
const IN_USE: &str = "55006";

/// The subscription's name, where the first leg is followed by one that stands.
pub(crate) async fn standing(run: &mut Run<'_>) -> Result<Option<String>, Error> {
    let Some(name) = run.control.state().subscription().map(str::to_owned) else {
        return Ok(None);
    };
    let mut to = run.connect(Side::Target, "subscription").await?;
    let stands = seen(&mut to, &name).await?.is_some();
    to.close().await;
    Ok(stands.then_some(name))
}

/// The plan's part about it, for a route that is meant to have one.
pub(crate) fn planned<'a>(run: &Run<'a>) -> Result<&'a SubscriptionPlan, Error> {
    run.plan.route.subscription().ok_or_else(|| Error::Refused {
        why: "the migration follows by a subscription, and the plan does not say so any more"
            .to_owned(),
        hint: "put `route = \"subscription\"` back into the plan".to_owned(),
    })
}

/// Makes it, disabled, unless it stands.
pub(crate) async fn ensure(run: &mut Run<'_>, rows: RowsBy) -> Result<String, Error> {
    let leg = run.leg()?.clone();
    let name = leg.slot.name.clone();
    let plan = planned(run)?;
    let making = Object::Subscription { name: name.clone() };
    run.control.record(Entry::Making(making)).await?;
    let mut to = run.connect(Side::Target, "subscription").await?;
    if seen(&mut to, &name).await?.is_some() {
        to.close().await;
        return Ok(name);
    }
    run.step("subscription");
    let source = run.connect(Side::Source, "subscription").await?;
    let ground = Ground {
        source_major: source.version().major(),
        target_major: to.version().major(),
        slot: &leg.slot.name,
        rows,
        binary: plan.binary,
        superuser: is_superuser(&mut to).await?,
    };
    source.close().await;
    let publications = run.publications(&leg);
    let publications: Vec<String> = publications.iter().map(|name| quote_ident(name)).collect();
    let sql = format!(
        "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH ({})",
        quote_ident(&name),
        quote_literal(&plan.connection.for_another_server()),
        publications.join(", "),
        options(&ground)
    );
    to.batch(&sql).await.map_err(|error| refused(plan, error))?;
    to.close().await;
    Ok(name)
}

async fn is_superuser(to: &mut Session) -> Result<bool, Error> {
    let sql = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let row = to.query_one(sql, &[]).await;
    let superuser = row.and_then(|row| row.get(0));
    Ok(superuser.on(Side::Target, "reading the rights of our role")?)
}

/// What the target says when it cannot reach the source is not a lost connection of ours, and
/// doing it again does not help.
pub(crate) fn refused(plan: &SubscriptionPlan, error: PgError) -> Error {
    let state = error.sqlstate().map(|state| state.as_str().to_owned());
    match state.as_deref() {
        Some(state) if state.starts_with("08") => Error::Refused {
            why: format!(
                "the target's server cannot reach the source at {}: {error}",
                plan.connection.label()
            ),
            hint: "say in the plan's [subscription] `connection` how the source is reached from \
                   there, and in `password_env` where the password is; pg_hba.conf of the source \
                   must let it in"
                .to_owned(),
        },
        Some("42501" | "2F003") => Error::Refused {
            why: format!("our role may not make a subscription on the target: {error}"),
            hint: "it needs to be a superuser there; or, from version 16 on, \
                   GRANT pg_create_subscription and CREATE on the database, and a connection with \
                   a password"
                .to_owned(),
        },
        _ => Err::<(), _>(error)
            .on(Side::Target, "making the subscription")
            .map_or_else(Error::from, |()| Error::internal(&"no error")),
    }
}

/// Points it to the source as the plan says by now: a password that was changed.
pub(crate) async fn renew_connection(
    run: &Run<'_>,
    to: &mut Session,
    name: &str,
) -> Result<(), Error> {
    let Some(plan) = run.plan.route.subscription() else {
        return Ok(());
    };
    let wanted = plan.connection.for_another_server();
    let sql = "SELECT subconninfo FROM pg_catalog.pg_subscription WHERE subname = $1 \
               AND subdbid = (SELECT oid FROM pg_catalog.pg_database \
                               WHERE datname = pg_catalog.current_database())";
    // Where we may not read it, it is written: a server that finds it unchanged does nothing.
    if let Ok(Some(row)) = to.query_opt(sql, &[&name]).await
        && row.get::<String>(0).is_ok_and(|stands| stands == wanted)
    {
        return Ok(());
    }
    let sql = format!(
        "ALTER SUBSCRIPTION {} CONNECTION {}",
        quote_ident(name),
        quote_literal(&wanted)
    );
    let doing = "telling the subscription how the source is reached";
    to.batch(&sql).await.on(Side::Target, doing)?;
    Ok(())
}

/// Lets it run, from the position that the target holds.
pub(crate) async fn resume(
    run: &Run<'_>,
    leg: &Leg,
    name: &str,
    source: &mut Session,
    to: &mut Session,
) -> Result<(), Error> {
    let now = seen(to, name).await?.ok_or_else(|| gone(name))?;
    if now.enabled {
        return Ok(());
    }
    let doing = "letting the subscription run";
    let progress = trunkline_apply::read_progress(to, &run.control.identity().name).await;
    let applied = progress
        .on(Side::Target, doing)?
        .map_or(Lsn::ZERO, |progress| progress.applied);
    if applied > now.origin {
        // Our own engine came further than its worker: what it applied is not to come again.
        to_rest(run, to, name).await?;
        let origin = format!("pg_{}", now.oid);
        let sql = "SELECT pg_catalog.pg_replication_origin_advance($1, $2::pg_lsn)";
        patiently(to, Side::Target, sql, &origin, applied).await?;
        // A commit that waits for the disk, and with it for what was written before it.
        let sql = "UPDATE trunkline.progress SET updated_at = pg_catalog.clock_timestamp() \
                   WHERE migration = $1::text";
        let migration = &run.control.identity().name;
        to.execute(sql, &[migration])
            .await
            .on(Side::Target, doing)?;
    }
    let slot = slot_seen(source, &leg.slot.name).await?;
    if applied > slot.confirmed {
        let sql = "SELECT pg_catalog.pg_replication_slot_advance($1, $2::pg_lsn)";
        patiently(source, Side::Source, sql, &leg.slot.name, applied).await?;
    }
    let sql = format!("ALTER SUBSCRIPTION {} ENABLE", quote_ident(name));
    to.batch(&sql).await.on(Side::Target, doing)?;
    Ok(())
}

/// Asks again while the one who had it before has not let it go.
async fn patiently(
    session: &mut Session,
    side: Side,
    sql: &str,
    name: &str,
    position: Lsn,
) -> Result<(), Error> {
    let until = Instant::now() + SUBSCRIPTION_RESTS_WITHIN;
    loop {
        match session.query(sql, &[&name, &position]).await {
            Ok(_) => return Ok(()),
            Err(error)
                if error
                    .sqlstate()
                    .is_some_and(|state| state.as_str() == IN_USE)
                    && Instant::now() < until =>
            {
                tokio::time::sleep(SUBSCRIPTION_LOOK).await;
            }
            Err(error) => return Ok(Err(error).on(side, "moving the subscription's position")?),
        }
    }
}

/// The one that the journal speaks of is not there.
pub(crate) fn gone(name: &str) -> Error {
    Error::Refused {
        why: format!("the subscription {name} is not on the target any more"),
        hint: "changes may be missing: `trunkline abort`, then start again".to_owned(),
    }
}

/// Its slot is gone or invalidated: the server would ask for it for ever.
pub(crate) fn refuse_without_slot(slot: &SlotSeen, name: &str) -> Result<(), Error> {
    if slot.usable {
        return Ok(());
    }
    Err(Error::Refused {
        why: format!(
            "the slot {name} of the subscription is gone from the source, or invalidated: changes \
             are lost"
        ),
        hint: "`trunkline abort`, then start again; max_slot_wal_keep_size and, from version 18 \
               on, idle_replication_slot_timeout of the source can invalidate a slot"
            .to_owned(),
    })
}

/// Asks it to stop, without waiting for its end.
pub(crate) async fn disable(to: &mut Session, name: &str) -> Result<(), Error> {
    let sql = format!("ALTER SUBSCRIPTION {} DISABLE", quote_ident(name));
    to.batch(&sql)
        .await
        .on(Side::Target, "bringing the subscription to rest")?;
    Ok(())
}

/// Disables it, and waits until none of its processes is left. What they are in the middle of
/// is rolled back when they do not end by themselves.
pub(crate) async fn to_rest(run: &Run<'_>, to: &mut Session, name: &str) -> Result<Seen, Error> {
    /// A worker that has nothing to do looks once a second whether it is wanted.
    const BY_ITSELF: Duration = Duration::from_millis(1_500);
    disable(to, name).await?;
    let began = Instant::now();
    let mut asked = false;
    loop {
        let now = seen(to, name).await?.ok_or_else(|| gone(name))?;
        if now.workers == 0 {
            return Ok(now);
        }
        run.stop_if_cancelled()?;
        if began.elapsed() > BY_ITSELF && !asked {
            asked = true;
            let sql = "SELECT pg_catalog.pg_terminate_backend(pid) \
                       FROM pg_catalog.pg_stat_subscription WHERE subid = $1::bigint::oid";
            if let Err(error) = to.query(sql, &[&now.oid]).await {
                tracing::warn!(%error, "the subscription's processes end by themselves");
            }
        }
        tokio::time::sleep(SUBSCRIPTION_LOOK).await;
    }
}

/// A command that ends early does not leave at rest what goes on by itself otherwise.
pub(crate) async fn leave_running(run: &mut Run<'_>) {
    if let Err(error) = go_on(run).await {
        tracing::warn!(%error, "the subscription rests until `trunkline run`");
    }
}

/// After a switch that was given up: it runs again, as before.
pub(crate) async fn go_on(run: &mut Run<'_>) -> Result<(), Error> {
    if run.way() != Way::There {
        return Ok(());
    }
    let Some(name) = standing(run).await? else {
        return Ok(());
    };
    let leg = run.leg()?.clone();
    let mut source = run.connect(Side::Source, "subscription").await?;
    let mut to = run.connect(Side::Target, "subscription").await?;
    resume(run, &leg, &name, &mut source, &mut to).await?;
    source.close().await;
    to.close().await;
    Ok(())
}
