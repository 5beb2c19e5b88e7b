//! The journal's rows: appended one by one, read in order, added up.

use trunkline_changes::Side;
use trunkline_postgres::{OnSide, Session};

use crate::error::Error;
use crate::journal::{Entry, State};

/// Appends an entry.
pub(super) async fn write(
    session: &mut Session,
    side: Side,
    name: &str,
    seq: i64,
    entry: &Entry,
) -> Result<(), Error> {
    let text = serde_json::to_string(entry).map_err(|error| Error::internal(&error))?;
    session
        .execute(
            "INSERT INTO trunkline.journal (migration, seq, entry) \
             VALUES ($1, $2::bigint, $3::jsonb)",
            &[&name, &seq, &text],
        )
        .await
        .on(side, "writing the journal")?;
    Ok(())
}

/// What the journal on the target adds up to, and its length.
pub(super) async fn replay(session: &mut Session, name: &str) -> Result<(State, i64), Error> {
    let mut state = State::new();
    let entries = entries(session, Side::Target, name, 0).await?;
    let length = append(&mut state, 0, &entries)?;
    Ok((state, length))
}

/// A journal's entries from a number on, as they are written, with their numbers.
pub(super) async fn entries(
    session: &mut Session,
    side: Side,
    name: &str,
    from: i64,
) -> Result<Vec<(i64, String)>, Error> {
    let doing = "reading the journal";
    let rows = session
        .query(
            "SELECT seq, entry::text FROM trunkline.journal \
             WHERE migration = $1 AND seq >= $2::bigint ORDER BY seq",
            &[&name, &from],
        )
        .await
        .on(side, doing)?;
    let read = |row: &trunkline_postgres::DataRow| Ok((row.get(0)?, row.get(1)?));
    let read = rows.iter().map(read).collect::<Result<_, _>>();
    Ok(read.on(side, doing)?)
}

/// Adds entries to a state that holds `length` of them; gives how many it holds then.
pub(super) fn append(
    state: &mut State,
    length: i64,
    entries: &[(i64, String)],
) -> Result<i64, Error> {
    for (expected, (seq, text)) in (length..).zip(entries) {
        if *seq != expected {
            return Err(Error::Journal {
                why: format!("entry {expected} is missing"),
            });
        }
        let entry: Entry = serde_json::from_str(text).map_err(|error| Error::Journal {
            why: format!("entry {seq} cannot be read: {error}"),
        })?;
        state.apply(&entry).map_err(|error| Error::Journal {
            why: format!("entry {seq} does not follow from those before it: {error}"),
        })?;
    }
    Ok(length + i64::try_from(entries.len()).unwrap_or(i64::MAX))
}
