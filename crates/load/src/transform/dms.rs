//! A table mapping of AWS DMS, read as it is: selection rules become patterns and row
//! filters, transformation rules become ours. What we do not do is refused, by the rule's id
//! and name. (AWS DMS user guide, "Using table mapping" and "Using source filters".)

use serde_json::{Map, Value};
use trunkline_changes::{quote_ident, quote_literal};

use super::pick::Pick;
use super::rename::Rename;
use super::{Action, Filter, Rule, Transform};
use crate::error::LoadError;

/// What a table mapping says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    /// Patterns of the tables that are moved.
    pub include: Vec<String>,
    /// Patterns of those that are not, before the others.
    pub exclude: Vec<String>,
    /// What becomes of them.
    pub transform: Transform,
}

type Read<T> = Result<T, String>;

impl Mappings {
    /// Reads the JSON of a table mapping.
    pub fn read(text: &str) -> Result<Self, LoadError> {
        let refused = |why: String| LoadError::TableMapping { why };
        let json: Value = serde_json::from_str(text)
            .map_err(|error| refused(format!("it is not JSON: {error}")))?;
        let rules = json.get("rules").and_then(Value::as_array);
        let rules = rules.ok_or_else(|| refused("it has no list `rules`".to_owned()))?;
        let mut mappings = Mappings::default();
        for (number, rule) in rules.iter().enumerate() {
            let of = format!("rule {}", number + 1);
            let rule = rule
                .as_object()
                .ok_or_else(|| refused(format!("{of} is not an object")))?;
            let label = label(rule).unwrap_or(of);
            mappings
                .take(rule, &label)
                .map_err(|why| refused(format!("{label}: {why}")))?;
        }
        if mappings.include.is_empty() {
            let why = "no selection rule includes a table; DMS would move none";
            return Err(refused(why.to_owned()));
        }
        Ok(mappings)
    }

    fn take(&mut self, rule: &Map<String, Value>, label: &str) -> Read<()> {
        match text(rule, "rule-type")? {
            "selection" => self.select(rule, label),
            "transformation" => {
                let rule = transformation(rule, label)?;
                self.transform.rules.push(rule);
                Ok(())
            }
            other => Err(format!("rule-type \"{other}\" is not supported")),
        }
    }

    fn select(&mut self, rule: &Map<String, Value>, label: &str) -> Read<()> {
        // The order in which tables are loaded is ours: the largest first.
        let known = ["object-locator", "rule-action", "filters", "load-order"];
        refuse_others(rule, &known)?;
        let locator = locator(rule, &["schema-name", "table-name", "table-type"])?;
        match locator.get("table-type").and_then(Value::as_str) {
            None | Some("table" | "all") => {}
            Some(other) => {
                return Err(format!(
                    "table-type \"{other}\" is not supported: views come with the structure"
                ));
            }
        }
        let (schema, table) = (pick(locator, "schema-name")?, pick(locator, "table-name")?);
        let pattern = format!("{}.{}", schema.filter_text(), table.filter_text());
        let filters = match rule.get("filters") {
            None => None,
            Some(Value::Array(filters)) if filters.is_empty() => None,
            Some(Value::Array(filters)) => Some(condition(filters)?),
            Some(_) => return Err("`filters` is not a list".to_owned()),
        };
        match text(rule, "rule-action")? {
            "explicit" if !(schema.is_exact() && table.is_exact()) => {
                Err("`explicit` takes one table, without wildcards".to_owned())
            }
            "include" | "explicit" => {
                self.include.push(pattern);
                self.transform.filters.push(Filter {
                    label: label.to_owned(),
                    schema,
                    table,
                    condition: filters,
                });
                Ok(())
            }
            "exclude" if filters.is_some() => {
                Err("filters go with the rule-action \"include\" only".to_owned())
            }
            "exclude" => {
                self.exclude.push(pattern);
                Ok(())
            }
            other => Err(format!("rule-action \"{other}\" is not supported")),
        }
    }
}

fn transformation(rule: &Map<String, Value>, label: &str) -> Read<Rule> {
    let action = text(rule, "rule-action")?;
    let target = text(rule, "rule-target")?;
    if !ACTIONS.contains(&action) {
        return Err(format!("rule-action \"{action}\" is not supported"));
    }
    let known = [
        "object-locator",
        "rule-action",
        "rule-target",
        "value",
        "old-value",
    ];
    refuse_others(rule, &known)?;
    let locator = locator(rule, &["schema-name", "table-name", "column-name"])?;
    let schema = pick(locator, "schema-name")?;
    let table = match (target, locator.get("table-name")) {
        ("schema", None) => Pick::any(),
        _ => pick(locator, "table-name")?,
    };
    let of_column = ["remove-column", "include-column"].contains(&action);
    let action = match target {
        "column" => {
            let column = pick(locator, "column-name")?;
            match action {
                "remove-column" => Action::LeaveOut(column),
                "include-column" => Action::KeepOnly(column),
                _ => Action::Column(column, rename(rule, action)?),
            }
        }
        "schema" | "table" if of_column => {
            return Err(format!("\"{action}\" goes with the rule-target \"column\""));
        }
        "schema" => Action::Schema(rename(rule, action)?),
        "table" => Action::Table(rename(rule, action)?),
        other => return Err(format!("rule-target \"{other}\" is not supported")),
    };
    Ok(Rule {
        label: label.to_owned(),
        schema,
        table,
        action,
    })
}

