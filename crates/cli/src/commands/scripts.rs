//! `trunkline sql`: scripts to read and run by hand.

use trunkline_changes::{Side, TableName};
use trunkline_migration::plan::Plan;
use trunkline_migration::{Error, is_streamed, scripts};
use trunkline_postgres::{OnSide, Session};

use crate::args::{Script, SqlArgs};
use crate::output::print_text;
use crate::resolve::{Resolved, resolve};

/// Prints the script.
pub(crate) async fn run(args: &SqlArgs) -> Result<u8, Error> {
    let Resolved { plan, .. } = resolve(&args.migration)?;
    let doing = "connecting to read what the script needs";
    let mut source = Session::connect(&plan.source, "sql")
        .await
        .on(Side::Source, doing)?;
    let text = match args.script {
        Script::Sequences => scripts::sequences(&mut source)
            .await
            .on(Side::Source, "reading the sequences")?,
        Script::Publication => {
            let tables = trunkline_load::tables(&mut source, &plan.scope).await?;
            let names: Vec<TableName> = tables
                .into_iter()
                .filter(is_streamed)
                .map(|table| table.name)
                .collect();
            scripts::publication("trunkline", &names)
        }
        Script::Triggers => {
            let mut target = Session::connect(&plan.target, "sql")
                .await
                .on(Side::Target, doing)?;
            let tables = trunkline_load::tables(&mut source, &plan.scope).await?;
            let places = tables.iter().map(|table| plan.transform.place(&table.name));
            let names: Vec<TableName> = places.collect();
            let made = scripts::triggers(&mut target, &names).await;
            let made = made.on(Side::Target, "reading the triggers")?;
            format!(
                "-- before: off\n{}\n-- afterwards: on again, as they were\n{}",
                made.disable_sql, made.enable_sql
            )
        }
        Script::Role => role(&plan, &args.role, &mut source).await?,
    };
    print_text(&text);
    Ok(0)
}

/// The role on both sides; a standby has its source's.
async fn role(plan: &Plan, name: &str, source: &mut Session) -> Result<String, Error> {
    let doing = "reading what the role needs";
    let scope = |table: &TableName| plan.scope.covers_table(table);
    let facts = scripts::role_facts(source, &scope).await;
    let facts = facts.on(Side::Source, doing)?;
    let mut text = scripts::role(Side::Source, name, &facts);
    text += &scripts::for_route(Side::Source, name, facts.version, plan);
    if plan.route.replica().is_some() {
        return Ok(text + "\n-- target: a standby has the source's roles\n");
    }
    let target = Session::connect(&plan.target, "sql").await;
    let mut target = target.on(Side::Target, "connecting to read what the script needs")?;
    let there = scripts::target_role_facts(&mut target, &facts).await;
    let there = there.on(Side::Target, doing)?;
    text.push('\n');
    text += &scripts::role(Side::Target, name, &there);
    text += &scripts::for_route(Side::Target, name, there.version, plan);
    Ok(text)
}
