//! The log of changes of structure on the source, of a plan with `ddl = "log"` or `"replay"`.
//!
//! Needs: a role that may make event triggers. Does: a function in the schema `trunkline` and
//! two event triggers, before the leg's slot, so that no change between is missed. Looks: makes
//! it anew. Undone: with the rest of what a leg follows, by its receipt.

use std::sync::Arc;

use trunkline_apply::{DdlLog, DdlOptions, ForeignKeys, LoggedChange};
use trunkline_changes::Side;
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::journal::{Entry, Leg, Object};
use crate::phase::Phase;
use crate::plan::{Plan, StructurePlan};
use crate::run::Run;
use crate::way::Way;

/// Makes the log that a leg's changes bring along, if the plan wants one.
pub(crate) async fn make(
    run: &mut Run<'_>,
    from: &mut Session,
    way: Way,
    number: u32,
) -> Result<(), Error> {
    if way != Way::There || run.plan.ddl.is_none() {
        return Ok(());
    }
    run.step("log of changes of structure");
    let (side, name) = (way.from(), run.control.identity().object_name(number));
    let log = DdlLog::new(&name);
    run.control
        .record(Entry::Making(Object::DdlLog { side, name }))
        .await?;
    let made = from.batch(&log.make_sql()).await;
    made.on(side, "making the log of changes of structure")?;
    Ok(())
}

/// Removes one.
pub(crate) async fn remove(session: &mut Session, side: Side, name: &str) -> Result<(), Error> {
    let removed = session.batch(&DdlLog::new(name).remove_sql()).await;
    removed.on(side, "removing the log of changes of structure")?;
    Ok(())
}

/// What `prepare` does for it, as `plan` shows it.
pub(crate) fn statements(plan: &Plan, name: &str) -> Vec<String> {
    if plan.ddl.is_none() {
        return Vec::new();
    }
    let [end, drop] = DdlLog::new(name).triggers();
    vec![
        format!("CREATE SCHEMA trunkline; CREATE FUNCTION trunkline.\"{name}_ddl\"()"),
        format!(
            "CREATE EVENT TRIGGER \"{end}\" ON ddl_command_end; CREATE EVENT TRIGGER \"{drop}\" ON sql_drop"
        ),
    ]
}

/// How the applier of a leg treats what the log tells. A log that was not made with the leg
/// would leave out what was changed before it.
pub(crate) fn options(run: &Run<'_>, leg: &Leg) -> Result<Option<DdlOptions>, Error> {
    let (Way::There, Some(mode)) = (leg.way, run.plan.ddl) else {
        return Ok(None);
    };
    let receipt = Object::DdlLog {
        side: leg.way.from(),
        name: leg.slot.name.clone(),
    };
    if !run.control.state().receipts.contains(&receipt) {
        return Err(Error::Refused {
            why: "the plan's `ddl` asks for a log of changes of structure, and this migration was \
                  begun without one"
                .to_owned(),
            hint: "take `ddl` out of the plan; or abort, and begin again with it".to_owned(),
        });
    }
    let scope = run.plan.scope.clone();
    Ok(Some(DdlOptions {
        mode,
        log: DdlLog::new(&leg.slot.name),
        in_scope: Arc::new(move |table| scope.covers_table(table)),
        foreign_keys: match (run.control.state().phase, &run.plan.structure) {
            // They are made after the first catching up; or whoever made the tables left them out.
            (Phase::Loaded, _) | (_, StructurePlan::Present) => ForeignKeys::NotYet,
            _ => ForeignKeys::There,
        },
    }))
}

/// A change of structure that nobody has looked at blocks a switch.
pub(crate) async fn none_open(run: &Run<'_>, session: &mut Session) -> Result<(), Error> {
    let (side, doing) = (run.way().to(), "reading trunkline.ddl_log");
    let name = &run.control.identity().name;
    let open = trunkline_apply::changes_to_look_at(session, name).await;
    let open = open.on(side, doing)?;
    let Some(first) = open.first() else {
        return Ok(());
    };
    let listed: Vec<String> = open
        .iter()
        .map(|change| {
            format!(
                "#{} {} of {}: {}",
                change.id, change.tag, change.object, change.note
            )
        })
        .collect();
    Err(Error::Refused {
        why: format!(
            "changes of the source's structure are to be looked at: {}",
            listed.join("; ")
        ),
        hint: match open.iter().find(|change| change.stops) {
            Some(LoggedChange { id, .. }) => format!(
                "say on the {side} what to run in the place of #{id}: UPDATE trunkline.ddl_log SET \
                 instead = 'ALTER TABLE …' WHERE id = {id}; then `trunkline run`"
            ),
            None => format!(
                "make each on the {side}, where it is wanted, then say so there: UPDATE \
                 trunkline.ddl_log SET state = 'done' WHERE id = {}",
                first.id
            ),
        },
    })
}
