//! One fault at a time: what is done to the table, and what must be found of it. Holds always:
//! what a fault expects was read from the row before and after, never assumed.

use super::draw::Draw;
use super::ground::Ground;
use super::statements::{expression, insert_copy, others_value};
use super::tables::{Table, Value};
use super::{Act, Fault, FaultKind, Slot};

/// Rows that are tried before a column's turn is put off.
pub(super) const ROWS_TRIED: usize = 8;

/// A row and where it lies.
pub(super) type Lying = (Vec<Value>, String);

/// A fault that was planted, with the row as it was and as it is.
pub(super) struct Planted {
    kind: FaultKind,
    before: Option<Vec<Value>>,
    after: Option<Vec<Value>>,
    ctid: Option<String>,
}

/// What a turn did: to be kept, or to be taken back if the faults could not be told apart.
pub(super) struct Turn {
    pub(super) what: String,
    pub(super) faults: Vec<Planted>,
    /// Rows that had their fault.
    pub(super) used: Vec<String>,
}

impl Ground<'_> {
    /// Plants what a slot says; nothing when no free row takes it.
    pub(super) async fn plant(&mut self, slot: &Slot, room: usize, draw: &mut Draw) -> Vec<Fault> {
        let (name, act) = slot;
        let Some(mut table) = self.tables.remove(name) else {
            return Vec::new();
        };
        let free = self.free_rows(name, &table).await;
        table.free = Some(free);
        let pair = matches!(act, Act::Rekey | Act::Swap);
        let faults = if pair && room < 2 {
            Vec::new()
        } else {
            self.act(&mut table, act, draw).await
        };
        self.tables.insert(name.clone(), table);
        faults
    }

    async fn act(&self, table: &mut Table, act: &Act, draw: &mut Draw) -> Vec<Fault> {
        match act {
            Act::Change(column, _) => {
                let fits = |at: &usize| table.columns[*at].name == *column;
                let columns = table.free_columns(false).into_iter().filter(fits).collect();
                self.change(table, columns, draw).await
            }
            Act::ChangeOfType(type_name) => {
                let fits = |at: &usize| table.columns[*at].type_name == *type_name;
                let columns = table.free_columns(false).into_iter().filter(fits).collect();
                self.change(table, columns, draw).await
            }
            Act::Rekey => {
                let columns = table.free_columns(true);
                self.change(table, columns, draw).await
            }
            Act::Remove => self.remove(table).await,
            Act::Add => self.add(table, draw).await,
            Act::Copy => self.copy(table).await,
            Act::Swap => self.swap(table, draw).await,
        }
    }

    /// Changes one of the columns in one row.
    async fn change(&self, table: &mut Table, columns: Vec<usize>, draw: &mut Draw) -> Vec<Fault> {
        for ctid in tried(table) {
            let Some(&at) = draw.rng.choice(&columns) else {
                return Vec::new();
            };
            let (column, is_key) = (table.columns[at].clone(), table.key.contains(&at));
            let before = self.row(table, &ctid).await;
            let mut all = draw.changes(&column, before[at].as_deref());
            all.extend(others_value(table, at, &ctid, &mut draw.rng));
            for change in all {
                let set = format!(
                    "UPDATE ONLY {table} AS t SET {column} = {new} WHERE t.ctid = '{ctid}' \
                     RETURNING t.ctid",
                    table = table.quoted,
                    column = column.quoted,
                    new = expression(&change, &column),
                );
                let Some(now) = self.place_after(&set).await else {
                    continue;
                };
                let after = self.row(table, &now).await;
                let faults = if is_key {
                    rekeyed(table, &before, after, now)
                } else {
                    vec![different(before.clone(), after, now)]
                };
                let turn = Turn {
                    what: change.what.to_owned(),
                    faults,
                    used: vec![ctid.clone()],
                };
                if let Some(faults) = self.settle(table, turn).await {
                    draw.note(&column, change.what);
                    return faults;
                }
            }
        }
        Vec::new()
    }

    async fn remove(&self, table: &mut Table) -> Vec<Fault> {
        let Some(ctid) = tried(table).into_iter().next() else {
            return Vec::new();
        };
        let before = self.row(table, &ctid).await;
        let statement = format!(
            "DELETE FROM ONLY {} AS t WHERE t.ctid = '{ctid}'",
            table.quoted
        );
        if self.attempt(&statement).await.is_none() {
            return Vec::new();
        }
        let turn = Turn {
            what: "a row less".to_owned(),
            faults: vec![Planted {
                kind: FaultKind::Missing,
                before: Some(before),
                after: None,
                ctid: None,
            }],
            used: vec![ctid],
        };
        self.settle(table, turn).await.unwrap_or_default()
    }

    /// A copy of a row under another key, or with another value where there is no key.
    async fn add(&self, table: &mut Table, draw: &mut Draw) -> Vec<Fault> {
        let choice: Vec<usize> = (0..table.columns.len())
            .filter(|at| !table.columns[*at].is_generated)
            .filter(|at| !table.has_key() || table.key.contains(at))
            .collect();
        let rows = tried(table);
        if rows.is_empty() && !table.has_key() {
            let insert = format!("INSERT INTO {} DEFAULT VALUES", table.quoted);
            return self.added(table, &insert, None).await;
        }
        for ctid in rows {
            let Some(&at) = draw.rng.choice(&choice) else {
                return Vec::new();
            };
            let column = table.columns[at].clone();
            let before = self.row(table, &ctid).await;
            for change in draw.changes(&column, before[at].as_deref()) {
                let new = expression(&change, &column);
                let insert = insert_copy(table, &ctid, Some((&column, &new)));
                let faults = self.added(table, &insert, None).await;
                if !faults.is_empty() {
                    return faults;
                }
            }
        }
        Vec::new()
    }

    /// One more copy of a row, where nothing forbids it.
    async fn copy(&self, table: &mut Table) -> Vec<Fault> {
        let Some(ctid) = tried(table).into_iter().next() else {
            return Vec::new();
        };
        let before = self.row(table, &ctid).await;
        let insert = insert_copy(table, &ctid, None);
        self.added(table, &insert, Some((before, ctid))).await
    }

    /// Runs an INSERT that adds a row: one more of a row that is there, or a new one.
    async fn added(&self, table: &mut Table, insert: &str, copied: Option<Lying>) -> Vec<Fault> {
        let Some(now) = self.place_after(&format!("{insert} RETURNING ctid")).await else {
            return Vec::new();
        };
        let after = self.row(table, &now).await;
        let (kind, what) = if copied.is_some() {
            (FaultKind::Duplicated, "one more copy of a row")
        } else {
            (FaultKind::Extra, "a row more")
        };
        if copied.as_ref().is_some_and(|(before, _)| *before != after) {
            self.undo().await;
            return Vec::new();
        }
        let turn = Turn {
            what: what.to_owned(),
            faults: vec![Planted {
                kind,
                before: None,
                after: Some(after),
                ctid: Some(now),
            }],
            used: copied.into_iter().map(|(_, ctid)| ctid).collect(),
        };
        self.settle(table, turn).await.unwrap_or_default()
    }

    /// Runs a statement that returns the place of one row; `None` when it is refused.
    async fn place_after(&self, statement: &str) -> Option<String> {
        let rows = self.attempt(statement).await?;
        let place = rows.into_iter().flatten().flatten().next();
        if place.is_none() {
            self.undo().await;
        }
        place
    }

    /// Keeps what a turn did if each of its faults can be found and told apart, and takes it
    /// back otherwise.
    pub(super) async fn settle(&self, table: &mut Table, turn: Turn) -> Option<Vec<Fault>> {
        let mut is_good = !turn.faults.is_empty() && self.is_unique(table).await;
        for planted in &turn.faults {
            is_good = is_good && is_sound(table, planted);
            if let (false, Some(ctid)) = (table.has_key(), &planted.ctid) {
                let alone = self.copies(table, ctid).await == 1;
                is_good = is_good && alone == (planted.kind != FaultKind::Duplicated);
            }
        }
        if is_good && !table.has_key() {
            let rows = turn.faults.iter();
            let rows: Vec<_> = rows
                .map(|one| (one.before.clone(), one.after.clone()))
                .collect();
            is_good = table.told_apart.admit(&rows);
        }
        if !is_good {
            self.undo().await;
            return None;
        }
        self.keep().await;
        let free = table.free.iter_mut();
        free.for_each(|free| free.retain(|ctid| !turn.used.contains(ctid)));
        let faults = turn.faults.iter();
        let faults = faults
            .map(|planted| fault(table, planted, &turn.what))
            .collect();
        for planted in &turn.faults {
            if let (FaultKind::Missing, Some(row)) = (planted.kind, &planted.before) {
                let key = table.key_values(row);
                table.gone.insert(key);
            }
        }
        Some(faults)
    }
}