const ACTIONS: [&str; 11] = [
    "rename",
    "remove-column",
    "include-column",
    "convert-lowercase",
    "convert-uppercase",
    "add-prefix",
    "add-suffix",
    "remove-prefix",
    "remove-suffix",
    "replace-prefix",
    "replace-suffix",
];

fn rename(rule: &Map<String, Value>, action: &str) -> Read<Rename> {
    let value = || text(rule, "value").map(str::to_owned);
    let old = || text(rule, "old-value").map(str::to_owned);
    Ok(match action {
        "rename" => Rename::To(value()?),
        "add-prefix" => Rename::AddPrefix(value()?),
        "add-suffix" => Rename::AddSuffix(value()?),
        "remove-prefix" => Rename::RemovePrefix(value()?),
        "remove-suffix" => Rename::RemoveSuffix(value()?),
        "replace-prefix" => Rename::ReplacePrefix {
            old: old()?,
            new: value()?,
        },
        "replace-suffix" => Rename::ReplaceSuffix {
            old: old()?,
            new: value()?,
        },
        "convert-lowercase" => Rename::Lowercase,
        _ => Rename::Uppercase,
    })
}

/// Filters are combined by AND, the conditions of one by OR.
fn condition(filters: &[Value]) -> Read<String> {
    let filters: Read<Vec<String>> = filters.iter().map(filter).collect();
    Ok(filters?.join(" AND "))
}

fn filter(filter: &Value) -> Read<String> {
    let filter = filter.as_object().ok_or("a filter is not an object")?;
    let kind = text(filter, "filter-type")?;
    if kind != "source" {
        return Err(format!("filter-type \"{kind}\" is not supported"));
    }
    let column = quote_ident(text(filter, "column-name")?);
    let conditions = filter.get("filter-conditions").and_then(Value::as_array);
    let conditions = conditions.ok_or("a filter has no `filter-conditions`")?;
    if conditions.is_empty() {
        return Err("a filter has no condition".to_owned());
    }
    let mut negative = false;
    let mut parts = Vec::new();
    for condition in conditions {
        let condition = condition.as_object().ok_or("a condition is no object")?;
        let operator = text(condition, "filter-operator")?;
        negative |= ["noteq", "notbetween", "notnull"].contains(&operator);
        parts.push(comparison(condition, operator, &column)?);
    }
    if negative && parts.len() > 1 {
        return Err("a filter with a negative operator takes one condition".to_owned());
    }
    Ok(format!("({})", parts.join(" OR ")))
}

fn comparison(condition: &Map<String, Value>, operator: &str, column: &str) -> Read<String> {
    let value = |key: &str| match condition.get(key) {
        Some(Value::String(text)) => Ok(quote_literal(text)),
        Some(Value::Number(number)) => Ok(quote_literal(&number.to_string())),
        _ => Err(format!("filter-operator \"{operator}\" needs `{key}`")),
    };
    let range = || {
        Ok::<String, String>(format!(
            "{} AND {}",
            value("start-value")?,
            value("end-value")?
        ))
    };
    Ok(match operator {
        "eq" => format!("{column} = {}", value("value")?),
        "noteq" => format!("{column} <> {}", value("value")?),
        "gte" => format!("{column} >= {}", value("value")?),
        "ste" => format!("{column} <= {}", value("value")?),
        "between" => format!("{column} BETWEEN {}", range()?),
        "notbetween" => format!("{column} NOT BETWEEN {}", range()?),
        "null" => format!("{column} IS NULL"),
        "notnull" => format!("{column} IS NOT NULL"),
        other => return Err(format!("filter-operator \"{other}\" is not supported")),
    })
}

/// A rule as errors name it.
fn label(rule: &Map<String, Value>) -> Option<String> {
    let id = match rule.get("rule-id")? {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    let name = rule.get("rule-name").and_then(Value::as_str);
    Some(match name {
        Some(name) => format!("rule-id {id} \"{name}\""),
        None => format!("rule-id {id}"),
    })
}

fn locator<'a>(rule: &'a Map<String, Value>, known: &[&str]) -> Read<&'a Map<String, Value>> {
    let locator = rule.get("object-locator").and_then(Value::as_object);
    let locator = locator.ok_or("it has no `object-locator`")?;
    match locator.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(locator),
        Some(other) => Err(format!(
            "`{other}` in the object-locator is not supported here"
        )),
    }
}

fn refuse_others(rule: &Map<String, Value>, known: &[&str]) -> Read<()> {
    let always = ["rule-type", "rule-id", "rule-name"];
    let is_known = |key: &str| known.contains(&key) || always.contains(&key);
    match rule.iter().find(|(key, value)| {
        // A console writes what was not chosen as null.
        !is_known(key) && !value.is_null()
    }) {
        None => Ok(()),
        Some((other, _)) => Err(format!("`{other}` is not supported")),
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Read<&'a str> {
    let value = object.get(key).and_then(Value::as_str);
    value.ok_or_else(|| format!("it has no text `{key}`"))
}

fn pick(locator: &Map<String, Value>, key: &str) -> Read<Pick> {
    let pattern = text(locator, key)?;
    Pick::like(pattern).map_err(|why| format!("`{key}`: {why}"))
}

#[cfg(test)]
mod tests;
