//! The right to connect, taken from everybody but us and given back exactly. Roles are kept by
//! their OID: one that is renamed meanwhile is the same, one that is dropped gets nothing back.

use std::collections::HashMap;

use trunkline_changes::quote_ident;
use trunkline_postgres::{DataRow, PgError, Session};

use super::before::Now;

/// A role's OID; 0 is PUBLIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct RoleId(pub(super) i64);

impl RoleId {
    pub(super) const PUBLIC: RoleId = RoleId(0);
}

/// `CONNECT` on the database, given by one role to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Grant {
    pub(super) grantor: RoleId,
    pub(super) grantee: RoleId,
    /// `WITH GRANT OPTION`.
    pub(super) grantable: bool,
}

impl Grant {
    pub(super) fn from_row(row: &DataRow) -> Result<Grant, PgError> {
        Ok(Grant {
            grantor: RoleId(row.get(0)?),
            grantee: RoleId(row.get(1)?),
            grantable: row.get(2)?,
        })
    }
}

/// The names that roles have now.
pub(super) struct Names(HashMap<RoleId, String>);

impl Names {
    pub(super) async fn read<'a>(
        session: &mut Session,
        grants: impl Iterator<Item = &'a Grant>,
    ) -> Result<Names, PgError> {
        let ids: Vec<i64> = grants.flat_map(|g| [g.grantor.0, g.grantee.0]).collect();
        let rows = session
            .query(include_str!("sql/role_names.sql"), &[&ids])
            .await?;
        let named = |row: &DataRow| -> Result<(RoleId, String), PgError> {
            Ok((RoleId(row.get(0)?), row.get(1)?))
        };
        let names: Result<HashMap<_, _>, PgError> = rows.iter().map(named).collect();
        Ok(Names(names?))
    }

    /// As it stands in a GRANT, if the role is still there.
    fn quoted(&self, role: RoleId) -> Option<String> {
        if role == RoleId::PUBLIC {
            return Some("PUBLIC".to_owned());
        }
        self.0.get(&role).map(|name| quote_ident(name))
    }
}

/// Lets nobody but our role connect. Ours gets a grant of its own first: so far it may have
/// come in through PUBLIC or through a role that it is a member of. What others granted on
/// goes with the right that they granted from.
pub(super) fn keep_only_ours(now: &Now, names: &Names) -> Vec<String> {
    let database = quote_ident(&now.settings.database);
    let ours = quote_ident(&now.our_name);
    let mut statements = Vec::new();
    let by_owner = |g: &&Grant| g.grantor == now.owner;
    if !now
        .connect
        .iter()
        .filter(by_owner)
        .any(|g| g.grantee == now.ours)
    {
        statements.push(format!("GRANT CONNECT ON DATABASE {database} TO {ours}"));
    }
    if now
        .connect
        .iter()
        .any(|g| g.grantor == now.ours && g.grantor != now.owner)
    {
        statements.push(format!(
            "REVOKE GRANT OPTION FOR CONNECT ON DATABASE {database} FROM {ours} CASCADE"
        ));
    }
    let others = now.connect.iter().filter(by_owner);
    for grant in others.filter(|g| g.grantee != now.ours) {
        if let Some(grantee) = names.quoted(grant.grantee) {
            statements.push(format!(
                "REVOKE CONNECT ON DATABASE {database} FROM {grantee} CASCADE"
            ));
        }
    }
    statements
}

/// Makes the grants what they were: what is missing is granted again, by whom it was, and our
/// own is taken back if we had none. Grants that others made meanwhile are theirs and stay.
pub(super) fn restore(before: &[Grant], now: &Now, names: &Names) -> Vec<String> {
    let database = quote_ident(&now.settings.database);
    let mut statements = Vec::new();
    let before = &as_owned_now(before, now.owner);
    for grant in from_the_owner_down(before, now) {
        if now.connect.contains(&grant) {
            continue;
        }
        let (Some(grantor), Some(grantee)) =
            (names.quoted(grant.grantor), names.quoted(grant.grantee))
        else {
            continue;
        };
        let option = if grant.grantable && grant.grantee != now.owner {
            " WITH GRANT OPTION"
        } else {
            ""
        };
        let sql = format!("GRANT CONNECT ON DATABASE {database} TO {grantee}{option}");
        if grant.grantor == now.owner {
            statements.push(sql);
        } else {
            statements.extend([format!("SET ROLE {grantor}"), sql, "RESET ROLE".to_owned()]);
        }
    }
    let ours = |g: &&Grant| g.grantor == now.owner && g.grantee == now.ours;
    if now.connect.iter().any(|g| ours(&g)) && !before.iter().any(|g| ours(&g)) {
        let ours = quote_ident(&now.our_name);
        statements.push(format!("REVOKE CONNECT ON DATABASE {database} FROM {ours}"));
    }
    statements
}

