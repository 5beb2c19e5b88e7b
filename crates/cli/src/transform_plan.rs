//! `[transform]` of the plan file: what becomes of names, columns and rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trunkline_changes::TableName;
use trunkline_load::{Mappings, Scope, TableRules, Transform};
use trunkline_migration::{Condition, Error};

use crate::plan_file::PlanFile;
use crate::resolve::{file_error, plan_error};

/// `[transform]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TransformTable {
    pub(crate) mappings: Option<PathBuf>,
    pub(crate) rename_schemas: BTreeMap<String, String>,
    pub(crate) tables: Vec<TransformedTable>,
}

/// `[[transform.tables]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TransformedTable {
    pub(crate) table: String,
    pub(crate) to: Option<String>,
    pub(crate) leave_out: Vec<String>,
    #[serde(rename = "where")]
    pub(crate) condition: Option<String>,
    pub(crate) rename_columns: BTreeMap<String, String>,
}

impl TransformTable {
    /// Takes a relative path as one from the plan file's folder.
    pub(crate) fn seen_from(&mut self, plan: &Path) -> Result<(), Error> {
        if let Some(path) = &self.mappings {
            let folder = plan.parent().unwrap_or(Path::new(""));
            let path = folder.join(path);
            let absolute = std::path::absolute(&path).map_err(|cause| file_error(&path, cause))?;
            self.mappings = Some(absolute);
        }
        Ok(())
    }
}

/// The scope and the transformations that the file asks for; `scope` is what `[tables]` says.
pub(crate) fn transform(
    file: &PlanFile,
    scope: impl FnOnce(&PlanFile) -> Result<Scope, Error>,
) -> Result<(Scope, Transform), Error> {
    let table = &file.transform;
    refuse_elsewhere(file)?;
    let Some(path) = &table.mappings else {
        return Ok((scope(file)?, own(table)?));
    };
    let tables = &file.tables;
    let chosen = !tables.include.is_empty() || !tables.exclude.is_empty();
    if chosen || tables.filters.is_some() {
        return Err(plan_error(
            "a table mapping and patterns of [tables] both say which tables move",
            "leave `include`, `exclude` and `filters` out: the mapping's selection rules count",
        ));
    }
    if !table.rename_schemas.is_empty() || !table.tables.is_empty() {
        return Err(plan_error(
            "[transform] has a table mapping and rules of its own",
            "put all rules into one of them",
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| file_error(path, cause))?;
    let Mappings {
        include,
        exclude,
        transform,
    } = Mappings::read(&text)?;
    Ok((Scope::from_patterns(&include, &exclude)?, transform))
}

/// Other routes bring the source's tables as they are.
fn refuse_elsewhere(file: &PlanFile) -> Result<(), Error> {
    if file.transform == TransformTable::default() {
        return Ok(());
    }
    let (route, seed) = (&file.migration.route, &file.seed.method);
    for (key, value, wanted) in [("route", route, "stream"), ("method", seed, "copy")] {
        if let Some(value) = value.as_deref().filter(|value| *value != wanted) {
            return Err(plan_error(
                format!("[transform] does not go with `{key} = \"{value}\"`"),
                format!("take [transform] out of the plan, or use `{key} = \"{wanted}\"`"),
            ));
        }
    }
    Ok(())
}

fn own(table: &TransformTable) -> Result<Transform, Error> {
    let mut transform = Transform::none();
    for (schema, to) in &table.rename_schemas {
        transform.rename_schema(schema, to);
    }
    for rules in &table.tables {
        let name = table_name("table", &rules.table)?;
        if let Some(condition) = &rules.condition {
            Condition::parse(condition)?;
        }
        let to = rules.to.as_ref().map(|to| table_name("to", to));
        let rules = TableRules {
            to: to.transpose()?,
            leave_out: rules.leave_out.clone(),
            rename_columns: rules.rename_columns.clone(),
            condition: rules.condition.as_ref().map(|text| text.trim().to_owned()),
        };
        if rules == TableRules::default() {
            return Err(plan_error(
                format!("[[transform.tables]] says nothing of {name}"),
                "give `to`, `leave_out`, `rename_columns` or `where`",
            ));
        }
        transform.add_table(&name, rules);
    }
    Ok(transform)
}

/// `schema.table`, each part plain or in double quotes.
fn table_name(key: &str, text: &str) -> Result<TableName, Error> {
    let read = || {
        let (schema, rest) = part(text)?;
        let (name, rest) = part(rest.strip_prefix('.')?)?;
        rest.is_empty().then(|| TableName::new(schema, name))
    };
    read().ok_or_else(|| {
        plan_error(
            format!("`{key} = \"{text}\"` is not a table"),
            "write schema.table, with double quotes round a part that holds a dot",
        )
    })
}

fn part(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (plain, rest) = text.split_at(end);
        let is_name = !plain.is_empty() && !plain.contains(['"', '*', '?']);
        return is_name.then(|| (plain.to_owned(), rest));
    };
    trunkline_load::quoted_name(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_with_its_schema() {
        let read = |text: &str| table_name("table", text).ok();
        assert_eq!(read("public.t"), Some(TableName::new("public", "t")));
        let quoted = TableName::new("My.Schema", "a\"b");
        assert_eq!(read("\"My.Schema\".\"a\"\"b\""), Some(quoted));
        for text in ["t", "a.b.c", "", ".t", "a.", "a.b*", "\"a.b"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn rules_go_with_the_stream_and_a_copy_only() {
        let rules = "[transform]\nrename_schemas = { a = \"b\" }\n";
        let read = |more: &str| {
            let file = PlanFile::parse(&format!("{more}{rules}")).expect("a plan");
            transform(&file, |_| Ok(Scope::everything()))
        };
        assert!(read("[migration]\nroute = \"stream\"\n[seed]\nmethod = \"copy\"\n").is_ok());
        assert!(read("[migration]\nroute = \"replica\"\n").is_err());
        assert!(read("[seed]\nmethod = \"snapshot\"\n").is_err());
    }

    #[test]
    fn rules_are_read_from_the_plan() {
        let file = PlanFile::parse(
            "[transform]\nrename_schemas = { public = \"app\" }\n\
             [[transform.tables]]\ntable = \"public.orders\"\nto = \"app.bills\"\n\
             leave_out = [\"secret\"]\nrename_columns = { a = \"b\" }\nwhere = \"id > 10\"\n",
        )
        .expect("a plan");
        let text = file.to_text().expect("it can be written");
        assert_eq!(PlanFile::parse(&text).expect("it can be read"), file);
        let everything = |_: &PlanFile| Ok(Scope::everything());
        let (_, transform) = transform(&file, everything).expect("rules");
        let orders = TableName::new("public", "orders");
        assert_eq!(transform.place(&orders), TableName::new("app", "bills"));
        assert_eq!(transform.column(&orders, "secret"), None);
        assert_eq!(transform.condition(&orders), Some("id > 10"));
        let broken = PlanFile::parse(
            "[[transform.tables]]\ntable = \"public.orders\"\nwhere = \"true); DROP TABLE x; --\"",
        );
        assert!(super::transform(&broken.expect("a plan"), everything).is_err());
    }
}
