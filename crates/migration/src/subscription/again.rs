//! A table whose own copy cannot go on is copied again. Its process applies what changed during
//! its copy from a slot of its own, drops that slot, and only then commits that it is done
//! (`process_syncing_tables_for_sync` in the server's `tablesync.c`): where it is killed in
//! between, its connection is cut, or the target crashes before the commit is on its disk, the
//! server asks for the slot again every few seconds, for ever. Holds always: the table is
//! forgotten by the subscription before it is emptied, and what was begun is in the journal.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{OnSide, PgError, Session};

use super::{resume, system, to_rest};
use crate::error::Error;
use crate::journal::Entry;
use crate::limits::LOCK_WAITS;
use crate::observer::Notice;
use crate::phases::prepare::outlast_commits_under_way;
use crate::phases::publication;
use crate::phases::verifying::coverage;
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
    tables: &BTreeSet<TableName>,
) -> Result<(), Error> {
    let listed: Vec<String> = tables.iter().map(TableName::to_string).collect();
    let listed = listed.join(", ");
    refuse_given(run, &listed)?;
    run.observer.notice(Notice::Warning(&format!(
        "the subscription's own copy cannot go on, because the slot of its changes is gone: {listed}; \
         copied again from the beginning"
    )));
    let mut again = BTreeMap::new();
    for publication in run.publications(run.leg()?) {
        let of = [publication.clone()];
        let published = coverage::published(source, Side::Source, &of).await?;
        again.insert(
            publication,
            tables.intersection(&published).cloned().collect(),
        );
    }
    run.control.record(Entry::CopyingAgain(again)).await?;
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
///
/// The subscription rests while they are emptied, because its process does not look again at the
/// state of a table that was ready; a table that it does not know it passes over. A transaction that wrote one of these tables before it was published
/// again, and commits behind that, can leave the source's decoder with what it knew of the table
/// before: for good, in versions before 18, 17.5, 16.9, 15.13 and 14.18. All of these are waited
/// for, and then the publication is said once more, so that every decoder looks anew.
pub(super) async fn go_on(
    run: &mut Run<'_>,
    source: &mut Session,
    to: &mut Session,
) -> Result<(), Error> {
    let again = run.control.state().copying_again.clone();
    if again.is_empty() {
        return Ok(());
    }
    run.step("tables are copied again");
    let leg = run.leg()?.clone();
    let name = leg.slot.name.clone();
    for (publication, tables) in &again {
        publication::take_out(run, source, publication, tables).await?;
    }
    refresh(to, &name).await?;
    to_rest(run, to, &name).await?;
    empty(run, again.values().flatten()).await?;
    for (publication, tables) in &again {
        publication::put_in(run, source, publication, tables).await?;
    }
    resume(run, &leg, &name, source, to).await?;
    outlast_commits_under_way(run, source, "the subscription").await?;
    for publication in again.keys() {
        let said = publication::say_again(source, publication).await;
        said.on(Side::Source, "saying the publication again")?;
    }
    refresh(to, &name).await?;
    run.control
        .record(Entry::CopyingAgain(BTreeMap::new()))
        .await
}

/// The subscription forgets what is not published, with its slots and origins, and begins to
/// copy what is new.
async fn refresh(to: &mut Session, name: &str) -> Result<(), Error> {
    let sql = format!(
        "ALTER SUBSCRIPTION {} REFRESH PUBLICATION WITH (copy_data = true)",
        quote_ident(name)
    );
    let doing = "having the subscription read its publication again";
    to.batch(&sql).await.on(Side::Target, doing)?;
    Ok(())
}

/// Empties them, all or none, without triggers. What another table refers to cannot be
/// truncated.
async fn empty(run: &Run<'_>, tables: impl Iterator<Item = &TableName>) -> Result<(), Error> {
    let doing = "emptying tables that are copied again";
    let opened = trunkline_apply::open_session(&run.plan.target).await;
    let mut to = opened.map_err(|cause| Error::Apply {
        to: Side::Target,
        cause,
    })?;
    let begin = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_WAITS}'");
    to.batch(&begin).await.on(Side::Target, doing)?;
    for table in tables {
        let row = to
            .query_one(
                include_str!("../sql/subscription/how_to_empty.sql"),
                &[&table.schema.as_str(), &table.name.as_str()],
            )
            .await
            .on(Side::Target, doing)?;
        let (is_partitioned, is_referred_to): (bool, bool) = (
            row.get(0).on(Side::Target, doing)?,
            row.get(1).on(Side::Target, doing)?,
        );
        let only = if is_partitioned { "" } else { "ONLY " };
        let listed = format!("{only}{}", table.quoted());
        let sql = if is_referred_to {
            format!("DELETE FROM {listed}")
        } else {
            format!("TRUNCATE TABLE {listed}")
        };
        to.batch(&sql).await.on(Side::Target, doing)?;
        let left = format!("SELECT EXISTS (SELECT FROM {listed})");
        let left = to.query_one(&left, &[]).await.and_then(|row| row.get(0));
        if left.on(Side::Target, doing)? {
            return Err(Error::Refused {
                why: format!("{table} is to be copied again, and does not become empty"),
                hint: "a rule or a policy of the target keeps its rows: take it away, and \
                       `trunkline run` goes on"
                    .to_owned(),
            });
        }
    }
    to.batch("COMMIT").await.on(Side::Target, doing)?;
    to.close().await;
    Ok(())
}