/// The grants as the server rewrites them when the database gets another owner: what the old
/// one granted or held is the new one's. The old one is the grantor whom nobody granted.
fn as_owned_now(before: &[Grant], owner: RoleId) -> Vec<Grant> {
    let granted_on = |role| {
        before
            .iter()
            .any(|g| g.grantor != role && g.grantee == role)
    };
    let first = before
        .iter()
        .map(|g| g.grantor)
        .find(|role| !granted_on(*role));
    let renamed = |role| if Some(role) == first { owner } else { role };
    let mut grants: Vec<Grant> = Vec::new();
    for grant in before {
        let (grantor, grantee) = (renamed(grant.grantor), renamed(grant.grantee));
        let same = |g: &&mut Grant| (g.grantor, g.grantee) == (grantor, grantee);
        match grants.iter_mut().find(same) {
            Some(known) => known.grantable |= grant.grantable,
            None => grants.push(Grant {
                grantor,
                grantee,
                grantable: grant.grantable,
            }),
        }
    }
    grants
}

/// Each grant after the one that its grantor grants from.
fn from_the_owner_down(grants: &[Grant], now: &Now) -> Vec<Grant> {
    let mut left: Vec<Grant> = grants.to_vec();
    let mut may_grant = vec![now.owner];
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let (ready, rest): (Vec<Grant>, Vec<Grant>) =
            left.iter().partition(|g| may_grant.contains(&g.grantor));
        if ready.is_empty() {
            // Nobody grants from it any more: what is left is tried as it stands.
            ordered.extend(rest);
            break;
        }
        may_grant.extend(ready.iter().filter(|g| g.grantable).map(|g| g.grantee));
        ordered.extend(ready);
        left = rest;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::super::before::{Authority, FenceBefore, Now};
    use super::*;

    const OWNER: RoleId = RoleId(1);
    const OURS: RoleId = RoleId(2);

    fn grant(grantor: i64, grantee: i64, grantable: bool) -> Grant {
        Grant {
            grantor: RoleId(grantor),
            grantee: RoleId(grantee),
            grantable,
        }
    }

    fn now(connect: &[Grant]) -> Now {
        Now {
            settings: FenceBefore {
                database: "app".to_owned(),
                connection_limit: -1,
                read_only: None,
                connect: Some(connect.to_vec()),
            },
            connect: connect.to_vec(),
            allows_connections: true,
            owner: OWNER,
            owner_name: "r1".to_owned(),
            owner_is_superuser: false,
            ours: OURS,
            our_name: "r2".to_owned(),
            authority: Authority::Owner,
            is_current: false,
        }
    }

    fn names() -> Names {
        Names((1..=5).map(|id| (RoleId(id), format!("r{id}"))).collect())
    }

    #[test]
    fn ours_is_granted_before_any_other_is_revoked() {
        let now = now(&[grant(1, 0, false), grant(1, 1, false), grant(1, 3, true)]);
        let statements = keep_only_ours(&now, &names());
        assert_eq!(
            statements,
            [
                "GRANT CONNECT ON DATABASE \"app\" TO \"r2\"",
                "REVOKE CONNECT ON DATABASE \"app\" FROM PUBLIC CASCADE",
                "REVOKE CONNECT ON DATABASE \"app\" FROM \"r1\" CASCADE",
                "REVOKE CONNECT ON DATABASE \"app\" FROM \"r3\" CASCADE",
            ]
        );
    }

    #[test]
    fn a_chain_of_grants_is_made_again_from_its_beginning() {
        let before = [grant(4, 5, false), grant(3, 4, true), grant(1, 3, true)];
        let statements = restore(&before, &now(&[grant(1, 2, false)]), &names());
        assert_eq!(
            statements,
            [
                "GRANT CONNECT ON DATABASE \"app\" TO \"r3\" WITH GRANT OPTION",
                "SET ROLE \"r3\"",
                "GRANT CONNECT ON DATABASE \"app\" TO \"r4\" WITH GRANT OPTION",
                "RESET ROLE",
                "SET ROLE \"r4\"",
                "GRANT CONNECT ON DATABASE \"app\" TO \"r5\"",
                "RESET ROLE",
                "REVOKE CONNECT ON DATABASE \"app\" FROM \"r2\"",
            ]
        );
    }

    #[test]
    fn what_stands_already_is_left_alone() {
        let grants = [grant(1, 2, true), grant(1, 3, false)];
        assert!(restore(&grants, &now(&grants), &names()).is_empty());
    }

    #[test]
    fn what_the_old_owner_granted_is_the_new_owners_where_the_database_changed_hands() {
        // The owner was 4; 3 granted on to 5.
        let before = [
            grant(4, 0, false),
            grant(4, 4, false),
            grant(4, 3, true),
            grant(3, 5, false),
        ];
        let rewritten = [
            grant(1, 0, false),
            grant(1, 1, false),
            grant(1, 3, true),
            grant(3, 5, false),
        ];
        assert!(restore(&before, &now(&rewritten), &names()).is_empty());
        let statements = restore(&before, &now(&rewritten[1..]), &names());
        assert_eq!(statements, ["GRANT CONNECT ON DATABASE \"app\" TO PUBLIC"]);
    }

    #[test]
    fn a_right_that_was_granted_by_others_meanwhile_stays() {
        let statements = restore(
            &[grant(1, 2, false)],
            &now(&[grant(1, 2, false), grant(1, 5, false)]),
            &names(),
        );
        assert!(statements.is_empty(), "{statements:?}");
    }
}
