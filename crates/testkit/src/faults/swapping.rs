//! Two rows exchange a value: both are different, and the values of the column as a whole are
//! what they were.

use super::Fault;
use super::draw::Draw;
use super::ground::Ground;
use super::planting::{Lying, ROWS_TRIED, Turn, different, tried};
use super::statements::literal;
use super::tables::Table;

impl Ground<'_> {
    /// Two rows exchange what they have in a column: one goes meanwhile, because the column
    /// may be unique.
    pub(super) async fn swap(&self, table: &mut Table, draw: &mut Draw) -> Vec<Fault> {
        let mut columns = table.free_columns(false);
        draw.rng.shuffle(&mut columns);
        let mut rows = Vec::new();
        for ctid in tried(table) {
            rows.push((self.row(table, &ctid).await, ctid));
        }
        for at in columns.into_iter().take(ROWS_TRIED) {
            for (one, other) in pairs(&rows, at) {
                if let Some(faults) = self.exchange(table, at, one, other).await {
                    return faults;
                }
            }
        }
        Vec::new()
    }

    async fn exchange(
        &self,
        table: &mut Table,
        at: usize,
        one: &Lying,
        other: &Lying,
    ) -> Option<Vec<Fault>> {
        let ((one, one_ctid), (other, other_ctid)) = (one, other);
        let written = table.written_columns();
        let names: Vec<&str> = written
            .iter()
            .map(|column| column.quoted.as_str())
            .collect();
        let mut new = other.clone();
        new[at].clone_from(&one[at]);
        let values = table.columns.iter().zip(&new);
        let values = values.filter(|(column, _)| !column.is_generated);
        let values: Vec<String> = values.map(|(_, value)| literal(value.as_deref())).collect();
        let script = format!(
            "DELETE FROM ONLY {table} AS t WHERE t.ctid = '{other_ctid}'; \
             UPDATE ONLY {table} AS t SET {column} = {value} WHERE t.ctid = '{one_ctid}' \
             RETURNING t.ctid; \
             INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values}) \
             RETURNING ctid",
            table = table.quoted,
            column = table.columns[at].quoted,
            value = literal(other[at].as_deref()),
            names = names.join(", "),
            values = values.join(", "),
        );
        let places = self.attempt(&script).await?;
        let places: Vec<String> = places.into_iter().flatten().flatten().collect();
        let [one_now, other_now] = places.as_slice() else {
            self.undo().await;
            return None;
        };
        let (one_after, other_after) = (
            self.row(table, one_now).await,
            self.row(table, other_now).await,
        );
        if one_after[at] != other[at] || other_after[at] != one[at] {
            self.undo().await;
            return None;
        }
        let turn = Turn {
            what: format!("{} of two rows exchanged", table.columns[at].name),
            faults: vec![
                different(one.clone(), one_after, one_now.clone()),
                different(other.clone(), other_after, other_now.clone()),
            ],
            used: vec![one_ctid.clone(), other_ctid.clone()],
        };
        self.settle(table, turn).await
    }
}

/// Pairs of rows that differ in a column.
fn pairs(rows: &[Lying], at: usize) -> Vec<(&Lying, &Lying)> {
    let mut pairs = Vec::new();
    for (place, one) in rows.iter().enumerate() {
        let others = rows[place + 1..]
            .iter()
            .filter(|other| other.0[at] != one.0[at]);
        pairs.extend(others.map(|other| (one, other)));
    }
    pairs
}
