//! How a subscription stands, as both servers say it. Holds always: what is not known is
//! nothing, never far.

use trunkline_changes::{Lsn, Side, TableName};
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use crate::error::Error;

/// What the target says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) oid: u64,
    pub(crate) enabled: bool,
    /// Processes that work for it, of any kind.
    pub(crate) workers: u64,
    /// Those of them that apply changes.
    pub(crate) appliers: u64,
    /// Everything before it is committed here: what the worker last told the source.
    pub(crate) answered: Lsn,
    /// The last transaction that changed a row here.
    pub(crate) origin: Lsn,
    /// Its tables.
    pub(crate) tables: u64,
    /// Those of them whose rows are here, and are kept up to date.
    pub(crate) ready: u64,
}

impl Seen {
    fn read(row: &DataRow) -> Result<Self, PgError> {
        Ok(Seen {
            oid: row.get(0)?,
            enabled: row.get(1)?,
            workers: row.get(2)?,
            appliers: row.get(3)?,
            answered: row.get::<Option<Lsn>>(4)?.unwrap_or(Lsn::ZERO),
            origin: row.get::<Option<Lsn>>(5)?.unwrap_or(Lsn::ZERO),
            tables: row.get(6)?,
            ready: row.get(7)?,
        })
    }

    /// Whether every table has its rows.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready == self.tables
    }
}

/// What the source says of the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotSeen {
    /// Where the source writes.
    pub(crate) written: Lsn,
    /// Everything before it is on the target's disk.
    pub(crate) confirmed: Lsn,
    /// Whether somebody reads it.
    pub(crate) active: bool,
    /// Bytes of log kept for it.
    pub(crate) kept_bytes: Option<u64>,
    /// Whether it is there, and not invalidated.
    pub(crate) usable: bool,
}

/// A table of the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscribedTable {
    pub(crate) name: TableName,
    /// `pg_subscription_rel.srsubstate`.
    pub(crate) state: String,
    /// Whether a process brings its rows.
    pub(crate) is_worked_on: bool,
}

/// What has failed since the subscription was made, where the server counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) apply: u64,
    pub(crate) sync: u64,
    pub(crate) conflicts: Option<String>,
}

/// The subscription, if it stands.
pub(crate) async fn seen(to: &mut Session, name: &str) -> Result<Option<Seen>, Error> {
    let doing = "looking at the subscription";
    let row = to
        .query_opt(
            include_str!("../sql/subscription/look_target.sql"),
            &[&name],
        )
        .await
        .on(Side::Target, doing)?;
    let seen = row.as_ref().map(Seen::read).transpose();
    Ok(seen.on(Side::Target, doing)?)
}

/// Its slot.
pub(crate) async fn slot_seen(from: &mut Session, slot: &str) -> Result<SlotSeen, Error> {
    let doing = "looking at the subscription's slot";
    let row = from
        .query_one(
            include_str!("../sql/subscription/look_source.sql"),
            &[&slot],
        )
        .await
        .on(Side::Source, doing)?;
    let read = || {
        Ok::<_, PgError>(SlotSeen {
            written: row.get(0)?,
            confirmed: row.get::<Option<Lsn>>(1)?.unwrap_or(Lsn::ZERO),
            active: row.get(2)?,
            kept_bytes: row.get(3)?,
            usable: row.get(4)?,
        })
    };
    Ok(read().on(Side::Source, doing)?)
}

/// By what position `SKIP` knows the first transaction that is not applied; `None` where there
/// is none. It cannot be told while somebody reads the slot.
pub(crate) async fn first_unapplied(
    to: &mut Session,
    from: &mut Session,
    (name, slot): (&str, &str),
    origin: Lsn,
) -> Result<Option<Lsn>, PgError> {
    let sql = "SELECT (SELECT string_agg(pg_catalog.quote_ident(p), ',') \
                         FROM pg_catalog.unnest(s.subpublications) AS p) \
                 FROM pg_catalog.pg_subscription s WHERE s.subname = $1";
    let row = to.query_one(sql, &[&name]).await?;
    let publications: String = row.get(0)?;
    let sql = include_str!("../sql/subscription/first_unapplied.sql");
    let row = from
        .query_opt(sql, &[&slot, &publications, &origin])
        .await?;
    row.map_or(Ok(None), |row| row.get(0))
}

/// Its tables, by name.
pub(crate) async fn tables(to: &mut Session, name: &str) -> Result<Vec<SubscribedTable>, Error> {
    let doing = "reading the subscription's tables";
    let rows = to
        .query(include_str!("../sql/subscription/tables.sql"), &[&name])
        .await
        .on(Side::Target, doing)?;
    let read = |row: &DataRow| {
        Ok::<_, PgError>(SubscribedTable {
            name: row.table_name(0, 1)?,
            state: row.get(2)?,
            is_worked_on: row.get(3)?,
        })
    };
    let tables = rows.iter().map(read).collect::<Result<_, _>>();
    Ok(tables.on(Side::Target, doing)?)
}

/// What has failed; `None` before version 15, which does not count.
pub(crate) async fn failures(to: &mut Session, name: &str) -> Result<Option<Failures>, Error> {
    if to.version().major() < 15 {
        return Ok(None);
    }
    let doing = "reading what failed for the subscription";
    let row = to
        .query_opt(include_str!("../sql/subscription/errors.sql"), &[&name])
        .await
        .on(Side::Target, doing)?;
    let read = |row: DataRow| {
        Ok::<_, PgError>(Failures {
            apply: row.get(0)?,
            sync: row.get(1)?,
            conflicts: row.get(2)?,
        })
    };
    Ok(row.map(read).transpose().on(Side::Target, doing)?)
}
