//! The proof of a seed: a physical copy is a prefix of the source's history, so rows that were
//! changed just before its position must be as those changes left them, and rows that were
//! changed just after it as those changes found them. Nothing is written on either side.

use std::fmt::Write as _;

use trunkline_changes::{Lsn, Side, Value, quote_ident};
use trunkline_postgres::{OnSide, PgError, Session, ToParam};

use super::touched::{Kind, Part, Seen, Told, Touch, Touched, judge};
use super::window::Window;
use crate::error::Error;

/// What rows of the copy told of a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    /// Rows that show that what came before it is there.
    pub(super) before: u64,
    /// Rows that show that what came after it is not.
    pub(super) after: u64,
}

/// Asks the copy; refuses a position that its rows contradict.
pub(super) async fn prove(
    copy: &mut Session,
    window: &Window,
    position: Lsn,
) -> Result<Proof, Error> {
    let after = ask(copy, &window.after, Part::After, None).await?;
    let before = ask(copy, &window.before, Part::Before, Some(&window.after)).await?;
    let (how, table, why) = match (after.written_already, before.left_otherwise) {
        (Some(table), _) => (
            "too low",
            table,
            "was changed after it is on the copy already: the change would be applied twice",
        ),
        (None, Some(table)) => (
            "too high",
            table,
            "was changed before it is not as that change left it: the change would be lost",
        ),
        (None, None) => match after.contradicted.or(before.contradicted) {
            Some(table) => (
                "too low or too high",
                table,
                "was changed around it is not as it was there",
            ),
            None => {
                return Ok(Proof {
                    before: before.proved,
                    after: after.proved,
                });
            }
        },
    };
    Err(refused(
        position,
        how,
        &format!("a row of {table} that {why}"),
    ))
}

fn refused(position: Lsn, how: &str, why: &str) -> Error {
    Error::Refused {
        why: format!("the seed position {position} is {how}: {why}; no row was touched"),
        hint: "find the copy's exact position (docs/routes/seeded.md says where), put it into the \
               plan's [seed] and run again; a server that took writes of its own since it was \
               copied cannot be used"
            .to_owned(),
    }
}

/// What the rows of one side told.
#[derive(Default)]
struct Answers {
    proved: u64,
    contradicted: Option<String>,
    /// A change after the position whose row is there.
    written_already: Option<String>,
    /// A change before the position whose row is not as it was left, though nothing after the
    /// position touched it.
    left_otherwise: Option<String>,
}

async fn ask(
    copy: &mut Session,
    touched: &Touched,
    part: Part,
    later: Option<&Touched>,
) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    for touch in touched.rows() {
        let Some(seen) = look(copy, touch)
            .await
            .on(Side::Target, "looking for changed rows on the copy")?
        else {
            continue;
        };
        match judge(part, touch, &seen) {
            Told::Nothing => {}
            Told::Proved => answers.proved += 1,
            Told::Contradicted => {
                let table = touch.relation.name.to_string();
                tracing::debug!(?part, kind = ?touch.kind, ?seen, table, "a seed is contradicted");
                match part {
                    Part::After if matches!(seen, Seen::Present { .. }) => {
                        answers.written_already.get_or_insert(table.clone());
                    }
                    Part::Before if later.is_none_or(|later| !later.has(touch)) => {
                        answers.left_otherwise.get_or_insert(table.clone());
                    }
                    _ => {}
                }
                answers.contradicted.get_or_insert(table);
            }
        }
    }
    Ok(answers)
}

/// One row of the copy. `None` where it cannot be asked: the table or a column is another one.
async fn look(copy: &mut Session, touch: &Touch) -> Result<Option<Seen>, PgError> {
    let relation = &touch.relation;
    let types = column_types(copy, touch).await?;
    let Some(types) = types else {
        return Ok(None);
    };
    let mut values: Vec<Option<Vec<u8>>> = Vec::new();
    let mut compared = String::from("true");
    if let Kind::Inserted(row) | Kind::Updated(row) = &touch.kind {
        for (index, column) in relation.columns.iter().enumerate() {
            let value = match row.value(index) {
                Value::Unchanged => continue,
                Value::Null => None,
                Value::Text(text) => Some(text.to_vec()),
            };
            values.push(value);
            // By their text: not every type can be compared.
            // Writing to a String cannot fail.
            let _ = write!(
                compared,
                " AND {}::text IS NOT DISTINCT FROM (${}::text::{})::text",
                quote_ident(&column.name),
                values.len(),
                types[index],
            );
        }
    }
    let mut condition = String::from("true");
    for (index, value) in relation.key().zip(&touch.key) {
        values.push(Some(value.clone()));
        let _ = write!(
            condition,
            " AND {} = ${}::text::{}",
            quote_ident(&relation.columns[index].name),
            values.len(),
            types[index],
        );
    }
    let sql = format!(
        "SELECT {compared}, xmin::text::bigint FROM ONLY {} WHERE {condition}",
        relation.name.quoted()
    );
    let texts: Result<Vec<Option<String>>, _> = values
        .into_iter()
        .map(|value| value.map(String::from_utf8).transpose())
        .collect();
    let Ok(texts) = texts else {
        return Ok(None);
    };
    let params: Vec<&dyn ToParam> = texts.iter().map(|text| text as &dyn ToParam).collect();
    let row = copy.query_opt(&sql, &params).await?;
    let Some(row) = row else {
        return Ok(Some(Seen::Absent));
    };
    Ok(Some(Seen::Present {
        same: row.get(0)?,
        xmin: u32::try_from(row.get::<i64>(1)?).unwrap_or(0),
    }))
}

/// The columns' types on the copy, as casts name them.
async fn column_types(copy: &mut Session, touch: &Touch) -> Result<Option<Vec<String>>, PgError> {
    let relation = &touch.relation;
    let rows = copy
        .query(
            include_str!("../../sql/seed_columns.sql"),
            &[&relation.name.schema, &relation.name.name],
        )
        .await?;
    let mut types = std::collections::BTreeMap::new();
    for row in &rows {
        types.insert(row.get::<String>(0)?, row.get::<String>(1)?);
    }
    let found = relation
        .columns
        .iter()
        .map(|column| types.get(&column.name).cloned());
    Ok(found.collect())
}
