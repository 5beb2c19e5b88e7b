//! The judgements, pure: what each side lacks for its part in the way back.

use trunkline_changes::{Side, TableName, quote_ident};

use super::super::replication::{setting_remedy, wal_level_remedy};
use super::super::tables::Table;
use super::super::{identity, privileges};
use super::{Facts, Obstacle};

/// One for the way back, one for the comparison before a rollback; the same for walsenders.
const SLOTS: i64 = 2;

impl Facts {
    fn obstacle(
        &self,
        code: &'static str,
        object: &(impl ToString + ?Sized),
        why: String,
    ) -> Obstacle {
        Obstacle {
            code,
            side: self.side,
            object: object.to_string(),
            why,
            remedy: None,
        }
    }
}

impl Obstacle {
    fn mend(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// The side that is to serve is followed from then on.
pub(super) fn followed(facts: &Facts, downstream: &[String]) -> Vec<Obstacle> {
    let (side, server, role) = (facts.side, &facts.server, &facts.role);
    let mut found = Vec::new();
    let wal_level = server.settings.text("wal_level").unwrap_or("unknown");
    if wal_level != "logical" {
        let why = format!("the {side}'s wal_level is {wal_level}");
        found.push(
            facts
                .obstacle("way-back-wal-level", "wal_level", why)
                .mend(wal_level_remedy(server)),
        );
    }
    if !role.replication {
        let why =
            format!("our role on the {side} may not replicate, and changes come from there then");
        found.push(
            facts
                .obstacle("way-back-replication", &role.name, why)
                .mend(privileges::replication_remedy(role, server)),
        );
    }
    let slots = &facts.replication.slots;
    let to_come = downstream
        .iter()
        .filter(|name| side == Side::Target && !slots.iter().any(|slot| slot.name == **name));
    let (used, to_come) = (count(slots.len()), count(to_come.count()));
    let setting = "max_replication_slots";
    found.extend(room(
        facts,
        "way-back-slots",
        setting,
        "replication slots",
        used,
        SLOTS + to_come,
    ));
    let (setting, used) = ("max_wal_senders", facts.replication.senders);
    found.extend(room(
        facts,
        "way-back-senders",
        setting,
        "walsenders",
        used,
        SLOTS,
    ));
    found
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// What is not known is not enough.
fn room(
    facts: &Facts,
    code: &'static str,
    setting: &'static str,
    noun: &str,
    used: i64,
    wanted: i64,
) -> Option<Obstacle> {
    let side = facts.side;
    let limit = facts.server.settings.number(setting);
    let free = limit.map(|limit| limit.saturating_sub(used).max(0));
    let why = match free {
        Some(free) if free >= wanted => return None,
        Some(free) => format!("the {side} has {free} {noun} left, and it takes {wanted}"),
        None => format!("whether the {side} has {noun} left cannot be told"),
    };
    let value = used.saturating_add(wanted).saturating_add(3).to_string();
    let remedy = setting_remedy(&facts.server, setting, &value, true);
    Some(facts.obstacle(code, setting, why).mend(remedy))
}

/// The tables of the side that is to serve are published there.
pub(super) fn published(facts: &Facts, tables: &[Table]) -> Vec<Obstacle> {
    let (side, role) = (facts.side, &facts.role);
    let mut found = Vec::new();
    for table in tables {
        if !table.owned {
            let why = format!(
                "only the owner of {} on the {side}, {}, may publish it",
                table.name, table.owner
            );
            let remedy =
                privileges::membership_or_owner(&table.owner, table.owner_is_superuser, role);
            found.push(
                facts
                    .obstacle("way-back-table-owner", &table.name, why)
                    .mend(remedy),
            );
        }
        if let Some(lack) = identity::lack(table) {
            let why = format!(
                "{} on the {side} has no usable replica identity ({lack}): once published, \
                 updates and deletes of it would fail there",
                table.name
            );
            found.push(
                facts
                    .obstacle("way-back-identity", &table.name, why)
                    .mend(identity::remedy(table)),
            );
        }
    }
    found
}

/// The side that clients leave is written by us from then on.
pub(super) fn applied(facts: &Facts, unwritable: &[TableName]) -> Vec<Obstacle> {
    let (side, role, server) = (facts.side, &facts.role, &facts.server);
    let mut found = Vec::new();
    if !role.sets_replica_role {
        let why = format!(
            "our role on the {side} may not set session_replication_role, so triggers and \
             foreign keys would act on changes that come back"
        );
        found.push(
            facts
                .obstacle("way-back-replica-role", "session_replication_role", why)
                .mend(privileges::replica_role_remedy(role, server)),
        );
    }
    // On the target the schema stands already.
    if side == Side::Source && !role.creates_in_database {
        let why = "our role may not make the schema trunkline on the source, where the position \
                   of what came back is kept"
            .to_owned();
        let database = quote_ident(&server.database);
        let grant = format!("GRANT CREATE ON DATABASE {database} TO {};", role.quoted());
        found.push(
            facts
                .obstacle("way-back-schema", &server.database, why)
                .mend(grant),
        );
    }
    found.extend(unwritable.iter().map(|name| {
        let why = format!("our role may not write {name} on the {side}");
        facts.obstacle("way-back-write", name, why).mend(format!(
            "-- membership in its owner, or all rights on {} to {}",
            name.quoted(),
            role.quoted()
        ))
    }));
    found
}

/// Both sides are fenced: the one that clients leave from the switch on, the other for the
/// switch back.
pub(super) fn fenced(facts: &Facts) -> Vec<Obstacle> {
    let (side, role) = (facts.side, &facts.role);
    let mut found = Vec::new();
    if !role.owns_database {
        let owner = &role.database_owner;
        let why = format!("only the owner of the {side}'s database, {owner}, may close it");
        found.push(
            facts
                .obstacle("database-owner", &facts.server.database, why)
                .mend(privileges::database_owner_remedy(role, &facts.server)),
        );
    }
    if !role.signals_backends {
        let why = format!("our role on the {side} may not end the sessions of other roles");
        found.push(
            facts
                .obstacle("signal-backend", &role.name, why)
                .mend(privileges::signal_backend_remedy(role)),
        );
    }
    found.extend(facts.holes.iter().map(|hole| {
        let why = format!("the {side} could not be kept closed while it does not serve: {hole}");
        facts.obstacle("way-back-fence", &facts.server.database, why)
    }));
    found
}
