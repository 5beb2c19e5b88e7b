//! Consumers of changes beside us: their logical slots are made anew on the server that is
//! about to serve, and handed over inside the pause. Before the pause: `examine`, the
//! receipts, `make`, and `catch_up` as the last thing before clients are held. Inside it,
//! after the barrier: `hand_over`. Given up: `drop_made`.
//!
//! Why nothing is lost: between the barrier and the new slot's position no client writes
//! anywhere, so the old slot holds every change up to the barrier and the new one every change
//! after the switch. A consumer that had not read everything ends with the old slot first.

mod slot;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use crate::error::Error;
use crate::limits::SLOT_MADE_WITHIN;
use slot::{Slot, named, slots_of};

/// A consumer's slot as it is made on the server that is about to serve. The receipt for it:
/// `examine` saw that no slot of this name stood there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownstreamSlot {
    /// Its name, the same on both servers.
    pub name: String,
    /// The output plugin.
    pub plugin: String,
    /// Whether prepared transactions are decoded when they are prepared.
    pub two_phase: bool,
    /// Whether it is kept on standbys, where both servers can do that.
    pub failover: bool,
}

/// A consumer's slot that was handed over: from where it goes on, and how far it had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// The slot on the server that was left.
    pub slot: String,
    /// Its output plugin.
    pub plugin: String,
    /// What its consumer had confirmed there.
    pub old_confirmed_lsn: Option<Lsn>,
    /// The position there after the last change.
    pub barrier_lsn: Lsn,
    /// Whether the consumer had confirmed everything. If not, it reads the old slot up to
    /// `barrier_lsn` before it goes on with the new one.
    pub caught_up: bool,
    /// The slot on the server that serves now.
    pub new_slot: String,
    /// The position there from which it gives changes.
    pub new_position: Lsn,
}

/// What is to be made on `to` for the slots that the plan names, seen to be possible. `made`
/// are the receipts of an earlier attempt: what they name may stand there already.
pub(crate) async fn examine(
    from: &mut Session,
    to: &mut Session,
    to_side: Side,
    slots: &[String],
    made: &[DownstreamSlot],
) -> Result<Vec<DownstreamSlot>, Error> {
    let from_side = to_side.other();
    let there = slots_of(from, from_side).await?;
    let standing = slots_of(to, to_side).await?;
    let both_fail_over = from.version().major() >= 17 && to.version().major() >= 17;
    let mut wanted = Vec::new();
    for name in slots {
        let slot = named(&there, name, from_side)?;
        let wants = DownstreamSlot {
            name: slot.name.clone(),
            plugin: slot.plugin.clone(),
            two_phase: slot.two_phase && to.version().major() >= 14,
            failover: slot.failover && both_fail_over,
        };
        let stands = standing.iter().find(|standing| standing.name == wants.name);
        if stands.is_some() && !made.contains(&wants) {
            return Err(Error::Refused {
                why: format!(
                    "a slot named `{name}` stands on the {to_side} already, and this migration did \
                     not make it"
                ),
                hint: format!(
                    "if nobody needs it, drop it there: SELECT pg_drop_replication_slot('{name}')"
                ),
            });
        }
        wanted.push(wants);
    }
    Ok(wanted)
}

/// Refuses where a consumer has not read the slot that it left up to the barrier: to go on
/// with that slot later, it will be moved to where clients are by then.
pub(crate) async fn all_read(
    to: &mut Session,
    side: Side,
    left_at: Lsn,
    slots: &[DownstreamSlot],
) -> Result<(), Error> {
    for standing in slots_of(to, side).await? {
        let ours = slots.iter().any(|slot| slot.name == standing.name);
        if !ours || standing.confirmed.is_some_and(|read| read >= left_at) {
            continue;
        }
        let name = &standing.name;
        return Err(Error::Refused {
            why: format!(
                "the consumer of the slot `{name}` has not confirmed everything up to {left_at} \
                 on the {side}, and what it has not read there would be skipped"
            ),
            hint: format!(
                "let it read on there; if it has, say so on the {side}: SELECT \
                 pg_replication_slot_advance('{name}', '{left_at}')"
            ),
        });
    }
    Ok(())
}

/// Makes the slots. What an earlier attempt made stays. If one cannot be made, those that this
/// call made are dropped again.
pub(crate) async fn make(
    to: &mut Session,
    side: Side,
    slots: &[DownstreamSlot],
) -> Result<(), Error> {
    let standing = slots_of(to, side).await?;
    let mut made: Vec<DownstreamSlot> = Vec::new();
    for slot in slots {
        if standing.iter().any(|standing| standing.name == slot.name) {
            continue;
        }
        if let Err(error) = make_one(to, slot).await {
            drop_made(to, side, &made).await?;
            return Err(cannot_be_made(error, side, slot));
        }
        made.push(slot.clone());
    }
    Ok(())
}

