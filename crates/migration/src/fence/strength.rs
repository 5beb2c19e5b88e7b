//! How firmly a side can be fenced, by what our role may do there.

use trunkline_changes::Side;
use trunkline_postgres::Session;

use super::before::{Now, settings_before};
use super::error::FenceError;
use super::holes;

/// How firmly a side is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// The database takes no connection at all, not even a superuser's.
    Closed,
    /// No other database lets us in: ordinary roles cannot connect, but superusers can; they
    /// begin read-only, and are ended and looked for again.
    Limited,
}

impl Strength {
    /// A line for the operator.
    pub(crate) fn describe(self, side: Side) -> String {
        match self {
            Strength::Closed => format!(
                "the {side}'s database is closed to new connections, superusers' too, and every \
                 other session is ended"
            ),
            Strength::Limited => format!(
                "the {side} has no other database that lets us in: ordinary roles may not \
                 connect, superusers begin read-only, and every other session is ended"
            ),
        }
    }
}

/// How firmly the side can be fenced. `outside` is a session in another database of the
/// server, if there is one.
pub(crate) async fn strength(
    inside: &mut Session,
    outside: Option<&mut Session>,
    side: Side,
) -> Result<Strength, FenceError> {
    let database = settings_before(inside, side).await?.database;
    let now = Now::read(inside, side, &database).await?;
    holes::owned(&now, side)?;
    let closable = match outside {
        Some(outside) => !Now::read(outside, side, &database).await?.is_current,
        None => false,
    };
    if closable {
        return Ok(Strength::Closed);
    }
    holes::may_stand(inside, side).await?;
    Ok(Strength::Limited)
}
