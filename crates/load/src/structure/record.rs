//! `trunkline.structure` on the target: which entries were made, so that a restart goes on
//! and repeats nothing. An entry's row commits with the entry.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use smol_str::SmolStr;
use trunkline_changes::{Side, TableName, quote_literal};
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use super::entry::{Entry, LeftOut};
use crate::error::LoadError;

/// What tells an entry apart from dump to dump.
pub(crate) type Key = (SmolStr, SmolStr, SmolStr, i32);

/// The entries that were made or given up. Of each only 128 bits of a hash are kept, under
/// keys of this reading alone (`SipHash`, twice): 200,000 tables have a million entries, and the
/// chance that two of these are alike is 10^-27, whatever somebody calls his tables. That is still
/// 20 MB: a new one is read when the one before it is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    hashers: [RandomState; 2],
    made: HashSet<[u64; 2]>,
    given_up: HashSet<[u64; 2]>,
}

/// The kind under which a foreign key's validation is recorded.
pub(crate) const VALIDATED: &str = "FK VALIDATION";

/// The kind under which the index of a constraint is recorded, before the constraint is.
pub(crate) const INDEXED: &str = "CONSTRAINT INDEX";

/// The kind under which a materialized view's rows are recorded.
pub(crate) const REFRESHED: &str = "REFRESH";

/// The kind under which it is recorded that everybody lost a right in the schema `public`.
pub(crate) const CLOSED: &str = "PUBLIC SCHEMA";

/// The kind under which a table's statistics are recorded.
pub(crate) const ANALYZED: &str = "ANALYZE";

/// The kind under which the removal of a table's columns that stay behind is recorded.
pub(crate) const LEFT_BEHIND: &str = "LEFT BEHIND";

/// An entry's key.
pub(crate) fn key(entry: &Entry) -> Key {
    (
        entry.kind().clone(),
        entry.schema().clone(),
        entry.name.clone(),
        entry.ordinal,
    )
}

/// The same under another kind.
pub(crate) fn key_as(entry: &Entry, kind: &'static str) -> Key {
    (
        SmolStr::new_static(kind),
        entry.schema().clone(),
        entry.name.clone(),
        entry.ordinal,
    )
}

/// The key of something that is recorded for a table or view as a whole.
pub(crate) fn key_of(kind: &'static str, name: &TableName) -> Key {
    let TableName { schema, name } = name.clone();
    (SmolStr::new_static(kind), schema, name, 0)
}

impl Record {
    /// Reads what stands.
    pub(crate) async fn read(target: &mut Session) -> Result<Record, LoadError> {
        let sql = "SELECT kind, schema, name, ordinal, outcome = 'made' FROM trunkline.structure";
        let doing = "reading which objects were made";
        let mut record = Record::default();
        let take = |row: DataRow| {
            let key = record.hash(&(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            if row.get(4)? {
                record.made.insert(key)
            } else {
                record.given_up.insert(key)
            };
            Ok(())
        };
        let read = target.query_each(sql, &[], take).await;
        read.on(Side::Target, doing)?;
        Ok(record)
    }

    fn hash(&self, key: &Key) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }

    /// Whether an entry needs no further try: it was made, or given up.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        let key = self.hash(key);
        self.made.contains(&key) || self.given_up.contains(&key)
    }

    /// Whether we made an entry: the receipt without which nothing is dropped.
    pub(crate) fn made(&self, key: &Key) -> bool {
        self.made.contains(&self.hash(key))
    }
}

/// The statement that records an outcome; it goes into the entry's own message.
pub(crate) fn insert_sql(key: &Key, left_out: Option<&str>) -> String {
    let (kind, schema, name, ordinal) = key;
    let (outcome, reason) = match left_out {
        None => ("made", "NULL".to_owned()),
        Some(reason) => ("left out", quote_literal(reason)),
    };
    format!(
        "INSERT INTO trunkline.structure (kind, schema, name, ordinal, outcome, reason) \
         VALUES ({}, {}, {}, {ordinal}, '{outcome}', {reason});",
        quote_literal(kind),
        quote_literal(schema),
        quote_literal(name),
    )
}

/// The statement that forgets an outcome.
pub(crate) fn forget_sql(key: &Key) -> String {
    let (kind, schema, name, ordinal) = key;
    format!(
        "DELETE FROM trunkline.structure WHERE kind = {} AND schema = {} AND name = {} \
         AND ordinal = {ordinal};\n",
        quote_literal(kind),
        quote_literal(schema),
        quote_literal(name),
    )
}

/// Whether one entry is recorded: asked after a connection was lost in the middle of it.
pub(crate) async fn is_recorded(target: &mut Session, key: &Key) -> Result<bool, PgError> {
    let (kind, schema, name, ordinal) = key;
    let sql = "SELECT 1 FROM trunkline.structure \
               WHERE kind = $1::text AND schema = $2::text AND name = $3::text AND ordinal = $4::integer";
    let row = target
        .query_opt(sql, &[kind, schema, name, ordinal])
        .await?;
    Ok(row.is_some())
}

/// What the target refused and we went on without.
pub(crate) async fn given_up(target: &mut Session) -> Result<Vec<LeftOut>, LoadError> {
    let sql = "SELECT kind || ' ' || CASE WHEN schema = '' THEN '' ELSE schema || '.' END || name, reason \
               FROM trunkline.structure WHERE outcome = 'left out' ORDER BY 1";
    let doing = "reading which objects were left out";
    let rows = target.query(sql, &[]).await.on(Side::Target, doing)?;
    let read = rows.iter().map(|row| {
        let reason: Option<String> = row.get(1)?;
        Ok(LeftOut {
            entry: row.get(0)?,
            reason: reason.unwrap_or_default(),
            by_consequence: true,
        })
    });
    let read = read
        .collect::<Result<_, PgError>>()
        .on(Side::Target, doing)?;
    Ok(read)
}
