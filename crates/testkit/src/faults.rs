//! Single faults planted into a target, so that a test can show that a comparison finds each
//! of them: which row, how, and in which columns.
//!
//! Faults go round: every column of every table has its turn, and so have rows that are
//! missing, too many, or under another key. No row has two faults of one plant. What cannot
//! have its turn, because the rows of its table are used up, comes first in the next plant.

mod changes;
mod draw;
mod ground;
mod planting;
mod statements;
mod swapping;
mod tables;
mod told_apart;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio_postgres::Client;

use crate::cluster::ok;
use draw::Draw;
pub use draw::SUBTLE;
use ground::Ground;
use tables::{Column, Table};

const PGBENCH: &str = include_str!("../sql/faults/pgbench.sql");
const MORE: &str = include_str!("../sql/faults/more.sql");

/// A table with more columns has turns by type, not by column.
const MANY_COLUMNS: usize = 50;

/// As the session of a comparison is: how values look, and no triggers or foreign keys. What
/// the server refuses is tried otherwise, and not worth a line of its log.
const BEGIN: &str = "BEGIN; SET LOCAL session_replication_role = replica; \
    SET LOCAL search_path = ''; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
    SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'; \
    SET LOCAL extra_float_digits = 3; SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = content; \
    SET LOCAL standard_conforming_strings = on; SET LOCAL statement_timeout = 0; \
    SET LOCAL row_security = off; SET LOCAL log_min_messages = panic; SET CONSTRAINTS ALL IMMEDIATE";

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// The source has it, the target has not.
    Missing,
    /// The target has it, the source has not.
    Extra,
    /// Both have it, with other contents.
    Different,
    /// The target has one copy more than the source.
    Duplicated,
}

impl FaultKind {
    /// As reports say it.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Missing => "missing",
            FaultKind::Extra => "extra",
            FaultKind::Different => "different",
            FaultKind::Duplicated => "duplicated",
        }
    }
}

/// What a comparison must find.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Schema and name of the table, of a partition by its own name.
    pub table: (String, String),
    /// How the row differs.
    pub kind: FaultKind,
    /// The columns of its key with their values as text, on the source; of an extra row, on
    /// the target. Empty where the table has no key.
    pub key: Vec<(String, Option<String>)>,
    /// The columns whose text differs, sorted; only of a row that is different.
    pub columns: Vec<String>,
    /// What was done.
    pub what: String,
    /// Where the row lies on the target now; `None` of a missing one.
    pub target_ctid: Option<String>,
}

/// Whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// One of a column's turns.
    Change(String, u8),
    /// The turn of a type's columns, in a table with many.
    ChangeOfType(String),
    Remove,
    Add,
    Copy,
    Rekey,
    Swap,
}

type Slot = ((String, String), Act);

/// Plants faults; the same seed plants the same ones in databases with the same rows.
#[derive(Debug)]
pub struct Planter {
    draw: Draw,
    left_out: BTreeSet<(String, String)>,
    conditions: BTreeMap<(String, String), String>,
    known: BTreeSet<Slot>,
    queue: VecDeque<Slot>,
}

impl Planter {
    /// Prints the seed.
    pub fn new(seed: u64) -> Self {
        eprintln!("faults are planted with seed {seed}");
        Planter {
            draw: Draw::new(seed),
            left_out: BTreeSet::new(),
            conditions: BTreeMap::new(),
            known: BTreeSet::new(),
            queue: VecDeque::new(),
        }
    }

    /// Plants nothing in a table.
    #[must_use]
    pub fn leaving_out(mut self, schema: &str, table: &str) -> Self {
        self.left_out.insert((schema.to_owned(), table.to_owned()));
        self
    }

    /// Plants in a table's rows that fulfil a condition only; columns are those of `t`.
    #[must_use]
    pub fn only_where(mut self, schema: &str, table: &str, condition: &str) -> Self {
        let table = (schema.to_owned(), table.to_owned());
        self.conditions.insert(table, condition.to_owned());
        self
    }

    /// Plants so many faults in tables of these schemas, in one transaction. Needs a superuser.
    pub async fn plant(&mut self, target: &Client, schemas: &[&str], count: usize) -> Vec<Fault> {
        ok("begin to plant", target.batch_execute(BEGIN).await);
        let mut tables = Table::all(target, schemas).await;
        tables.retain(|name, _| !self.left_out.contains(name));
        self.enroll(&tables);
        let mut ground = Ground::new(target, tables, &self.conditions, self.draw.rng.u64(..));
        let (mut faults, mut waiting) = (Vec::new(), Vec::new());
        while faults.len() < count {
            let Some(slot) = self.queue.pop_front() else {
                panic!("only {} of {count} faults find a row", faults.len());
            };
            let room = count - faults.len();
            let planted = ground.plant(&slot, room, &mut self.draw).await;
            if planted.is_empty() {
                waiting.push(slot);
            } else {
                faults.extend(planted);
                self.queue.push_back(slot);
            }
        }
        while let Some(slot) = waiting.pop() {
            self.queue.push_front(slot);
        }
        ok("end planting", target.batch_execute("COMMIT").await);
        faults
    }

    /// Gives everything that may be planted in tables that were not seen before its place.
    fn enroll(&mut self, tables: &BTreeMap<(String, String), Table>) {
        let slots = tables.iter().flat_map(|(name, table)| {
            let acts = acts(table).into_iter();
            acts.map(move |act| (name.clone(), act))
        });
        let mut new: Vec<Slot> = slots.filter(|slot| !self.known.contains(slot)).collect();
        self.known.extend(new.iter().cloned());
        self.draw.rng.shuffle(&mut new);
        self.queue.extend(new);
    }
}

/// How many turns a column has in a round: types that may be changed in more ways, and are
/// seldom, have more.
fn turns(column: &Column) -> u8 {
    let is_common = matches!(
        column.type_name.as_str(),
        "bool" | "int2" | "int4" | "int8" | "oid" | "text" | "name"
    );
    if is_common { 1 } else { 3 }
}

/// What may be planted in a table.
fn acts(table: &Table) -> Vec<Act> {
    let free = table.free_columns(false);
    let columns = free.iter().map(|&at| &table.columns[at]);
    let mut acts: Vec<Act> = if free.len() > MANY_COLUMNS {
        let types: BTreeSet<&str> = columns.map(|column| column.type_name.as_str()).collect();
        let by_type = types
            .into_iter()
            .map(|name| Act::ChangeOfType(name.to_owned()));
        by_type.collect()
    } else {
        let turns = |column: &Column| {
            let name = column.name.clone();
            (0..turns(column)).map(move |turn| Act::Change(name.clone(), turn))
        };
        columns.flat_map(turns).collect()
    };
    acts.extend([Act::Remove, Act::Add]);
    if !free.is_empty() {
        acts.push(Act::Swap);
    }
    acts.push(if table.has_key() {
        Act::Rekey
    } else {
        Act::Copy
    });
    acts
}

/// The four tables of pgbench, with rows, in `public`.
pub async fn create_pgbench(client: &Client, accounts: u32) {
    let script = PGBENCH.replace("{accounts}", &accounts.to_string());
    ok(
        "make the tables of pgbench",
        client.batch_execute(&script).await,
    );
}

/// Two tables in `public` for faults that the type matrix has no column for.
pub async fn create_more(client: &Client) {
    ok("make more tables", client.batch_execute(MORE).await);
}
