//! Large objects: copied with their OIDs, piece by piece, each object with its ledger row
//! in one transaction. The stream does not carry them, so they are counted again when the
//! source stands still.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{Conninfo, DataRow, OnSide, PgError, Session, SqlState};

use crate::error::LoadError;
use crate::limits::{LARGE_OBJECT_PIECE_BYTES, LARGE_OBJECTS_PER_PAGE};
use crate::progress::Progress;
use crate::retrying::retried;

/// What is known of a server's large objects without reading them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LargeObjects {
    /// How many.
    pub count: u64,
    /// The sum of their OIDs: tells whether they are the same ones.
    pub oid_sum: u64,
}

/// Counts a server's large objects.
pub async fn count_large_objects(
    session: &mut Session,
    side: Side,
) -> Result<LargeObjects, LoadError> {
    let sql = "SELECT count(*), coalesce(sum(oid::bigint), 0)::bigint FROM pg_largeobject_metadata";
    let doing = "counting the large objects";
    let row = session.query_one(sql, &[]).await.on(side, doing)?;
    let counted = LargeObjects {
        count: row.get(0).on(side, doing)?,
        oid_sum: row.get(1).on(side, doing)?,
    };
    Ok(counted)
}

/// Copies large objects.
pub(crate) struct LargeObjectCopy {
    pub(crate) source: Conninfo,
    pub(crate) target: Conninfo,
    pub(crate) no_owner: bool,
    pub(crate) no_privileges: bool,
    pub(crate) progress: Arc<Progress>,
    pub(crate) cancel: CancellationToken,
}

struct LargeObject {
    oid: u32,
    owner: String,
    /// `role\nPRIVILEGE`; an empty role is PUBLIC.
    grants: Vec<String>,
}

impl LargeObjectCopy {
    /// Copies every one that the ledger does not hold; goes on after a lost connection.
    pub(crate) async fn run(&self) -> Result<(), LoadError> {
        retried(&self.cancel, || self.pass()).await
    }

    async fn pass(&self) -> Result<(), LoadError> {
        let doing = "copying the large objects";
        let mut source = Session::connect(&self.source, "large objects")
            .await
            .on(Side::Source, doing)?;
        let total = count_large_objects(&mut source, Side::Source).await?.count;
        self.progress
            .large_objects
            .start(usize::try_from(total).unwrap_or(usize::MAX));
        if total == 0 {
            return Ok(());
        }
        let mut target = Session::connect(&self.target, "large objects")
            .await
            .on(Side::Target, doing)?;
        let mut after = 0;
        loop {
            let page = list(&mut source, after).await.on(Side::Source, doing)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.oid;
            for object in &page {
                self.one(&mut source, &mut target, object).await?;
                self.progress.large_objects.one_done();
            }
        }
    }

    async fn one(
        &self,
        source: &mut Session,
        target: &mut Session,
        object: &LargeObject,
    ) -> Result<(), LoadError> {
        let doing = format!("copying large object {}", object.oid);
        if is_known(target, object.oid)
            .await
            .on(Side::Target, &doing)?
        {
            return Ok(());
        }
        source
            .batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .on(Side::Source, &doing)?;
        target.batch("BEGIN").await.on(Side::Target, &doing)?;
        let made = target
            .query("SELECT lo_create($1::oid)", &[&object.oid])
            .await;
        if let Err(error) = made {
            target.batch("ROLLBACK").await.on(Side::Target, &doing)?;
            source.batch("ROLLBACK").await.on(Side::Source, &doing)?;
            // An earlier try whose end we did not see may have made it just now.
            if is_known(target, object.oid)
                .await
                .on(Side::Target, &doing)?
            {
                return Ok(());
            }
            return Err(error).on(Side::Target, doing).map_err(Into::into);
        }
        let Some(bytes) = pieces(source, target, object.oid).await? else {
            // It went while we were at it.
            target.batch("ROLLBACK").await.on(Side::Target, &doing)?;
            source.batch("ROLLBACK").await.on(Side::Source, &doing)?;
            return Ok(());
        };
        let record =
            "INSERT INTO trunkline.large_objects (loid, bytes) VALUES ($1::oid, $2::bigint)";
        target
            .execute(record, &[&object.oid, &bytes])
            .await
            .on(Side::Target, &doing)?;
        let mut sql = self.owner_and_grants(object);
        sql.push_str("COMMIT");
        target.batch(&sql).await.on(Side::Target, &doing)?;
        source.batch("COMMIT").await.on(Side::Source, &doing)?;
        Ok(())
    }

    fn owner_and_grants(&self, object: &LargeObject) -> String {
        let oid = object.oid.to_string();
        let mut sql = String::new();
        if !self.no_privileges {
            for grant in &object.grants {
                let Some((role, privilege)) = grant.split_once('\n') else {
                    continue;
                };
                let role = if role.is_empty() {
                    "PUBLIC".to_owned()
                } else {
                    quote_ident(role)
                };
                sql.extend([
                    "GRANT ",
                    privilege,
                    " ON LARGE OBJECT ",
                    &oid,
                    " TO ",
                    &role,
                    "; ",
                ]);
            }
        }
        if !self.no_owner {
            let owner = quote_ident(&object.owner);
            sql.extend(["ALTER LARGE OBJECT ", &oid, " OWNER TO ", &owner, "; "]);
        }
        sql
    }
}

async fn is_known(target: &mut Session, oid: u32) -> Result<bool, PgError> {
    let sql = "SELECT 1 FROM trunkline.large_objects WHERE loid = $1::oid";
    Ok(target.query_opt(sql, &[&oid]).await?.is_some())
}

async fn list(source: &mut Session, after: u32) -> Result<Vec<LargeObject>, PgError> {
    let sql = include_str!("sql/large_objects.sql");
    let rows = source
        .query(sql, &[&after, &LARGE_OBJECTS_PER_PAGE])
        .await?;
    let read = |row: &DataRow| {
        Ok(LargeObject {
            oid: row.get(0)?,
            owner: row.get(1)?,
            grants: row.get(2)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Moves the bytes; gives how many, or `None` when the object is gone from the source.
async fn pieces(
    source: &mut Session,
    target: &mut Session,
    oid: u32,
) -> Result<Option<i64>, LoadError> {
    let doing = format!("copying large object {oid}");
    let get = "SELECT lo_get($1::oid, $2::bigint, $3::integer)";
    let put = "SELECT lo_put($1::oid, $2::bigint, $3::bytea)";
    let mut offset: i64 = 0;
    loop {
        let row = source
            .query_one(get, &[&oid, &offset, &LARGE_OBJECT_PIECE_BYTES])
            .await;
        let row = match row {
            Err(error) if error.sqlstate() == Some(&SqlState::UNDEFINED_OBJECT) => return Ok(None),
            other => other.on(Side::Source, &doing)?,
        };
        // `\x…`: two digits a byte.
        let piece: String = row.get(0).on(Side::Source, &doing)?;
        let length = i64::try_from(piece.len().saturating_sub(2) / 2).unwrap_or(0);
        if length == 0 {
            return Ok(Some(offset));
        }
        target
            .query(put, &[&oid, &offset, &piece])
            .await
            .on(Side::Target, &doing)?;
        offset += length;
    }
}
