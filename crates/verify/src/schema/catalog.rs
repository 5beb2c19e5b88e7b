//! The queries, one for each kind of object, and what their rows mean. Holds always: each
//! row of a query begins with the same five fields (kind, name, arguments, and the kind and
//! name of what it hangs on), and its aspects follow in the order in which they are listed.

use std::collections::BTreeMap;

use trunkline_changes::TableName;
use trunkline_postgres::{DataRow, PgError, Session};

use super::Described;
use super::aspect::{Fact, Reading};
use super::object::{ObjectId, ObjectKind};

use Reading::{Exact, Expression, Note, Query, Since};

struct CatalogQuery {
    sql: &'static str,
    aspects: &'static [(&'static str, Reading)],
}

macro_rules! of_relations {
    ($file:literal) => {
        concat!(
            include_str!("../sql/schema/relations.sql"),
            include_str!(concat!("../sql/schema/", $file, ".sql"))
        )
    };
}

/// Where the aspects begin in a row.
const FIRST_ASPECT: usize = 5;

/// What can be restricted to chosen tables: $1 are their schemas, $2 their names.
const OF_RELATIONS: &[CatalogQuery] = &[
    CatalogQuery {
        sql: of_relations!("tables"),
        aspects: &[
            ("kind", Exact),
            ("persistence", Exact),
            ("of type", Exact),
            ("partition key", Expression),
            ("partition of", Exact),
            ("partition bound", Expression),
            ("inherits", Exact),
            ("row security", Exact),
            ("replica identity", Exact),
            ("server", Exact),
            ("options", Exact),
        ],
    },
    CatalogQuery {
        sql: of_relations!("columns"),
        aspects: &[
            ("type", Exact),
            ("not null", Exact),
            ("default", Expression),
            ("identity", Exact),
            ("generated", Exact),
            ("generated as", Expression),
            ("collation", Exact),
        ],
    },
    CatalogQuery {
        sql: of_relations!("constraints"),
        aspects: CONSTRAINT,
    },
    CatalogQuery {
        sql: of_relations!("indexes"),
        aspects: &[
            ("definition", Expression),
            ("valid", Exact),
            ("partition of", Exact),
        ],
    },
    CatalogQuery {
        sql: of_relations!("sequences"),
        aspects: &[
            ("type", Exact),
            ("start", Exact),
            ("increment", Exact),
            ("minimum", Exact),
            ("maximum", Exact),
            ("cache", Exact),
            ("cycle", Exact),
            ("owned by", Exact),
        ],
    },
    CatalogQuery {
        sql: of_relations!("triggers"),
        aspects: &[("definition", Expression), ("enabled", Exact)],
    },
    CatalogQuery {
        sql: of_relations!("rules"),
        aspects: &[("definition", Query), ("enabled", Exact)],
    },
    CatalogQuery {
        sql: of_relations!("policies"),
        aspects: &[
            ("command", Exact),
            ("mode", Exact),
            ("roles", Exact),
            ("using", Expression),
            ("with check", Expression),
        ],
    },
    CatalogQuery {
        sql: of_relations!("views"),
        aspects: &[("definition", Query), ("options", Exact)],
    },
];

/// What belongs to the whole database only.
const OF_DATABASE: &[CatalogQuery] = &[
    CatalogQuery {
        sql: include_str!("../sql/schema/schemas.sql"),
        aspects: &[],
    },
    CatalogQuery {
        sql: include_str!("../sql/schema/extensions.sql"),
        aspects: &[("schema", Exact), ("version", Note)],
    },
    CatalogQuery {
        sql: include_str!("../sql/schema/types.sql"),
        aspects: &[
            ("kind", Exact),
            ("labels", Exact),
            ("base type", Exact),
            ("default", Expression),
            ("not null", Exact),
            ("collation", Exact),
            ("columns", Exact),
            ("range", Exact),
            ("multirange", Since(14)),
            ("functions", Exact),
        ],
    },
    CatalogQuery {
        sql: include_str!("../sql/schema/domain_constraints.sql"),
        aspects: CONSTRAINT,
    },
    CatalogQuery {
        sql: include_str!("../sql/schema/functions.sql"),
        aspects: &[("kind", Exact), ("definition", Expression)],
    },
    CatalogQuery {
        sql: include_str!("../sql/schema/event_triggers.sql"),
        aspects: &[
            ("event", Exact),
            ("tags", Exact),
            ("function", Exact),
            ("enabled", Exact),
        ],
    },
];

const CONSTRAINT: &[(&str, Reading)] = &[("definition", Expression), ("validated", Exact)];

type Objects = BTreeMap<ObjectId, Described>;

/// Reads all objects, or those of the chosen tables.
pub(super) async fn read(
    session: &mut Session,
    only: Option<&[TableName]>,
) -> Result<Objects, PgError> {
    let schemas: Option<Vec<&str>> =
        only.map(|tables| tables.iter().map(|table| &*table.schema).collect());
    let names: Option<Vec<&str>> =
        only.map(|tables| tables.iter().map(|table| &*table.name).collect());
    let mut objects = Objects::new();
    for query in OF_RELATIONS {
        for row in session.query(query.sql, &[&schemas, &names]).await? {
            add(&mut objects, query, &row)?;
        }
    }
    for row in session
        .query(of_relations!("grants"), &[&schemas, &names])
        .await?
    {
        add_grant(&mut objects, &row)?;
    }
    if only.is_none() {
        for query in OF_DATABASE {
            for row in session.query(query.sql, &[]).await? {
                add(&mut objects, query, &row)?;
            }
        }
    }
    Ok(objects)
}

fn add(objects: &mut Objects, query: &CatalogQuery, row: &DataRow) -> Result<(), PgError> {
    let arguments: Option<String> = row.get(2)?;
    let id = ObjectId::new(kind(row, 0)?, &name(row, 1)?, arguments.as_deref());
    let parent = match row.raw(3) {
        Some(_) => Some(ObjectId::new(kind(row, 3)?, &name(row, 4)?, None)),
        None => None,
    };
    let mut described = Described {
        parent,
        ..Described::default()
    };
    for (place, &(aspect, reading)) in query.aspects.iter().enumerate() {
        let text: Option<String> = row.get(FIRST_ASPECT + place)?;
        if let Some(text) = text {
            described.aspects.insert(aspect, Fact { text, reading });
        }
    }
    objects.insert(id, described);
    Ok(())
}

/// The row of a grant says what is granted on, who may, and what: MAINTAIN apart.
fn add_grant(objects: &mut Objects, row: &DataRow) -> Result<(), PgError> {
    let arguments: Option<String> = row.get(2)?;
    let object = ObjectId::new(kind(row, 0)?, &name(row, 1)?, arguments.as_deref());
    let receiver: String = row.get(3)?;
    let id = object.granted_to(&receiver);
    let mut described = Described {
        parent: Some(object),
        ..Described::default()
    };
    for (place, aspect, reading) in [(4, "privileges", Exact), (5, "maintain", Since(17))] {
        let text: Option<String> = row.get(place)?;
        if let Some(text) = text {
            described.aspects.insert(aspect, Fact { text, reading });
        }
    }
    objects.insert(id, described);
    Ok(())
}

fn kind(row: &DataRow, column: usize) -> Result<ObjectKind, PgError> {
    let name: String = row.get(column)?;
    ObjectKind::of_name(&name).ok_or_else(|| PgError::Conversion {
        what: "the kind of an object".to_owned(),
        why: format!("{name} is none"),
    })
}

fn name(row: &DataRow, column: usize) -> Result<Vec<String>, PgError> {
    row.get(column)
}
