//! What the stream or the copy of a structure does not carry: large objects, event triggers,
//! publications and subscriptions.

use trunkline_changes::Side;
use trunkline_postgres::{PgError, Session};

use super::finding::{Finding, all_on};
use super::listing::each;
use super::report::counted;
use super::{Intent, role};

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub kind: String,
    pub name: String,
    pub detail: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub objects: Vec<Object>,
    pub large_objects: i64,
    pub hidden_large_objects: i64,
}

pub(super) async fn read(session: &mut Session) -> Result<Facts, PgError> {
    let mut objects = Vec::new();
    for row in session.query(include_str!("sql/unmoved.sql"), &[]).await? {
        objects.push(Object {
            kind: row.get(0)?,
            name: row.get(1)?,
            detail: row.get(2)?,
        });
    }
    let row = session
        .query_one(include_str!("sql/large_objects.sql"), &[])
        .await?;
    Ok(Facts {
        objects,
        large_objects: row.get(0)?,
        hidden_large_objects: row.get(1)?,
    })
}

/// What stays behind on the source.
pub(super) fn judge_source(
    facts: &Facts,
    role: &role::Facts,
    own_publication: Option<&str>,
    intent: Intent,
) -> Vec<Finding> {
    let others = facts.objects.iter().filter(|object| {
        object.kind != "publication" || Some(object.name.as_str()) != own_publication
    });
    let mut findings = each(others, |object| {
        let (code, message) = match object.kind.as_str() {
            "event trigger" => (
                "event-trigger",
                format!(
                    "the event trigger ({}) does not move, because making one takes a superuser; make it on the \
                     target by hand after the cutover",
                    object.detail
                ),
            ),
            "publication" => (
                "publication",
                "the publication does not move; make it on the target before the cutover, for the consumers that read \
                 by it"
                    .to_owned(),
            ),
            _ => (
                "subscription",
                format!(
                    "the subscription ({}) does not move; what it brings in reaches the target through the source \
                     until the cutover, and must be subscribed to there afterwards",
                    object.detail
                ),
            ),
        };
        Finding::warning(code, message).about(&object.name)
    });
    findings.extend(judge_large_objects(facts, role, intent));
    all_on(findings, Side::Source)
}

fn judge_large_objects(facts: &Facts, role: &role::Facts, intent: Intent) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.large_objects > 0 {
        let count = counted(
            usize::try_from(facts.large_objects).unwrap_or(usize::MAX),
            "large object",
        );
        findings.push(if intent.live {
            let message = format!(
                "{count}: copied once; changes are not in the stream, and they are looked at again at the cutover"
            );
            Finding::warning("large-objects", message)
        } else {
            Finding::notice("large-objects", format!("{count} to be copied"))
        });
    }
    if facts.hidden_large_objects > 0 {
        let message = format!(
            "our role may not read {} of the large objects",
            facts.hidden_large_objects
        );
        let remedy = format!(
            "DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_catalog.pg_largeobject_metadata\n\
             LOOP EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO {}', o); END LOOP; END $$;",
            role.quoted().replace('%', "%%").replace('\'', "''")
        );
        findings.push(Finding::blocker("large-object-select", message).mend(remedy));
    }
    findings
}

/// What stands on the target and would meddle.
pub(super) fn judge_target(facts: &Facts, own: Option<&str>) -> Vec<Finding> {
    let triggers = facts
        .objects
        .iter()
        .filter(|object| object.kind == "event trigger");
    let mut findings = each(triggers, |object| {
        let message = format!(
            "the event trigger ({}) is enabled on the target and fires while the structure is made",
            object.detail
        );
        Finding::warning("event-trigger", message).about(&object.name)
    });
    let subscriptions = facts.objects.iter().filter(|object| {
        let enabled = object.kind == "subscription" && object.detail == "enabled";
        enabled && Some(object.name.as_str()) != own
    });
    findings.extend(each(subscriptions, |object| {
        let message = "a subscription of the target writes there as well: rows that it brings would differ from the \
                       source's";
        Finding::warning("subscription", message).about(&object.name)
    }));
    all_on(findings, Side::Target)
}

#[cfg(test)]
mod tests {
    use super::super::{Intent, intent_of_a_live_move, role};
    use super::{Facts, Object, judge_source, judge_target};
    use crate::checks::Severity;

    fn facts() -> Facts {
        let object = |kind: &str, name: &str, detail: &str| Object {
            kind: kind.to_owned(),
            name: name.to_owned(),
            detail: detail.to_owned(),
        };
        Facts {
            objects: vec![
                object("event trigger", "no_drop", "sql_drop"),
                object("publication", "cdc", ""),
                object("publication", "ours", ""),
                object("subscription", "feed", "enabled"),
            ],
            large_objects: 3,
            hidden_large_objects: 1,
        }
    }

    #[test]
    fn what_stays_behind_is_named_and_our_own_publication_is_not() {
        let findings = judge_source(
            &facts(),
            &role::example(),
            Some("ours"),
            intent_of_a_live_move(),
        );
        let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(
            codes,
            [
                "event-trigger",
                "publication",
                "subscription",
                "large-objects",
                "large-object-select"
            ]
        );
        assert_eq!(findings[1].object.as_deref(), Some("cdc"));
    }

    #[test]
    fn large_objects_copied_at_rest_are_only_a_notice() {
        let at_rest = Intent {
            live: false,
            ..intent_of_a_live_move()
        };
        let findings = judge_source(&facts(), &role::example(), None, at_rest);
        let finding = findings
            .iter()
            .find(|finding| finding.code == "large-objects")
            .expect("found");
        assert_eq!(finding.severity, Severity::Notice);
    }

    #[test]
    fn a_target_that_acts_by_itself_is_a_warning() {
        let codes: Vec<_> = judge_target(&facts(), None)
            .iter()
            .map(|finding| finding.code)
            .collect();
        assert_eq!(codes, ["event-trigger", "subscription"]);
        let ours = judge_target(&facts(), Some("feed"));
        assert_eq!(ours.len(), 1, "what follows for us is no stranger");
    }
}
