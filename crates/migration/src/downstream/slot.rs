//! The slots of a server, as its catalog shows them.

use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;
use crate::nearest::nearest;

/// A slot of the session's database, or a physical one.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) plugin: String,
    pub(super) two_phase: bool,
    pub(super) failover: bool,
    pub(super) confirmed: Option<Lsn>,
    unfit: Option<&'static str>,
}

pub(super) async fn slots_of(session: &mut Session, side: Side) -> Result<Vec<Slot>, Error> {
    let read = read(session).await;
    Ok(read.on(side, "reading the replication slots")?)
}

async fn read(session: &mut Session) -> Result<Vec<Slot>, PgError> {
    let sql = include_str!("../sql/downstream_slots.sql");
    let mut slots = Vec::new();
    for row in session.query(sql, &[]).await? {
        let (logical, temporary, lost): (bool, bool, bool) =
            (row.get(1)?, row.get(3)?, row.get(4)?);
        let unfit = if !logical {
            Some("is a physical slot, of a standby: it cannot be handed over")
        } else if temporary {
            Some("is temporary: it goes with its consumer's connection")
        } else if lost {
            Some("is lost: the server removed log that it still needed")
        } else {
            None
        };
        slots.push(Slot {
            name: row.get(0)?,
            plugin: row.get(2)?,
            two_phase: row.get(5)?,
            failover: row.get(6)?,
            confirmed: row.get(7)?,
            unfit,
        });
    }
    Ok(slots)
}

/// The slot that the plan names, or why it cannot be handed over.
pub(super) fn named<'a>(slots: &'a [Slot], name: &str, side: Side) -> Result<&'a Slot, Error> {
    let Some(slot) = slots.iter().find(|slot| slot.name == name) else {
        let names: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
        let hint = match (nearest(name, &names), names.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "no slot of this database stands there".to_owned(),
            (None, false) => format!("there are: {}", names.join(", ")),
        };
        return Err(Error::Refused {
            why: format!(
                "the plan's [downstream] names the slot `{name}`, which is not on the {side}"
            ),
            hint,
        });
    };
    match slot.unfit {
        None => Ok(slot),
        Some(why) => Err(Error::Refused {
            why: format!("the slot `{name}` on the {side} {why}"),
            hint: "take it out of the plan's [downstream]".to_owned(),
        }),
    }
}