/// Rows that may be tried, the first ones first.
pub(super) fn tried(table: &Table) -> Vec<String> {
    let free = table.free.iter().flatten();
    free.take(ROWS_TRIED).cloned().collect()
}

pub(super) fn different(before: Vec<Value>, after: Vec<Value>, ctid: String) -> Planted {
    Planted {
        kind: FaultKind::Different,
        before: Some(before),
        after: Some(after),
        ctid: Some(ctid),
    }
}

/// Under another key it is one row that is missing and one that is too many.
fn rekeyed(table: &Table, before: &[Value], after: Vec<Value>, ctid: String) -> Vec<Planted> {
    if table.key_values(before) == table.key_values(&after) {
        return Vec::new();
    }
    let missing = Planted {
        kind: FaultKind::Missing,
        before: Some(before.to_vec()),
        after: None,
        ctid: None,
    };
    let extra = Planted {
        kind: FaultKind::Extra,
        before: None,
        after: Some(after),
        ctid: Some(ctid),
    };
    vec![missing, extra]
}

/// Whether the row differs as its kind says.
fn is_sound(table: &Table, planted: &Planted) -> bool {
    match (&planted.before, &planted.after) {
        (Some(before), Some(after)) => {
            before != after && table.key_values(before) == table.key_values(after)
        }
        (None, Some(after)) => !table.gone.contains(&table.key_values(after)),
        _ => true,
    }
}

fn fault(table: &Table, planted: &Planted, what: &str) -> Fault {
    let (before, after) = (planted.before.as_ref(), planted.after.as_ref());
    let columns = match (before, after) {
        (Some(before), Some(after)) => (0..table.columns.len())
            .filter(|&at| before[at] != after[at])
            .map(|at| table.columns[at].name.clone())
            .collect(),
        _ => Vec::new(),
    };
    let row = before.or(after).expect("a fault has a row on a side");
    Fault {
        table: (table.schema.clone(), table.name.clone()),
        kind: planted.kind,
        key: table.key_of(row),
        columns,
        what: what.to_owned(),
        target_ctid: planted.ctid.clone(),
    }
}
