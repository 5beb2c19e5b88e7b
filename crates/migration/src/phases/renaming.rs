//! What was restored under the source's names gets its own, once all of the structure stands:
//! until then the source's definitions fit. Columns that stay behind went before, with the
//! restore.
//!
//! Needs: the whole structure, and nobody who applies. Does: every rename in one transaction,
//! with the journal's entry. Looks: that entry. Undone: [`rename_back`], in the same way.

use std::collections::{BTreeSet, HashSet};

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_load::{
    Renames, SchemaSettings, Table, restore_schema_settings, schema_settings, tables_by_now,
};
use trunkline_postgres::{OnSide, PgError, Session};

use crate::error::Error;
use crate::journal::{Entry, Object};
use crate::observer::Notice;
use crate::run::Run;

/// Writes down which transformations the migration begins with.
pub(crate) async fn note_rules(run: &mut Run<'_>) -> Result<(), Error> {
    let rules = run.plan.transform.describe();
    if rules.is_empty() || run.control.state().transform.is_some() {
        return run.refuse_other_transform();
    }
    run.control.record(Entry::Transformed(rules)).await
}

/// Renames what was restored.
pub(super) async fn rename(run: &mut Run<'_>) -> Result<(), Error> {
    let restored = &run.control.state().receipts;
    if !restored.contains(&Object::Structure) || run.plan.transform.is_none() {
        return Ok(());
    }
    let mut source = run.connect(Side::Source, "catalog").await?;
    let moving = tables_by_now(&mut source, Side::Source, &run.plan.scope).await?;
    source.close().await;
    let target = run.control.session()?;
    let standing = trunkline_load::all_tables(target, Side::Target).await?;
    let settings = schema_settings(target).await?;
    let schemas: BTreeSet<String> = settings.iter().map(|schema| schema.name.clone()).collect();
    // A table that was made on the source since the restore is not here to be renamed.
    let standing: HashSet<&TableName> = standing.iter().map(|table| &table.name).collect();
    let made = |table: &Table| standing.contains(&table.name);
    let moving: Vec<Table> = moving.into_iter().filter(made).collect();
    let renames = Renames::new(&run.plan.transform, &moving, &schemas);
    if renames.is_empty() {
        return Ok(());
    }
    run.step("names of the target");
    let given = for_new_schemas(&renames, &settings);
    let sql = renames.sql();
    in_one_transaction(run, &sql, &given, Entry::Renamed(renames)).await
}

/// A schema that is made gets the owner and the grants of the one that the first of its tables
/// comes from.
fn for_new_schemas(renames: &Renames, settings: &[SchemaSettings]) -> Vec<SchemaSettings> {
    let like = |schema: &String| {
        let mut tables = renames.tables.iter();
        let first = tables.find(|table| table.to.schema == *schema)?;
        let model = settings.iter().find(|s| s.name == first.from.schema)?;
        Some(SchemaSettings {
            name: schema.clone(),
            comment: None,
            ..model.clone()
        })
    };
    renames.schemas.iter().filter_map(like).collect()
}

async fn in_one_transaction(
    run: &mut Run<'_>,
    sql: &str,
    schemas: &[SchemaSettings],
    entry: Entry,
) -> Result<(), Error> {
    let doing = "renaming what was restored";
    let target = run.control.session()?;
    target.batch("BEGIN").await.on(Side::Target, doing)?;
    let done = within_transaction(run, sql, schemas, entry).await;
    if let Err(error) = done {
        let target = run.control.session()?;
        if !target.is_broken() {
            target.batch("ROLLBACK").await.on(Side::Target, doing)?;
        }
        return Err(error);
    }
    let committed = run.control.session()?.batch("COMMIT").await;
    committed.on(Side::Target, doing)?;
    Ok(())
}

async fn within_transaction(
    run: &mut Run<'_>,
    sql: &str,
    schemas: &[SchemaSettings],
    entry: Entry,
) -> Result<(), Error> {
    let target = run.control.session()?;
    let renamed = target.batch(sql).await;
    renamed.on(Side::Target, "renaming what was restored")?;
    restore_schema_settings(target, schemas).await?;
    run.control.record(entry).await
}

/// For a migration that is given up: the tables get the names again by which they were
/// restored, so that the structure's records are about them.
pub(super) async fn rename_back(run: &mut Run<'_>) -> Result<(), Error> {
    if let Some(renames) = run.control.state().renamed.clone() {
        let sql = renames.back_sql();
        in_one_transaction(run, &sql, &[], Entry::RenamedBack).await?;
    }
    for schema in &run.control.state().schemas_made.clone() {
        drop_if_empty(run.observer, run.control.session()?, schema).await?;
    }
    Ok(())
}

/// A schema that we made goes, unless it holds what is somebody's.
async fn drop_if_empty(
    observer: &dyn crate::observer::Observer,
    target: &mut Session,
    schema: &str,
) -> Result<(), Error> {
    let drop = format!("DROP SCHEMA IF EXISTS {}", quote_ident(schema));
    match target.batch(&drop).await {
        // 2BP01: something depends on it.
        Err(error) if state_of(&error) == Some("2BP01") => {
            let warning =
                format!("the schema {schema} stays on the target: it holds other objects");
            observer.notice(Notice::Warning(&warning));
            Ok(())
        }
        dropped => {
            dropped.on(Side::Target, "dropping a schema that we made")?;
            Ok(())
        }
    }
}

fn state_of(error: &PgError) -> Option<&str> {
    error.sqlstate().map(trunkline_postgres::SqlState::as_str)
}
