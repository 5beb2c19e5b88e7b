//! The tablespaces that the structure names: on the target, and open to our role.

use std::collections::BTreeMap;

use trunkline_changes::{Side, quote_ident};
use trunkline_postgres::{PgError, Session};

use super::finding::Finding;
use super::listing::each;
use super::role;

pub(super) async fn read_used(
    session: &mut Session,
    schemas: &[&str],
) -> Result<Vec<String>, PgError> {
    let schemas = schemas.to_vec();
    let rows = session
        .query(include_str!("sql/tablespaces.sql"), &[&schemas])
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Those of the names that exist, and whether our role may use each.
pub(super) async fn read_target(
    session: &mut Session,
    used: &[String],
) -> Result<BTreeMap<String, bool>, PgError> {
    let used = used.to_vec();
    let rows = session
        .query(include_str!("sql/target_tablespaces.sql"), &[&used])
        .await?;
    rows.iter()
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .collect()
}

pub(super) fn judge(
    used: &[String],
    target: &BTreeMap<String, bool>,
    role: &role::Facts,
) -> Vec<Finding> {
    let findings = used.iter().filter_map(|name| match target.get(name) {
        None => {
            let message = "the structure puts tables or indexes into this tablespace, which the target does not have";
            let remedy = format!("CREATE TABLESPACE {} LOCATION '…';", quote_ident(name));
            Some(Finding::blocker("tablespace-missing", message).about(name).mend(remedy))
        }
        Some(false) => {
            let message = "our role may not put anything into this tablespace of the target";
            let remedy = format!("GRANT CREATE ON TABLESPACE {} TO {};", quote_ident(name), role.quoted());
            Some(Finding::blocker("tablespace-create", message).about(name).mend(remedy))
        }
        Some(true) => None,
    });
    each(findings, |finding| finding.on(Side::Target))
}

#[cfg(test)]
mod tests {
    use super::super::role;
    use super::judge;

    #[test]
    fn a_tablespace_must_be_there_and_open() {
        let used = ["fast", "slow", "shut"].map(str::to_owned);
        let target = [("fast".to_owned(), true), ("shut".to_owned(), false)].into();
        let codes: Vec<_> = judge(&used, &target, &role::example())
            .iter()
            .map(|finding| finding.code)
            .collect();
        assert_eq!(codes, ["tablespace-missing", "tablespace-create"]);
    }
}
