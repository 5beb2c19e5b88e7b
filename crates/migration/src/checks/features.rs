//! What an older target cannot make: features and types of the source's version.

use trunkline_changes::Side;
use trunkline_postgres::{PgError, Session};

use super::finding::Finding;
use super::listing::each;

#[derive(Clone, Debug)]
pub(super) struct Feature {
    /// The version that brought it.
    pub since: u32,
    pub what: String,
    pub object: String,
}

pub(super) async fn read_newer(
    session: &mut Session,
    schemas: &[&str],
) -> Result<Vec<Feature>, PgError> {
    let schemas = schemas.to_vec();
    let rows = session
        .query(include_str!("sql/newer_features.sql"), &[&schemas])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Feature {
                since: row.get(0)?,
                what: row.get(1)?,
                object: row.get(2)?,
            })
        })
        .collect()
}

pub(super) async fn read_types(
    session: &mut Session,
    schemas: &[&str],
) -> Result<Vec<String>, PgError> {
    let schemas = schemas.to_vec();
    let rows = session
        .query(include_str!("sql/builtin_types.sql"), &[&schemas])
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

pub(super) async fn read_missing_types(
    session: &mut Session,
    used: &[String],
) -> Result<Vec<String>, PgError> {
    let used = used.to_vec();
    let rows = session
        .query(include_str!("sql/missing_types.sql"), &[&used])
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

pub(super) fn judge(
    features: &[Feature],
    missing_types: &[String],
    target_major: u32,
) -> Vec<Finding> {
    let newer = features
        .iter()
        .filter(|feature| feature.since > target_major);
    let mut findings = each(newer, |feature| {
        let message = format!(
            "{} needs PostgreSQL {}, and the target is {target_major}",
            feature.what, feature.since
        );
        Finding::blocker("newer-feature", message)
            .on(Side::Source)
            .about(&feature.object)
    });
    findings.extend(each(missing_types, |name| {
        let message = "a column has this type, which the target's version does not know";
        Finding::blocker("type-missing", message)
            .on(Side::Target)
            .about(name)
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::{Feature, judge};

    #[test]
    fn only_what_is_newer_than_the_target_blocks() {
        let feature = |since| Feature {
            since,
            what: "a thing".to_owned(),
            object: "public.t".to_owned(),
        };
        let features = [feature(14), feature(18)];
        assert_eq!(judge(&features, &[], 18), []);
        assert_eq!(judge(&features, &[], 15).len(), 1);
        assert_eq!(judge(&features, &[], 12).len(), 2);
        assert_eq!(judge(&[], &["xid8".to_owned()], 12)[0].code, "type-missing");
    }
}
