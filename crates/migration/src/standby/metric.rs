//! A platform's lag metric, as the plan's command prints it (AWS: `OldestReplicationSlotLag`).
//! It is asked in the pause, besides the barrier: a slot that somebody forgot, or a standby
//! that was not thought of, holds it up. A single small number means nothing, so a series is
//! judged: nothing but a return to zero shows that what is written is also read.

use tokio::time::Instant;
use trunkline_changes::Side;

use crate::limits::{LAG_COMMAND_WITHIN, LAG_LOOK};
use crate::plan::Plan;
use crate::shell::{self, Scene};

/// How far the metric of two servers in sync swings: an idle server changes its log's segment
/// now and then, 64 MiB of nothing, and the metric counts it until it is confirmed.
const SWING_BYTES: u64 = 64 << 20;

/// Samples, the first and the last of which are zero, that show the servers in sync.
const SAMPLES: usize = 3;

/// What a series of samples says, in the order of their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// It reached zero, and came back to it, within the swing.
    Reached,
    /// Not yet; a constant or rising value never is.
    NotYet,
}

/// Judges the samples, in bytes.
pub(crate) fn judge(samples: &[u64]) -> Sync {
    // What was before the last sample out of the swing shows nothing of what is now.
    let calm = match samples.iter().rposition(|&bytes| bytes > SWING_BYTES) {
        Some(last) => &samples[last + 1..],
        None => samples,
    };
    let from_zero = calm.iter().position(|&bytes| bytes == 0);
    let swing = from_zero.map_or(&[][..], |first| &calm[first..]);
    if swing.len() >= SAMPLES && swing.last() == Some(&0) {
        Sync::Reached
    } else {
        Sync::NotYet
    }
}

/// Asks the command again and again until the servers are in sync. `Err` says why it cannot
/// tell; how long it may take is the caller's matter.
pub(crate) async fn until_in_sync(plan: &Plan, command: &str) -> Result<(), String> {
    let scene = Scene::of(plan);
    let mut samples = Vec::new();
    loop {
        let next = Instant::now() + LAG_LOOK;
        let said = shell::run(&scene, "lag", Side::Source, command, LAG_COMMAND_WITHIN).await;
        let said = said.map_err(|error| format!("lag_command: {error}"))?;
        samples.push(bytes(&said)?);
        if judge(&samples) == Sync::Reached {
            return Ok(());
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Reads what the command printed: bytes, whole or with a fraction, as metrics are.
fn bytes(said: &str) -> Result<u64, String> {
    let said = said.trim();
    let whole = match said.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => whole,
        _ => said,
    };
    let why = || format!("lag_command printed {said:?}, and not a number of bytes");
    whole.parse().map_err(|_| why())
}

#[cfg(test)]
mod tests {
    use super::{SWING_BYTES, Sync, bytes, judge};

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_metric_that_returns_to_zero_within_the_swing_is_in_sync() {
        for samples in [
            &[0, 0, 0][..],
            &[900 * MIB, 12 * MIB, 0, 64 * MIB, 0],
            &[0, 30 * MIB, 64 * MIB, 0],
        ] {
            assert_eq!(judge(samples), Sync::Reached, "{samples:?}");
        }
    }

    #[test]
    fn a_constant_or_rising_metric_is_never_in_sync() {
        for samples in [
            &[][..],
            &[0],
            &[0, 0],
            &[1, 1, 1, 1, 1, 1],
            &[64 * MIB; 20],
            &[0, MIB, 2 * MIB, 3 * MIB, 4 * MIB],
            &[0, 1, 1, 1, 1, 1],
            &[5 * MIB, 4 * MIB, 3 * MIB, 2 * MIB, MIB],
        ] {
            assert_eq!(judge(samples), Sync::NotYet, "{samples:?}");
        }
    }

    #[test]
    fn a_value_beyond_the_swing_makes_what_was_before_it_void() {
        let beyond = SWING_BYTES + 1;
        assert_eq!(judge(&[0, 0, 0, beyond]), Sync::NotYet);
        assert_eq!(judge(&[0, 0, 0, beyond, 0]), Sync::NotYet);
        assert_eq!(judge(&[0, 0, 0, beyond, 0, 1, 0]), Sync::Reached);
    }

    #[test]
    fn only_a_number_of_bytes_is_read() {
        assert_eq!(bytes("67108864\n"), Ok(64 * MIB));
        assert_eq!(bytes(" 0.0 "), Ok(0));
        for said in ["", "-1", "None", "1e6", "1.x", "64 MB"] {
            assert!(bytes(said).is_err(), "{said}");
        }
    }
}
