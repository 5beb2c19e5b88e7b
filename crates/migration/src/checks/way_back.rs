//! What must be so that changes can flow back after a switch, and that a switch back is
//! possible. One list for two readers: `check` warns of it, and a switch is refused because of
//! it before anything is compared or anybody is held.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName};
use trunkline_postgres::{DataRow, Fault, OnSide, PgError, Session};

use super::finding::Finding;
use super::replication::setting_remedy;
use super::size::amount;
use super::tables::{Table, Tables};
use super::{Scope, TablePredicate, replication, role, server, tables};
use crate::fence::{self, FenceError};
use crate::way::Way;

/// What a switch is asked about.
pub(crate) struct Question<'a> {
    /// The direction of the switch: the way back leads from its `to` to its `from`.
    pub(crate) way: Way,
    /// The tables that move.
    pub(crate) scope: TablePredicate<'a>,
    /// The source's table that stands at a place of the target, if one does.
    pub(crate) placed: &'a (dyn Fn(&TableName) -> Option<TableName> + Sync),
    /// Those of which only new rows come.
    pub(crate) insert_only: TablePredicate<'a>,
    /// The other database from which a fence is set, on either server.
    pub(crate) maintenance_database: &'a str,
    /// Slots of other consumers that are made on the side that is to serve.
    pub(crate) downstream: &'a [String],
    /// The subscription that is dropped with the switch.
    pub(crate) own_subscription: Option<&'a str>,
    /// Whether the tables stand on the side that is to serve, with their keys.
    pub(crate) tables: Standing,
}

/// Whether the tables stand on the side that is to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are there, with their keys.
    There,
    /// They are still to be made, as they are on the other side.
    NotYet,
}

/// Something that the way back cannot be without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) code: &'static str,
    pub(crate) side: Side,
    pub(crate) object: String,
    /// Says the side.
    pub(crate) why: String,
    pub(crate) remedy: Option<String>,
}

impl Obstacle {
    /// Whether the switch itself needs it, with a way back or without: the right to close the
    /// side that clients leave.
    pub(crate) fn is_of_the_switch(&self, way: Way) -> bool {
        self.side == way.from() && self.code == "database-owner"
    }
}

/// What is known of one side.
struct Facts {
    side: Side,
    role: role::Facts,
    server: server::Facts,
    replication: replication::Facts,
    /// What a standing fence would let through, each in words.
    holes: Vec<String>,
}

/// Everything that the way back cannot be without and that is not there. `from` is a session
/// on the side that serves, `to` one on the side that is to serve.
pub(crate) async fn obstacles(
    from: &mut Session,
    to: &mut Session,
    question: &Question<'_>,
) -> Result<Vec<Obstacle>, Fault> {
    let left = read(from, question.way.from(), question).await?;
    let serving = read(to, question.way.to(), question).await?;
    let doing = "looking whether changes can flow back";
    let unwritable = unwritable(from, question.way.from(), question)
        .await
        .on(question.way.from(), doing)?;
    let published = match question.tables {
        Standing::There => published(from, to, question)
            .await
            .on(question.way.to(), doing)?,
        Standing::NotYet => Vec::new(),
    };
    let mut found = judge::followed(&serving, question.downstream);
    found.extend(judge::published(&serving, &published));
    found.extend(judge::applied(&left, &unwritable));
    for facts in [&left, &serving] {
        found.extend(judge::fenced(facts));
    }
    Ok(found)
}

/// The obstacles of a cutover as findings, and what else is worth knowing beforehand.
pub(super) async fn examine(
    source: &mut Session,
    target: &mut Session,
    question: &Question<'_>,
) -> Result<Vec<Finding>, Fault> {
    let obstacles = obstacles(source, target, question).await?;
    let mut findings = super::listing::each(&obstacles, |obstacle| finding(obstacle, question.way));
    let what = "reading about the way back";
    let target = server::read(target).await.on(Side::Target, what)?;
    findings.extend(slot_limit(&target));
    Ok(findings)
}

