//! The relay in the report of `status`.

use std::fmt::Write as _;

use trunkline_migration::status::{RelayState, RelayStatus};

use super::{bytes, unknown};

/// Appends how both stretches stand.
pub(super) fn text(text: &mut String, relay: &RelayStatus) {
    let state = match relay.state {
        RelayState::Standby => "a standby of the source, and read in its place",
        RelayState::Promoted => "PROMOTED: nothing comes through it any more",
        RelayState::Unreachable => "does not answer",
    };
    let seconds = relay.replay_lag_seconds.map(|age| format!("{age:.1} s"));
    for (name, value) in [
        ("relay", state.to_owned()),
        (
            "lag to the relay",
            format!(
                "{} / {}",
                unknown(relay.replay_lag_bytes.map(bytes)),
                unknown(seconds)
            ),
        ),
        ("lag from there", unknown(relay.apply_lag_bytes.map(bytes))),
        ("WAL kept there", unknown(relay.wal_kept_bytes.map(bytes))),
    ] {
        let _written = writeln!(text, "  {name:<16} {value}");
    }
}
