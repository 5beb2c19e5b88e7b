//! Where the position of somebody else's copy is found, and whether the copy can be one of
//! this source at all.

use std::path::Path;

use trunkline_changes::{Lsn, Side};
use trunkline_physical::recovery;
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::journal::Leg;
use crate::plan::PositionFrom;

/// Finds the position as the plan says.
pub(super) async fn find(
    from: &PositionFrom,
    source: &mut Session,
    copy: &mut Session,
) -> Result<Lsn, Error> {
    match from {
        PositionFrom::Given(position) => Ok(*position),
        PositionFrom::Log(path) => from_log(path),
        PositionFrom::Aurora => {
            if !has_function(source, Side::Source, "aurora_version").await? {
                return Err(Error::Refused {
                    why:
                        "the source is not Aurora: the log of an Aurora cluster that was restored \
                          from its snapshot begins anew, and its positions say nothing of the \
                          source's"
                            .to_owned(),
                    hint:
                        "restore the same snapshot to an RDS instance, too, and read the position \
                           there (`position_from = \"log:…\"`, or `position`)"
                            .to_owned(),
                });
            }
            call(copy, "aurora_volume_logical_start_lsn", "pg_catalog").await
        }
        PositionFrom::Rds => call(copy, "logical_seed_lsn", "rds_tools").await,
    }
}

async fn has_function(session: &mut Session, side: Side, name: &str) -> Result<bool, Error> {
    let doing = "looking for a function";
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = $1::text)";
    let row = session.query_one(sql, &[&name]).await.on(side, doing)?;
    Ok(row.get(0).on(side, doing)?)
}

async fn call(copy: &mut Session, function: &str, schema: &str) -> Result<Lsn, Error> {
    if !has_function(copy, Side::Target, function).await? {
        return Err(Error::Refused {
            why: format!("the target has no function {function}()"),
            hint: "say the position in the plan's [seed] `position`, or where it is found in \
                   `position_from`"
                .to_owned(),
        });
    }
    let doing = "asking the copy for its position";
    let sql = format!("SELECT {schema}.{function}()::text::pg_lsn");
    let row = copy.query_one(&sql, &[]).await.on(Side::Target, doing)?;
    Ok(row.get(0).on(Side::Target, doing)?)
}

fn from_log(path: &Path) -> Result<Lsn, Error> {
    let text = std::fs::read(path).map_err(|cause| Error::File {
        path: path.display().to_string(),
        cause,
    })?;
    recovery_end(&String::from_utf8_lossy(&text)).ok_or_else(|| Error::Refused {
        why: format!(
            "{} holds no line `redo done at`: the server did not recover there",
            path.display()
        ),
        hint: "give the log of the copy's first start".to_owned(),
    })
}

/// The first recovery of a log: `redo done at` names where the last record begins that was
/// replayed. What commits with it is on the copy, what commits with a later one is not.
/// A later recovery of the same log is one of the copy's own history.
fn recovery_end(log: &str) -> Option<Lsn> {
    let (_, after) = log.split_once("redo done at ")?;
    let text = after
        .split(|c: char| !(c.is_ascii_hexdigit() || c == '/'))
        .next()?;
    let last: Lsn = text.parse().ok()?;
    Some(Lsn::new(last.get() + 1))
}

/// Refuses a server that is no copy of the source, is the source itself, or still follows it;
/// and a position that the slot cannot go on from. Gives whether the two are known to be of
/// one history.
pub(super) async fn refuse_strangers(
    source: &mut Session,
    copy: &mut Session,
    leg: &Leg,
    position: Lsn,
) -> Result<bool, Error> {
    let here = recovery(source).await?;
    let there = recovery(copy).await?;
    let started = |side| async move { format!("reading when the {side} was started") };
    let sql = "SELECT pg_catalog.pg_postmaster_start_time()::text";
    let read = async |session: &mut Session, side: Side| -> Result<String, Error> {
        let doing = started(side).await;
        let row = session.query_one(sql, &[]).await.on(side, doing.clone())?;
        Ok(row.get(0).on(side, doing)?)
    };
    let same_id = here.system_id == there.system_id;
    if same_id && read(source, Side::Source).await? == read(copy, Side::Target).await? {
        return Err(refuse(
            "the target is the source itself",
            "point the target to the server that was started on the copy",
        ));
    }
    if there.inside {
        return Err(refuse(
            "the target is a standby still",
            "promote it at the position that the plan names, then run again",
        ));
    }
    if !same_id && copy.version().major() <= source.version().major() {
        return Err(refuse(
            "the target is not a copy of the source: their system identifiers differ, and it was \
             not upgraded by pg_upgrade",
            "restore the copy from the source's own storage",
        ));
    }
    let begin = leg.slot.consistent_point;
    if position < begin {
        return Err(refuse(
            &format!(
                "the seed position {position} is before the slot's beginning {begin}: changes in \
                 between would be lost"
            ),
            "make the copy anew: it must be made after the slot",
        ));
    }
    if position > here.position {
        return Err(refuse(
            &format!(
                "the seed position {position} is beyond the source's log, which ends at {}: it is \
                 of another history",
                here.position
            ),
            "find the position on the copy, in the source's log",
        ));
    }
    Ok(same_id)
}

fn refuse(why: &str, hint: &str) -> Error {
    Error::Refused {
        why: why.to_owned(),
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::recovery_end;
    use trunkline_changes::Lsn;

    #[test]
    fn the_first_recovery_of_a_log_says_where_the_copy_ends() {
        let log = "2026 LOG:  redo starts at 0/3000028\n\
                   2026 LOG:  redo done at 0/4A1F308 system usage: CPU: user: 0.00 s\n\
                   2026 LOG:  redo done at 0/5000000\n";
        assert_eq!(recovery_end(log), Some(Lsn::new(0x4A1_F309)));
        assert_eq!(recovery_end("database system was shut down"), None);
    }
}
