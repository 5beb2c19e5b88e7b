//! A table whose own copy cannot go on is copied again. Its process applies what changed during
//! its copy from a slot of its own, drops that slot, and only then commits that it is done
//! (`process_syncing_tables_for_sync` in the server's `tablesync.c`): where it is killed in
//! between, its connection is cut, or the target crashes before the commit is on its disk, the
//! server asks for the slot again every few seconds, for ever. Holds always: the table is
//! forgotten by the subscription before it is emptied, and what was begun is in the journal.

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{OnSide, PgError, Session};

use super::{planned, refused, system};
use crate::error::Error;
use crate::journal::Entry;
use crate::observer::Notice;
use crate::phases::publication;
use crate::phases::publishing::is_insert_only;
use crate::run::Run;

/// What one look found, for the next: a process that is between two steps has another state
/// by then.
#[derive(Debug, Default)]
pub(super) struct Stranded {
    before: BTreeSet<TableName>,
}

impl Stranded {
    /// Tables whose copy cannot go on, and could not at the last look either.
    pub(super) async fn look(
        &mut self,
        source: &mut Session,
        to: &mut Session,
        name: &str,
    ) -> Result<BTreeSet<TableName>, Error> {
        let found = without_slot(source, to, name).await?;
        let stay = found.intersection(&self.before).cloned().collect();
        self.before = found;
        Ok(stay)
    }
}

/// Tables that are copied, are worked on by nobody, and whose slot is gone or lost. The target
/// is asked first: a process that comes later finds its slot, or is as stranded.
async fn without_slot(
    source: &mut Session,
    to: &mut Session,
    name: &str,
) -> Result<BTreeSet<TableName>, Error> {
    let doing = "looking for tables whose copy cannot go on";
    let rows = to
        .query(include_str!("../sql/subscription/copied.sql"), &[&name])
        .await
        .on(Side::Target, doing)?;
    if rows.is_empty() {
        return Ok(BTreeSet::new());
    }
    // Without it a slot of another server could be taken for ours: then nothing is said.
    let Some(system) = system(to).await else {
        return Ok(BTreeSet::new());
    };
    let slots = source
        .query(include_str!("../sql/subscription/usable_slots.sql"), &[])
        .await
        .on(Side::Source, doing)?;
    let slots = slots.iter().map(|row| row.get::<String>(0));
    let slots: BTreeSet<String> = slots.collect::<Result<_, _>>().on(Side::Source, doing)?;
    let read = rows.iter().map(|row| {
        let slot = format!("{}{system}", row.get::<String>(2)?);
        Ok::<_, PgError>((!slots.contains(&slot)).then_some(row.table_name(0, 1)?))
    });
    let found: Result<Vec<_>, _> = read.collect();
    Ok(found
        .on(Side::Target, doing)?
        .into_iter()
        .flatten()
        .collect())
}

/// Has the subscription copy these tables again.
pub(super) async fn begin(
    run: &mut Run<'_>,
    source: &mut Session,
    to: &mut Session,
    tables: BTreeSet<TableName>,
) -> Result<(), Error> {
    let listed: Vec<String> = tables.iter().map(TableName::to_string).collect();
    let listed = listed.join(", ");
    refuse_given(run, &listed)?;
    run.observer.notice(Notice::Warning(&format!(
        "the subscription's own copy cannot go on, because the slot of its changes is gone: {listed}; \
         copied again from the beginning"
    )));
    run.control.record(Entry::CopyingAgain(tables)).await?;
    go_on(run, source, to).await
}

/// An administrator's publication is not ours to change.
fn refuse_given(run: &Run<'_>, listed: &str) -> Result<(), Error> {
    let Some(given) = &run.plan.publication else {
        return Ok(());
    };
    Err(Error::Refused {
        why: format!(
            "the subscription's own copy cannot go on, because the slot of its changes is gone: \
             {listed}; and the publication {given} is not ours to change"
        ),
        hint: format!(
            "`trunkline abort`, then start again; or, where {given} names its tables: take these \
             out of it on the source, ALTER SUBSCRIPTION ... REFRESH PUBLICATION on the target, \
             TRUNCATE them there, put them into {given} again, and REFRESH again"
        ),
    })
}

/// Does what the journal says is to be copied again, from the first step on: each may have been
/// done before.
pub(super) async fn go_on(
    run: &mut Run<'_>,
    source: &mut Session,
    to: &mut Session,
) -> Result<(), Error> {
    let tables = run.control.state().copying_again.clone();
    if tables.is_empty() {
        return Ok(());
    }
    run.step("tables are copied again");
    let leg = run.leg()?.clone();
    let name = leg.slot.name.clone();
    let doing = "taking tables out of the publication";
    for publication in run.publications(&leg) {
        let taken = publication::take_out(source, &publication, &tables).await;
        taken.on(Side::Source, doing)?;
    }
    refresh(run, to, &name).await?;
    empty(to, &tables).await?;
    let doing = "putting tables into the publication again";
    for publication in run.publications(&leg) {
        let of_inserts = publication != name;
        let some = tables
            .iter()
            .filter(|table| is_insert_only(run.plan, table) == of_inserts);
        let some: Vec<String> = some.map(TableName::quoted).collect();
        let put = publication::put_in(source, &publication, &some).await;
        put.on(Side::Source, doing)?;
    }
    refresh(run, to, &name).await?;
    run.control
        .record(Entry::CopyingAgain(BTreeSet::new()))
        .await
}

/// The subscription forgets what is not published, with its slots and origins, and begins to
/// copy what is new.
async fn refresh(run: &Run<'_>, to: &mut Session, name: &str) -> Result<(), Error> {
    let sql = format!(
        "ALTER SUBSCRIPTION {} REFRESH PUBLICATION WITH (copy_data = true)",
        quote_ident(name)
    );
    let plan = planned(run)?;
    to.batch(&sql).await.map_err(|error| refused(plan, error))?;
    Ok(())
}

/// Empties them, all or none. Where another table refers to one, and TRUNCATE is refused, its
/// rows are deleted; its triggers are the source's business.
async fn empty(to: &mut Session, tables: &BTreeSet<TableName>) -> Result<(), Error> {
    let doing = "emptying tables that are copied again";
    let listed: Vec<String> = tables.iter().map(TableName::quoted).collect();
    let truncate = format!("TRUNCATE TABLE ONLY {}", listed.join(", ONLY "));
    match to.batch(&truncate).await {
        Err(error) if error.sqlstate().is_some() && !to.is_broken() => {
            tracing::debug!(%error, "rows are deleted one by one");
        }
        done => return Ok(done.map(drop).on(Side::Target, doing)?),
    }
    let mut sql = "SET LOCAL session_replication_role = replica".to_owned();
    for table in &listed {
        sql.push_str("; DELETE FROM ONLY ");
        sql.push_str(table);
    }
    to.batch(&sql).await.on(Side::Target, doing)?;
    Ok(())
}
