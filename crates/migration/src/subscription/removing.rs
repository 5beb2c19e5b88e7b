//! The subscription taken away, with what its processes left on the source.

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{OnSide, Session};

use super::{seen, to_rest};
use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::run::Run;

/// Drops it. Slots that its processes made for single tables on the source get receipts first,
/// because their names hold an OID that is gone with it.
pub(crate) async fn remove(run: &mut Run<'_>, name: &str) -> Result<(), Error> {
    let mut to = run.connect(Side::Target, "clean up").await?;
    let Some(_) = seen(&mut to, name).await? else {
        to.close().await;
        return Ok(());
    };
    let at_rest = to_rest(run, &mut to, name).await?;
    let doing = "looking for the slots of single tables";
    let patterns = to
        .query_one(
            include_str!("../sql/subscription/sync_slots.sql"),
            &[&at_rest.oid],
        )
        .await;
    let pattern: Option<String> = patterns
        .and_then(|row| row.get(0))
        .on(Side::Target, doing)?;
    let system = system(&mut to).await.unwrap_or_else(|| "[0-9]+".to_owned());
    let pattern = format!("^({})_{system}$", pattern.unwrap_or_default());
    let mut source = run.connect(Side::Source, "clean up").await?;
    let rows = source
        .query(
            "SELECT slot_name::text FROM pg_catalog.pg_replication_slots \
             WHERE slot_name::text ~ $1::text AND database = pg_catalog.current_database()",
            &[&pattern],
        )
        .await
        .on(Side::Source, doing)?;
    source.close().await;
    for row in &rows {
        let name = row.get(0).on(Side::Source, doing)?;
        let side = Side::Source;
        let slot = Object::Slot { side, name };
        run.control.record(Entry::Making(slot)).await?;
    }
    drop_it(&mut to, name).await?;
    to.close().await;
    Ok(())
}

/// Which system the target is: part of the names of those slots. A provider may hide it.
pub(super) async fn system(to: &mut Session) -> Option<String> {
    let sql = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
    to.query_one(sql, &[]).await.ok()?.get(0).ok()
}

/// The same without a word to the source.
pub(crate) async fn remove_alone(run: &mut Run<'_>) -> Result<Option<String>, Error> {
    let Some(name) = run.control.state().subscription().map(str::to_owned) else {
        return Ok(None);
    };
    let mut to = run.connect(Side::Target, "clean up").await?;
    if seen(&mut to, &name).await?.is_some() {
        to_rest(run, &mut to, &name).await?;
        drop_it(&mut to, &name).await?;
    }
    to.close().await;
    let removed = Object::Subscription { name: name.clone() };
    run.control.record(Entry::Removed(removed)).await?;
    Ok(Some(format!(
        "dropped the subscription {name} on the target"
    )))
}

/// Without its slot, which has a receipt of its own: the source need not answer.
async fn drop_it(to: &mut Session, name: &str) -> Result<(), Error> {
    let doing = "dropping the subscription";
    let quoted = quote_ident(name);
    let detach = format!("ALTER SUBSCRIPTION {quoted} SET (slot_name = NONE)");
    to.batch(&detach).await.on(Side::Target, doing)?;
    let drop = format!("DROP SUBSCRIPTION {quoted}");
    to.batch(&drop).await.on(Side::Target, doing)?;
    Ok(())
}
