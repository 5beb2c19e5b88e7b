//! The script that makes the role that Trunkline works as, with the least rights that suffice.
//! SECURITY.md says why each is asked for, with the same SQL.

use std::collections::BTreeSet;

use trunkline_changes::{Side, TableName, quote_ident};
use trunkline_postgres::{PgError, ServerVersion, Session};

/// A role that owns something that moves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its name, unquoted.
    pub name: String,
    /// Whether it is a superuser, whose rights are not to be handed on.
    pub superuser: bool,
    /// Whether it exists on the server that the script is for.
    pub exists: bool,
}

/// What the script depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFacts {
    /// The server's version.
    pub version: ServerVersion,
    /// Whether it is RDS or Aurora, where a role stands for the REPLICATION attribute.
    pub aws: bool,
    /// The database.
    pub database: String,
    /// Who owns the database.
    pub database_owner: Owner,
    /// Who owns the tables in scope.
    pub owners: BTreeSet<Owner>,
    /// The database from which a fence is set.
    pub maintenance_database: String,
    /// Whether a table forces row security on its owner, too.
    pub forced_row_security: bool,
}

/// Reads what the script for this server depends on.
pub async fn role_facts(
    session: &mut Session,
    scope: &(dyn Fn(&TableName) -> bool + Sync),
) -> Result<RoleFacts, PgError> {
    let row = session.query_one(include_str!("role.sql"), &[]).await?;
    let mut facts = RoleFacts {
        version: session.version(),
        aws: row.get(3)?,
        database: row.get(0)?,
        database_owner: Owner {
            name: row.get(1)?,
            superuser: row.get(2)?,
            exists: true,
        },
        owners: BTreeSet::new(),
        maintenance_database: "postgres".to_owned(),
        forced_row_security: false,
    };
    for row in session
        .query(include_str!("../checks/sql/tables.sql"), &[])
        .await?
    {
        if scope(&TableName {
            schema: row.get(0)?,
            name: row.get(1)?,
        }) {
            facts.owners.insert(Owner {
                name: row.get(4)?,
                superuser: row.get(5)?,
                exists: true,
            });
            facts.forced_row_security |= row.get::<bool>(10)?;
        }
    }
    Ok(facts)
}

/// The same for the target: its own server, and the source's owners, of which some may have to
/// be made.
pub async fn target_role_facts(
    target: &mut Session,
    source: &RoleFacts,
) -> Result<RoleFacts, PgError> {
    let facts = role_facts(target, &|_| false).await?;
    let names: Vec<&str> = source
        .owners
        .iter()
        .map(|owner| owner.name.as_str())
        .collect();
    let mut existing = BTreeSet::new();
    for row in target
        .query(include_str!("../checks/sql/target_roles.sql"), &[&names])
        .await?
    {
        existing.insert(Owner {
            name: row.get(0)?,
            superuser: row.get(1)?,
            exists: true,
        });
    }
    let missing = source
        .owners
        .iter()
        .filter(|owner| !existing.iter().any(|other| other.name == owner.name))
        .map(|owner| Owner {
            superuser: false,
            exists: false,
            ..owner.clone()
        });
    let owners = existing.iter().cloned().chain(missing).collect();
    Ok(RoleFacts {
        owners,
        forced_row_security: source.forced_row_security,
        ..facts
    })
}

/// The SQL that makes the role, to be run by an administrator in the facts' database. The
/// password is left to be set apart, so that it stands in no script.
pub fn role(side: Side, name: &str, facts: &RoleFacts) -> String {
    let role = quote_ident(name);
    let mut lines = vec![format!(
        "-- {side}: PostgreSQL {}, database {}",
        facts.version, facts.database
    )];
    lines.push(create_role(&role, facts));
    lines.push(
        "-- then give it a password (in psql: \\password), or another way to log in".to_owned(),
    );
    if facts.aws {
        lines.push(format!("GRANT rds_replication TO {role};"));
    }
    lines.push(format!(
        "GRANT CONNECT, CREATE ON DATABASE {} TO {role};",
        quote_ident(&facts.database)
    ));
    let mut owners = facts.owners.clone();
    // A fence closes the database, which is its owner's right: the source's at the cutover, the
    // target's at a rollback.
    owners.insert(facts.database_owner.clone());
    lines.extend(owners.iter().flat_map(|owner| membership(owner, &role)));
    let other = quote_ident(&facts.maintenance_database);
    lines.push(format!("GRANT CONNECT ON DATABASE {other} TO {role};"));
    lines.push(format!("GRANT pg_signal_backend TO {role};"));
    lines.push(format!("GRANT pg_read_all_stats TO {role};"));
    lines.push(replica_role(&role, facts));
    lines.push(String::new());
    lines.join("\n")
}

