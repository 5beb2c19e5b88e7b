//! What the log of changes of structure needs, for a plan with `ddl = "log"` or `"replay"`.

use trunkline_apply::DdlMode;
use trunkline_changes::Side;

use super::finding::{Finding, all_on};
use super::{role, server};

/// From this version on the stream brings messages along.
const MESSAGES_FROM: u32 = 14;

/// Pure.
pub(super) fn judge(mode: DdlMode, role: &role::Facts, server: &server::Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let major = server.version.major();
    if major < MESSAGES_FROM {
        let message = format!(
            "the plan logs changes of structure, and the stream of PostgreSQL {major} does not \
             bring the log along: that is from {MESSAGES_FROM} on; take `ddl` out of the plan"
        );
        findings.push(Finding::blocker("ddl-version", message).about("ddl"));
    }
    if !role.administers() {
        let message = "the plan logs changes of structure: only a superuser (on RDS and Aurora \
                       rds_superuser) may make the event triggers that this takes; give our role \
                       that right, or take `ddl` out of the plan";
        let remedy = if server.platform.is_aws() {
            format!("GRANT rds_superuser TO {};", role.quoted())
        } else {
            format!("ALTER ROLE {} SUPERUSER;", role.quoted())
        };
        findings.push(
            Finding::blocker("ddl-rights", message)
                .about(&role.name)
                .mend(remedy),
        );
    }
    if mode == DdlMode::Replay {
        let message = "changes of structure are replayed where they only add: columns (nullable, or \
                       with a constant default), defaults, DROP NOT NULL, longer varchar, indexes \
                       and values of enums; other changes of columns stop the stream, the rest \
                       blocks the cutover, both until you have looked at them. What is done on \
                       the target after the switch is not logged";
        findings.push(Finding::notice("ddl-replay", message));
    }
    all_on(findings, Side::Source)
}
