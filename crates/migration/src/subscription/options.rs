//! The options of the subscription: the best that both versions know, and nothing that could
//! lose a row.

use trunkline_changes::quote_literal;

use crate::plan::RowsBy;

/// What the options depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    /// Major version of the server that publishes.
    pub(crate) source_major: u32,
    /// Major version of the server that subscribes.
    pub(crate) target_major: u32,
    /// The slot, which we made: its beginning is in the journal.
    pub(crate) slot: &'a str,
    /// Who copies the rows that are there.
    pub(crate) rows: RowsBy,
    /// Whether rows are to travel in binary form.
    pub(crate) binary: bool,
    /// Whether our role on the target is a superuser.
    pub(crate) superuser: bool,
}

/// What stands between the parentheses of `WITH`.
///
/// `origin` stays `any`: with `none` the source would leave out what was replicated to it, and
/// those rows would be missing here. Two-phase commit stays off, because a transaction that is
/// only prepared could outlive the subscription. Failover slots are for a server that lasts.
pub(crate) fn options(ground: &Ground<'_>) -> String {
    let oldest = ground.source_major.min(ground.target_major);
    let copies = ground.rows == RowsBy::Subscription;
    let mut options = vec![
        format!("slot_name = {}", quote_literal(ground.slot)),
        "create_slot = false".to_owned(),
        "enabled = false".to_owned(),
        format!("copy_data = {copies}"),
    ];
    if ground.binary {
        options.push("binary = true".to_owned());
    }
    match oldest {
        16.. => options.push("streaming = parallel".to_owned()),
        14.. => options.push("streaming = on".to_owned()),
        _ => {}
    }
    if ground.target_major >= 16 && !ground.superuser {
        // Else each table's owner applies, and our role would have to be able to become it.
        options.push("run_as_owner = true".to_owned());
    }
    options.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(source_major: u32, target_major: u32, superuser: bool) -> String {
        options(&Ground {
            source_major,
            target_major,
            slot: "s",
            rows: RowsBy::Subscription,
            binary: false,
            superuser,
        })
    }

    #[test]
    fn both_versions_decide_how_large_transactions_travel() {
        assert!(!between(13, 16, true).contains("streaming"));
        assert!(between(15, 17, true).contains("streaming = on"));
        assert!(between(17, 18, true).contains("streaming = parallel"));
    }

    #[test]
    fn an_ordinary_role_applies_as_itself_where_the_server_knows_that() {
        assert!(between(16, 16, false).contains("run_as_owner"));
        assert!(!between(16, 16, true).contains("run_as_owner"));
        assert!(!between(15, 15, false).contains("run_as_owner"));
    }

    #[test]
    fn nothing_that_was_replicated_to_the_source_is_left_out() {
        assert!(!between(18, 18, true).contains("origin"));
    }
}