fn create_role(role: &str, facts: &RoleFacts) -> String {
    let replication = if facts.aws { "" } else { " REPLICATION" };
    let bypass = if facts.forced_row_security {
        " BYPASSRLS"
    } else {
        ""
    };
    format!("CREATE ROLE {role} LOGIN{replication}{bypass};")
}

fn membership(owner: &Owner, role: &str) -> Vec<String> {
    let quoted = quote_ident(&owner.name);
    if owner.superuser {
        return vec![
            format!(
                "-- {quoted} is a superuser: its rights are not handed on. Give what it owns here to a plain"
            ),
            "-- role, and grant that one.".to_owned(),
        ];
    }
    let make = (!owner.exists).then(|| format!("CREATE ROLE {quoted} NOLOGIN;"));
    make.into_iter()
        .chain([format!("GRANT {quoted} TO {role};")])
        .collect()
}

fn replica_role(role: &str, facts: &RoleFacts) -> String {
    if facts.version.major() >= 15 {
        format!("GRANT SET ON PARAMETER session_replication_role TO {role};")
    } else if facts.aws {
        format!(
            "GRANT rds_superuser TO {role}; -- to set session_replication_role; from 15 on a grant of its own"
        )
    } else {
        format!("ALTER ROLE {role} SET session_replication_role = replica;")
    }
}

#[cfg(test)]
mod tests {
    use super::{Owner, RoleFacts, role};
    use trunkline_changes::Side;
    use trunkline_postgres::ServerVersion;

    const SECURITY: &str = include_str!("../../../../SECURITY.md");

    fn facts(version: u32) -> RoleFacts {
        let owner = Owner {
            name: "app_owner".to_owned(),
            superuser: false,
            exists: true,
        };
        RoleFacts {
            version: ServerVersion(version),
            aws: false,
            database: "app".to_owned(),
            database_owner: owner.clone(),
            owners: [owner].into(),
            maintenance_database: "postgres".to_owned(),
            forced_row_security: false,
        }
    }

    fn documented(mark: &str) -> Vec<&'static str> {
        let (_, after) = SECURITY
            .split_once(&format!("<!-- sql: {mark} -->\n```sql\n"))
            .expect("the mark");
        after
            .split_once("```")
            .expect("the end of the block")
            .0
            .lines()
            .collect()
    }

    #[test]
    fn the_script_and_the_document_say_the_same() {
        for (version, replica) in [
            (150_018, "both, 15 and later"),
            (140_023, "both, before 15"),
        ] {
            for (side, mark) in [(Side::Source, "source"), (Side::Target, "target")] {
                let script = role(side, "trunkline", &facts(version));
                let script: Vec<_> = script
                    .lines()
                    .filter(|line| !line.starts_with("--"))
                    .collect();
                assert_eq!(script, [documented(mark), documented(replica)].concat());
            }
        }
    }

    #[test]
    fn a_superusers_rights_are_never_handed_on() {
        let mut facts = facts(150_018);
        facts.database_owner = Owner {
            name: "postgres".to_owned(),
            superuser: true,
            exists: true,
        };
        let script = role(Side::Source, "trunkline", &facts);
        assert!(!script.contains("GRANT \"postgres\" TO"), "{script}");
        assert!(script.contains("is a superuser"));
    }

    #[test]
    fn a_providers_roles_and_missing_owners_are_heeded() {
        let mut facts = facts(140_000);
        facts.aws = true;
        facts.forced_row_security = true;
        facts.owners = [Owner {
            name: "gone".to_owned(),
            superuser: false,
            exists: false,
        }]
        .into();
        let script = role(Side::Target, "trunkline", &facts);
        assert!(
            script.contains("CREATE ROLE \"trunkline\" LOGIN BYPASSRLS;"),
            "{script}"
        );
        assert!(script.contains("GRANT rds_replication TO \"trunkline\";"));
        assert!(script.contains("CREATE ROLE \"gone\" NOLOGIN;"));
    }
}