fn finding(obstacle: &Obstacle, way: Way) -> Finding {
    let why = &obstacle.why;
    let message = if obstacle.is_of_the_switch(way) {
        format!("no cutover as it is: {why}; the cutover will be refused until this is mended")
    } else {
        format!(
            "no way back after the switch: {why}; the cutover will be refused unless this is \
             mended or --no-way-back is given"
        )
    };
    let finding = Finding::warning(obstacle.code, message)
        .on(obstacle.side)
        .about(&obstacle.object);
    match &obstacle.remedy {
        Some(remedy) => finding.mend(remedy),
        None => finding,
    }
}

/// A finite `max_slot_wal_keep_size` on the target: the way back may be lost later.
fn slot_limit(server: &server::Facts) -> Option<Finding> {
    let name = "max_slot_wal_keep_size";
    let limit = server.settings.bytes(name)?;
    let message = format!(
        "after the switch the target keeps its log for the way back, and throws the slot away once that is more than \
         {}: then there is no rollback; keep `trunkline run` running, or lift the limit",
        amount(limit)
    );
    let finding = Finding::warning("way-back-wal-limit", message)
        .on(Side::Target)
        .about(name);
    Some(finding.mend(setting_remedy(server, name, "-1", false)))
}

async fn read(session: &mut Session, side: Side, question: &Question<'_>) -> Result<Facts, Fault> {
    let what = "reading the rights of our role";
    let role = role::read(session, question.maintenance_database)
        .await
        .on(side, what)?;
    // Without the owner's rights there is no fence to look for holes in.
    let holes = if role.owns_database {
        match fence::may_stand_without(session, side, question.own_subscription).await {
            Ok(_) => Vec::new(),
            Err(FenceError::WouldNotStand(_, holes)) => holes,
            Err(FenceError::Fault(fault)) => return Err(fault),
            Err(other) => vec![other.to_string()],
        }
    } else {
        Vec::new()
    };
    let what = "reading the replication slots";
    Ok(Facts {
        side,
        role,
        server: server::read(session).await.on(side, what)?,
        replication: replication::read(session).await.on(side, what)?,
        holes,
    })
}

impl Question<'_> {
    /// The source's name of a table of one side, if it moves.
    fn known(&self, side: Side, table: &TableName) -> Option<TableName> {
        let name = match side {
            Side::Source => Some(table.clone()),
            Side::Target => (self.placed)(table),
        };
        name.filter(|name| (self.scope)(name))
    }
}

async fn unwritable(
    session: &mut Session,
    side: Side,
    question: &Question<'_>,
) -> Result<Vec<TableName>, PgError> {
    let mut names = Vec::new();
    let take = |row: DataRow| {
        let name = row.table_name(0, 1)?;
        if question.known(side, &name).is_some() {
            names.push(name);
        }
        Ok(())
    };
    let sql = include_str!("sql/unwritable.sql");
    session.query_each(sql, &[], take).await?;
    Ok(names)
}

/// The tables that will be published on the side that is to serve: those that both sides have.
async fn published(
    from: &mut Session,
    to: &mut Session,
    question: &Question<'_>,
) -> Result<Vec<Table>, PgError> {
    let way = question.way;
    let there = read_tables(from, way.from(), question).await?;
    let there: BTreeSet<TableName> = there.into_iter().map(|(name, _)| name).collect();
    let list = read_tables(to, way.to(), question).await?;
    let both = list
        .into_iter()
        .filter(|(name, table)| there.contains(name) && table.kind == tables::Kind::Ordinary);
    Ok(both.map(|(_, table)| table).collect())
}

/// The tables of one side that move, with their names on the source.
async fn read_tables(
    session: &mut Session,
    side: Side,
    question: &Question<'_>,
) -> Result<Vec<(TableName, Table)>, PgError> {
    let insert_only = |table: &TableName| {
        let known = question.known(side, table);
        known.is_some_and(|name| (question.insert_only)(&name))
    };
    let scope = Scope {
        included: &|table| question.known(side, table).is_some(),
        insert_only: &insert_only,
    };
    let Tables { list, .. } = tables::read(session, &scope).await?;
    let named = list
        .into_iter()
        .filter_map(|table| Some((question.known(side, &table.name)?, table)));
    Ok(named.collect())
}
