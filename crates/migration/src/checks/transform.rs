//! What the plan's transformations need of the source: a row filter is evaluated by the
//! server, which asks for a version and for the columns that it looks at.

use smol_str::SmolStr;
use trunkline_changes::{ReplicaIdentity, Side, TableName, quote_ident};
use trunkline_load::{Layout, Naming, Table, Transform};
use trunkline_postgres::{Fault, OnSide, PgError, Session};

use super::finding::Finding;
use crate::phases::publishing::FILTERS_FROM;
use crate::plan::{Plan, StructurePlan, WayBack};
use crate::run::is_streamed;

/// Examines the transformations of a plan; `left_out` is what goes with its columns.
pub(crate) async fn examine(
    source: &mut Session,
    plan: &Plan,
    tables: &[Table],
    left_out: &[String],
    live: bool,
) -> Result<Vec<Finding>, Fault> {
    let transform = &plan.transform;
    if transform.is_none() {
        return Ok(Vec::new());
    }
    let restored = plan.structure != StructurePlan::Present;
    let mut findings: Vec<Finding> = left_out
        .iter()
        .filter(|_| restored)
        .map(|what| {
            let message = format!("left out with a column: {what}");
            Finding::warning("transform-left-out", message).on(Side::Source)
        })
        .collect();
    findings.push(names_in_text());
    if transform.filters_rows() {
        findings.extend(filters(source, plan, tables, live).await?);
    }
    findings.extend(way_back(transform, plan, live));
    Ok(findings)
}

/// The row filters: whether the source knows such, and takes these.
async fn filters(
    source: &mut Session,
    plan: &Plan,
    tables: &[Table],
    live: bool,
) -> Result<Vec<Finding>, Fault> {
    let layout = Layout::new(&plan.transform, tables, Naming::Final);
    let major = source.version().major();
    let mut findings = Vec::new();
    if live && major < FILTERS_FROM {
        let message = format!(
            "the plan filters rows, and the source is version {major}: only from {FILTERS_FROM} on \
             does a publication know which rows of an update are in the filter"
        );
        findings.push(
            Finding::blocker("transform-filter-version", message)
                .on(Side::Source)
                .mend("-- take the filter out of the plan, or copy at rest with `trunkline clone`"),
        );
    }
    if live && let Some(name) = &plan.publication {
        let message = "the plan filters rows, and the publication is an administrator's: whether \
                       its filters are the same cannot be told";
        findings.push(
            Finding::blocker("transform-filter-publication", message)
                .on(Side::Source)
                .about(name)
                .mend("-- take `publication` out of the plan, so that it is made with the filters"),
        );
    }
    for table in tables {
        let Some(condition) = layout.condition(&table.name) else {
            continue;
        };
        let insert_only = plan
            .insert_only
            .as_ref()
            .is_some_and(|scope| scope.covers_table(&table.name));
        let probe = Probe {
            table,
            condition,
            by_identity: live && is_streamed(table) && !insert_only,
        };
        let found = probe.run(source).await;
        findings.extend(found.on(Side::Source, "reading a row filter")?);
    }
    Ok(findings)
}

/// Definitions that are text say the names that they say.
fn names_in_text() -> Finding {
    let message = "functions whose bodies are text name tables and columns as on the source: what \
                   is renamed or left out must be changed there by hand";
    Finding::notice("transform-text", message)
}

fn way_back(transform: &Transform, plan: &Plan, live: bool) -> Option<Finding> {
    let open = live && plan.cutover.way_back == WayBack::Open;
    (open && transform.leaves_something_behind()).then(|| {
        let message = format!(
            "no way back after the switch: {WHY_NO_WAY_BACK}; the cutover will be refused unless \
             --no-way-back is given"
        );
        Finding::warning("way-back-left-behind", message)
            .on(Side::Source)
            .mend("-- in the plan: [cutover] way_back = \"none\"")
    })
}

/// Said by the check, and by a cutover that is refused for it.
pub(crate) const WHY_NO_WAY_BACK: &str =
    "the plan leaves columns or rows on the source, and new rows could not come back whole";

struct Probe<'a> {
    table: &'a Table,
    condition: &'a str,
    /// Updates and deletes are streamed: the server looks at the replica identity only.
    by_identity: bool,
}

impl Probe<'_> {
    /// Asks the server for the filter over all columns, then over those that it may look at.
    async fn run(&self, source: &mut Session) -> Result<Option<Finding>, PgError> {
        let name = &self.table.name;
        let all: Vec<&str> = self
            .table
            .shape
            .columns
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        if let Some(why) = refusal(source, name, &all, self.condition).await? {
            let message = format!("the source refuses the row filter: {why}");
            let finding = Finding::blocker("transform-filter", message);
            return Ok(Some(finding.on(Side::Source).about(name)));
        }
        if !self.by_identity || self.table.shape.identity == ReplicaIdentity::Full {
            return Ok(None);
        }
        let identity: Vec<&str> = self
            .table
            .shape
            .identity_columns
            .iter()
            .map(SmolStr::as_str)
            .collect();
        let why = refusal(source, name, &identity, self.condition).await?;
        Ok(why.map(|_| {
            let message = "the row filter looks at columns outside of the replica identity: once it \
                           is published, the source would refuse every UPDATE and DELETE";
            Finding::blocker("transform-filter-identity", message)
                .on(Side::Source)
                .about(name)
                .mend(format!(
                    "ALTER TABLE {} REPLICA IDENTITY FULL; -- or a unique index with those columns",
                    name.quoted()
                ))
        }))
    }
}

/// What the server says against a condition over some columns of a table.
async fn refusal(
    source: &mut Session,
    table: &TableName,
    columns: &[&str],
    condition: &str,
) -> Result<Option<String>, PgError> {
    let columns: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
    let (table, columns) = (table.quoted(), columns.join(", "));
    let sql = format!(
        "SELECT FROM (SELECT {columns} FROM ONLY {table}) AS t WHERE ({condition}) LIMIT 0"
    );
    match source.query(&sql, &[]).await {
        Ok(_) => Ok(None),
        Err(error) if is_of_the_condition(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Syntax, names and types (42), and values that are not of their type (22).
fn is_of_the_condition(error: &PgError) -> bool {
    let state = error.sqlstate().map(trunkline_postgres::SqlState::as_str);
    state.is_some_and(|state| ["42", "22"].iter().any(|class| state.starts_with(class)))
}