async fn make_one(to: &mut Session, slot: &DownstreamSlot) -> Result<(), PgError> {
    let mut sql = "SELECT pg_create_logical_replication_slot($1::name, $2::name".to_owned();
    if slot.two_phase {
        sql.push_str(", twophase => true");
    }
    if slot.failover {
        sql.push_str(", failover => true");
    }
    sql.push(')');
    // The server waits for every transaction that runs on it; that must not be for ever.
    let within = format!("SET statement_timeout = {}", SLOT_MADE_WITHIN.as_millis());
    to.batch(&within).await?;
    let made = to.query(&sql, &[&slot.name, &slot.plugin]).await;
    if !to.is_broken() {
        to.batch("SET statement_timeout = 0").await?;
    }
    made.map(|_row| ())
}

fn cannot_be_made(error: PgError, side: Side, slot: &DownstreamSlot) -> Error {
    let DownstreamSlot { name, plugin, .. } = slot;
    let hint = match error.sqlstate().map_or("", |state| state.as_str()) {
        "58P01" | "42883" => format!("install the output plugin `{plugin}` on the {side}"),
        "55000" => format!("set wal_level = logical on the {side} and restart it"),
        "53400" => format!("raise max_replication_slots on the {side} and restart it"),
        "42501" => format!("our role needs REPLICATION on the {side}"),
        "57014" => format!("end the transactions that have run longest on the {side}"),
        _ => {
            let doing = format!("making the slot {name}");
            return Error::Server(Fault {
                side,
                doing,
                cause: error,
            });
        }
    };
    Error::Refused {
        why: format!(
            "the slot `{name}` with the plugin `{plugin}` cannot be made on the {side}: {error}"
        ),
        hint,
    }
}

/// Moves the new slots to the server's current position. To be called shortly before clients
/// are held: what was written since they were made is then decoded outside of the pause.
pub(crate) async fn catch_up(
    to: &mut Session,
    side: Side,
    slots: &[DownstreamSlot],
) -> Result<(), Error> {
    for slot in slots {
        // What is not on disk yet is moved over inside the pause.
        advance(to, slot).await.on(side, moving(slot))?;
    }
    Ok(())
}

fn moving(slot: &DownstreamSlot) -> String {
    format!("moving the slot {} to the current position", slot.name)
}

/// A slot moves only over log that is on disk: a commit of our own sees to that for everything
/// that was written before it, whatever those commits waited for.
async fn flush(to: &mut Session) -> Result<(), PgError> {
    let sql = "BEGIN; SET LOCAL synchronous_commit = local; \
               SELECT pg_logical_emit_message(true, 'trunkline', 'hand over'); COMMIT";
    to.batch(sql).await.map(|_rows| ())
}

async fn advance(to: &mut Session, slot: &DownstreamSlot) -> Result<Lsn, PgError> {
    let sql = "SELECT end_lsn::text FROM pg_replication_slot_advance($1::name, \
               pg_current_wal_flush_lsn())";
    to.query_one(sql, &[&slot.name]).await?.get(0)
}

/// Hands the slots over, with both servers at rest: `barrier` is the position of `from` after
/// its last change, and everything up to it is on `to`.
pub(crate) async fn hand_over(
    from: &mut Session,
    to: &mut Session,
    to_side: Side,
    barrier: Lsn,
    slots: &[DownstreamSlot],
) -> Result<Vec<HandedOver>, Error> {
    let from_side = to_side.other();
    let there = slots_of(from, from_side).await?;
    flush(to).await.on(to_side, "writing the log to disk")?;
    let mut rows = Vec::new();
    for slot in slots {
        let old = named(&there, &slot.name, from_side)?;
        let new_position = advance(to, slot).await.on(to_side, moving(slot))?;
        rows.push(HandedOver {
            slot: old.name.clone(),
            plugin: slot.plugin.clone(),
            old_confirmed_lsn: old.confirmed,
            barrier_lsn: barrier,
            caught_up: old.confirmed.is_some_and(|confirmed| confirmed >= barrier),
            new_slot: slot.name.clone(),
            new_position,
        });
    }
    Ok(rows)
}

/// Drops the slots that we made for a cutover that was given up. One that is gone is no error;
/// one that somebody reads from is.
pub(crate) async fn drop_made(
    to: &mut Session,
    side: Side,
    made: &[DownstreamSlot],
) -> Result<(), Error> {
    let standing = slots_of(to, side).await?;
    let ours = |slot: &&Slot| {
        made.iter()
            .any(|made| made.name == slot.name && made.plugin == slot.plugin)
    };
    for slot in standing.iter().filter(ours) {
        let sql = "SELECT pg_drop_replication_slot($1::name)";
        let dropped = to.query(sql, &[&slot.name]).await;
        let Err(error) = dropped else { continue };
        match error.sqlstate().map_or("", |state| state.as_str()) {
            // Dropped by somebody else in between.
            "42704" => {}
            "55006" => {
                return Err(Error::Refused {
                    why: format!(
                        "the slot `{}` that was made on the {side} is being read from",
                        slot.name
                    ),
                    hint: "point its consumer back to the server that serves, then do this again"
                        .to_owned(),
                });
            }
            _ => {
                return Err(Error::Server(Fault {
                    side,
                    doing: format!("dropping the slot {}", slot.name),
                    cause: error,
                }));
            }
        }
    }
    Ok(())
}
