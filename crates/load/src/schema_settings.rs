//! Owners, grants and comments of schemas that stood on the target before us: a restore may
//! change those of `public`, and who gives a migration up gets them back.

use serde::{Deserialize, Serialize};
use trunkline_changes::{Ident, Side, quote_ident, quote_literal};
use trunkline_postgres::{DataRow, OnSide, PgError, Session};

use crate::error::LoadError;

/// A schema as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaSettings {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// `nspacl` in text; none where nothing was ever granted or revoked.
    pub acl: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// Reads every schema but the system's and ours.
pub async fn schema_settings(target: &mut Session) -> Result<Vec<SchemaSettings>, LoadError> {
    let doing = "reading the schemas' settings";
    let rows = target
        .query(include_str!("sql/schema_settings.sql"), &[])
        .await
        .on(Side::Target, doing)?;
    let read = |row: &DataRow| -> Result<SchemaSettings, PgError> {
        Ok(SchemaSettings {
            name: row.get(0)?,
            owner: row.get(1)?,
            acl: row.get(2)?,
            comment: row.get(3)?,
        })
    };
    let settings: Result<Vec<_>, PgError> = rows.iter().map(read).collect();
    Ok(settings.on(Side::Target, doing)?)
}

/// Gives schemas that are still there what they had; those that have it are left alone.
pub async fn restore_schema_settings(
    target: &mut Session,
    before: &[SchemaSettings],
) -> Result<(), LoadError> {
    let doing = "restoring the schemas' settings";
    let now = schema_settings(target).await?;
    for wanted in before {
        let Some(found) = now.iter().find(|schema| schema.name == wanted.name) else {
            continue;
        };
        let mut sql = Vec::new();
        if found.owner != wanted.owner {
            let (schema, owner) = (Ident(&wanted.name), Ident(&wanted.owner));
            sql.push(format!("ALTER SCHEMA {schema} OWNER TO {owner}"));
        }
        if found.comment != wanted.comment {
            sql.push(comment_sql(wanted));
        }
        if !sql.is_empty() {
            let sql = sql.join("; ");
            target.batch(&sql).await.on(Side::Target, doing)?;
        }
        if found.owner != wanted.owner || found.acl != wanted.acl {
            let sql = grants_sql(target, wanted).await.on(Side::Target, doing)?;
            target.batch(&sql).await.on(Side::Target, doing)?;
        }
    }
    Ok(())
}

fn comment_sql(wanted: &SchemaSettings) -> String {
    let comment = wanted.comment.as_deref();
    let comment = comment.map_or_else(|| "NULL".to_owned(), quote_literal);
    format!("COMMENT ON SCHEMA {} IS {comment}", Ident(&wanted.name))
}

/// Everything revoked from whoever has something now, then granted as it was, in its order.
async fn grants_sql(target: &mut Session, wanted: &SchemaSettings) -> Result<String, PgError> {
    let schema = quote_ident(&wanted.name);
    let mut sql = Vec::new();
    let current = target
        .query(include_str!("sql/schema_grantees.sql"), &[&wanted.name])
        .await?;
    for row in &current {
        let grantee = grantee(row.get(0)?);
        sql.push(format!(
            "REVOKE ALL ON SCHEMA {schema} FROM {grantee} CASCADE"
        ));
    }
    let Some(acl) = &wanted.acl else {
        let owner = Ident(&wanted.owner);
        sql.push(format!("GRANT ALL ON SCHEMA {schema} TO {owner}"));
        return Ok(sql.join("; "));
    };
    let grants = target
        .query(include_str!("sql/schema_grants.sql"), &[acl])
        .await?;
    for row in &grants {
        let (grantee, privilege) = (grantee(row.get(0)?), row.get::<String>(1)?);
        let option = if row.get(2)? {
            " WITH GRANT OPTION"
        } else {
            ""
        };
        sql.push(format!(
            "GRANT {privilege} ON SCHEMA {schema} TO {grantee}{option}"
        ));
    }
    Ok(sql.join("; "))
}

/// A role, or everybody.
fn grantee(role: Option<String>) -> String {
    role.map_or_else(|| "PUBLIC".to_owned(), |name| quote_ident(&name))
}
