//! What stands on the target already: in the way when the structure is to be made, needed when
//! it is to be there.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{DataRow, PgError, Session};

use super::finding::{Finding, all_on};
use super::listing::each;
use super::report::counted;
use super::tables::{Kind, Tables};
use super::{Intent, role};

#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub droppable: bool,
    pub writable: bool,
    pub owner: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub relations: BTreeMap<TableName, Relation>,
    pub control_schema: bool,
}

pub(super) async fn control_schema(session: &mut Session) -> Result<bool, PgError> {
    session
        .query_one(include_str!("sql/control_schema.sql"), &[])
        .await?
        .get(0)
}

pub(super) async fn read(session: &mut Session) -> Result<Facts, PgError> {
    let mut relations = BTreeMap::new();
    let take = |row: DataRow| {
        let name = row.table_name(0, 1)?;
        let relation = Relation {
            droppable: row.get(3)?,
            writable: row.get(4)?,
            owner: row.get(5)?,
        };
        relations.insert(name, relation);
        Ok(())
    };
    let sql = include_str!("sql/existing.sql");
    session.query_each(sql, &[], take).await?;
    Ok(Facts {
        relations,
        control_schema: control_schema(session).await?,
    })
}

/// The views of these schemas.
pub(super) async fn read_views(
    session: &mut Session,
    schemas: &[&str],
) -> Result<BTreeSet<TableName>, PgError> {
    let schemas = schemas.to_vec();
    let rows = session
        .query(include_str!("sql/views.sql"), &[&schemas])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(TableName {
                schema: row.get(0)?,
                name: row.get(1)?,
            })
        })
        .collect()
}

/// What the source would bring, and where to.
pub(super) struct Places<'a> {
    /// All relations of the source that move, tables and others.
    pub(super) moving: &'a BTreeSet<TableName>,
    /// Where a table of the source stands on the target.
    pub(super) place: &'a (dyn Fn(&TableName) -> TableName + Sync),
}

pub(super) fn judge(
    facts: &Facts,
    tables: &Tables,
    places: &Places<'_>,
    role: &role::Facts,
    intent: Intent,
) -> Vec<Finding> {
    let mut findings = if intent.structure {
        // Tables are made under the source's names, and get their own later.
        let mut moving = places.moving.clone();
        moving.extend(tables.list.iter().map(|table| (places.place)(&table.name)));
        judge_in_the_way(facts, &moving, intent)
    } else {
        judge_needed(facts, tables, places, role)
    };
    if facts.control_schema && !intent.own_control_schema {
        let message = "the schema trunkline stands on the target, and is not this migration's: another one was \
                       begun there, and neither completed nor aborted";
        findings.push(
            Finding::blocker("control-schema", message)
                .about("trunkline")
                .mend("-- end that migration (trunkline complete, or abort), or: DROP SCHEMA trunkline CASCADE;"),
        );
    }
    all_on(findings, Side::Target)
}

fn judge_in_the_way(facts: &Facts, moving: &BTreeSet<TableName>, intent: Intent) -> Vec<Finding> {
    let colliding = facts
        .relations
        .iter()
        .filter(|(name, _)| moving.contains(*name));
    let mut findings = if intent.drop_if_exists {
        each(
            colliding.filter(|(_, relation)| !relation.droppable),
            |(name, relation)| {
                let message = format!(
                    "the object is to be dropped first, and belongs to {}: our role may not",
                    relation.owner
                );
                Finding::blocker("object-owner", message).about(name)
            },
        )
    } else {
        each(colliding, |(name, _)| {
            let message = "an object of this name stands on the target already";
            Finding::blocker("object-exists", message)
                .about(name)
                .mend("-- drop it, leave it out of the plan, or run with --drop-if-exists")
        })
    };
    let others = facts
        .relations
        .keys()
        .filter(|name| !moving.contains(*name))
        .count();
    if others > 0 {
        let message = format!(
            "{} of the target are not the source's: they stay as they are",
            counted(others, "object")
        );
        findings.push(Finding::notice("target-not-empty", message));
    }
    findings
}

