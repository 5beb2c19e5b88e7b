//! Takes back what the structure made on the target, by its records: for a migration that is
//! given up. `pg_restore` says how each object is dropped; what stood there before us stays.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use trunkline_changes::Side;
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::LoadError;
use crate::limits::{ENTRIES_AT_ONCE, LARGE_OBJECTS_UNLINKED_AT_ONCE};
use crate::loader::Loader;
use crate::structure::{Entry, Programs, Structure, key, relation_of};

/// What stands on the target in general, by kind and name: schemas and extensions, which a
/// restore finds there without an error.
pub async fn standing(target: &mut Session) -> Result<BTreeSet<String>, LoadError> {
    let doing = "reading the schemas and extensions";
    let sql = "SELECT 'SCHEMA ' || nspname FROM pg_namespace \
               UNION ALL SELECT 'EXTENSION ' || extname FROM pg_extension";
    let rows = target.query(sql, &[]).await.on(Side::Target, doing)?;
    let names: Result<BTreeSet<String>, PgError> = rows.iter().map(|row| row.get(0)).collect();
    Ok(names.on(Side::Target, doing)?)
}

impl Loader {
    /// Drops what the records say that we made, but for what is in `keep` (see
    /// [`standing`]); gives how many objects that were. Run again, it finds less.
    pub async fn undo_structure(
        &self,
        directory: &Path,
        keep: &BTreeSet<String>,
    ) -> Result<usize, LoadError> {
        let doing = "dropping what was restored";
        let connecting = Session::connect(&self.target, "undo").await;
        let mut target = connecting.on(Side::Target, doing)?;
        let structure = self.dumped_structure(directory).await?;
        let record = self.record().await?;
        let made: Vec<&Entry> = structure
            .entries
            .iter()
            .filter(|entry| record.made(&key(entry)))
            .filter(|entry| !keep.contains(&format!("{} {}", entry.kind(), entry.name)))
            .collect();
        let dropped = on_their_own(&structure, &made);
        unlink_large_objects(&mut target).await?;
        let ids: Vec<u32> = made.iter().map(|entry| entry.id).collect();
        let programs = self.programs(&target).await?;
        let script =
            crate::structure::drop_script(&programs, directory, &dropped, &self.cancel).await?;
        let statements: Vec<&str> = drops(&script).collect();
        for some in statements.chunks(ENTRIES_AT_ONCE) {
            target
                .batch(&some.join("\n"))
                .await
                .on(Side::Target, doing)?;
        }
        target.close().await;
        let objects: HashSet<u32> = ids.into_iter().collect();
        Ok(objects.len())
    }

    async fn programs(&self, target: &Session) -> Result<Programs, LoadError> {
        let doing = "connecting to see its version";
        let source = Session::connect(&self.source, "undo")
            .await
            .on(Side::Source, doing)?;
        Programs::find(
            source.version(),
            target.version(),
            &self.options.program_folders,
        )
        .await
    }
}

/// The entries that are dropped by themselves. Indexes and keys go with their table: that of
/// a partition cannot be dropped alone once it is part of the partitioned table's.
fn on_their_own(structure: &Structure, made: &[&Entry]) -> Vec<u32> {
    let by_id = structure.by_id();
    let made_ids: HashSet<u32> = made.iter().map(|entry| entry.id).collect();
    let with_its_table = |entry: &Entry| {
        ["INDEX", "CONSTRAINT", "INDEX ATTACH"].contains(&entry.kind().as_str())
            && relation_of(entry, &by_id).is_some_and(|table| made_ids.contains(&table.id))
    };
    made.iter()
        .filter(|entry| !with_its_table(entry))
        .map(|entry| entry.id)
        .collect()
}

/// The statements of a script without its settings and meta-commands.
fn drops(script: &str) -> impl Iterator<Item = &str> {
    let statements = script.split_inclusive(";\n").map(|statement| {
        let mut rest = statement.trim_start();
        while let Some(after) = rest
            .strip_prefix("--")
            .or_else(|| rest.strip_prefix('\\'))
            .and_then(|line| line.split_once('\n'))
        {
            rest = after.1.trim_start();
        }
        rest.trim_end()
    });
    statements.filter(|statement| {
        !statement.is_empty()
            && !statement.starts_with("SET ")
            && !statement.starts_with("SELECT pg_catalog.set_config(")
    })
}

async fn unlink_large_objects(target: &mut Session) -> Result<(), LoadError> {
    let doing = "removing large objects";
    // Each time from where the last one ended: else all that are gone are passed over again.
    let sql = "SELECT max(few.loid), \
                      count(pg_catalog.lo_unlink(few.loid)) FILTER (WHERE few.stands) FROM (\
               SELECT l.loid, EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata m \
                                       WHERE m.oid = l.loid) AS stands \
                 FROM trunkline.large_objects l \
                WHERE l.loid > $1::oid ORDER BY l.loid LIMIT $2::bigint) AS few";
    let mut last = 0;
    loop {
        let row = target
            .query_one(sql, &[&last, &LARGE_OBJECTS_UNLINKED_AT_ONCE])
            .await;
        let row = row.on(Side::Target, doing)?;
        match row.get::<Option<u32>>(0).on(Side::Target, doing)? {
            Some(reached) => last = reached,
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::drops;

    #[test]
    fn only_what_drops_is_taken_from_a_script() {
        let script = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET lock_timeout = 0;\n\
                      SELECT pg_catalog.set_config('search_path', '', false);\n\
                      ALTER TABLE IF EXISTS ONLY s.t DROP CONSTRAINT IF EXISTS c;\n\
                      DROP TABLE IF EXISTS s.t;\n";
        let found: Vec<&str> = drops(script).collect();
        assert_eq!(
            found,
            [
                "ALTER TABLE IF EXISTS ONLY s.t DROP CONSTRAINT IF EXISTS c;",
                "DROP TABLE IF EXISTS s.t;"
            ]
        );
    }
}