fn judge_needed(
    facts: &Facts,
    tables: &Tables,
    places: &Places<'_>,
    role: &role::Facts,
) -> Vec<Finding> {
    let needed = tables
        .list
        .iter()
        .filter(|table| matches!(table.kind, Kind::Ordinary | Kind::Unlogged));
    let placed: Vec<TableName> = needed.map(|table| (places.place)(&table.name)).collect();
    let findings = placed
        .iter()
        .filter_map(|name| match facts.relations.get(name) {
            None => {
                let message =
                    "the plan says that the target's tables are there, and this one is not";
                Some(Finding::blocker("table-missing", message).about(name))
            }
            Some(relation) if !relation.writable => {
                let message = "our role may not read and write this table of the target";
                Some(
                    Finding::blocker("table-write", message)
                        .about(name)
                        .mend(format!(
                            "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLE {} TO {};",
                            name.quoted(),
                            role.quoted()
                        )),
                )
            }
            Some(_) => None,
        });
    each(findings, |finding| finding)
}

#[cfg(test)]
mod tests {
    use super::super::tables::{example, examples};
    use super::super::{Intent, intent_of_a_live_move, role};
    use super::{Facts, Places, Relation, judge};
    use trunkline_changes::TableName;

    fn facts(droppable: bool, writable: bool) -> Facts {
        let relation = Relation {
            droppable,
            writable,
            owner: "someone".to_owned(),
        };
        Facts {
            relations: [(TableName::new("public", "orders"), relation)].into(),
            control_schema: false,
        }
    }

    fn codes(facts: &Facts, moving: &[&str], intent: Intent) -> Vec<&'static str> {
        let tables = examples(moving.iter().map(|name| example(name)).collect());
        let moving = moving
            .iter()
            .map(|name| TableName::new("public", *name))
            .collect();
        let places = Places {
            moving: &moving,
            place: &TableName::clone,
        };
        judge(facts, &tables, &places, &role::example(), intent)
            .into_iter()
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn only_names_that_collide_are_in_the_way() {
        let live = intent_of_a_live_move();
        assert_eq!(
            codes(&facts(true, true), &["orders"], live),
            ["object-exists"]
        );
        assert_eq!(
            codes(&facts(true, true), &["lines"], live),
            ["target-not-empty"]
        );
        assert!(codes(&Facts::default(), &["orders"], live).is_empty());
    }

    #[test]
    fn what_is_to_be_dropped_must_be_ours_to_drop() {
        let dropping = Intent {
            drop_if_exists: true,
            ..intent_of_a_live_move()
        };
        assert!(codes(&facts(true, true), &["orders"], dropping).is_empty());
        assert_eq!(
            codes(&facts(false, true), &["orders"], dropping),
            ["object-owner"]
        );
    }

    #[test]
    fn tables_that_are_to_be_there_must_be_there_and_writable() {
        let present = Intent {
            structure: false,
            ..intent_of_a_live_move()
        };
        assert!(codes(&facts(false, true), &["orders"], present).is_empty());
        assert_eq!(
            codes(&facts(true, false), &["orders"], present),
            ["table-write"]
        );
        assert_eq!(
            codes(&Facts::default(), &["orders"], present),
            ["table-missing"]
        );
    }

    #[test]
    fn anothers_control_schema_blocks_and_our_own_does_not() {
        let facts = Facts {
            control_schema: true,
            ..Facts::default()
        };
        assert_eq!(
            codes(&facts, &[], intent_of_a_live_move()),
            ["control-schema"]
        );
        let ours = Intent {
            own_control_schema: true,
            ..intent_of_a_live_move()
        };
        assert!(codes(&facts, &[], ours).is_empty());
    }
}
