//! How long validation rests after a statement, so that it takes no more than its share of
//! the source's time. Pure.

use std::time::Duration;

/// The share of one session's time that all workers together may take on the side that
/// changes come from: 0.25 is a quarter; more than 1 lets several sessions be busy at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// No limit but the number of workers.
    pub const UNLIMITED: Share = Share(f64::INFINITY);

    /// From percents above 0.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Share> {
        (percent > 0.0 && percent.is_finite()).then_some(Share(percent / 100.0))
    }

    /// How long one of some workers rests after statements that took so long.
    pub(crate) fn rest_after(self, busy: Duration, workers: usize) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a handful of workers")]
        let own = self.0 / workers.max(1) as f64;
        if own >= 1.0 {
            return Duration::ZERO;
        }
        busy.mul_f64((1.0 / own - 1.0).min(1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_time_rests_three_times_as_long_as_it_works() {
        let quarter = Share::from_percent(25.0).expect("a share");
        let busy = Duration::from_secs(2);
        assert_eq!(quarter.rest_after(busy, 1), Duration::from_secs(6));
        assert_eq!(quarter.rest_after(busy, 2), Duration::from_secs(14));
    }

    #[test]
    fn without_a_limit_nobody_rests() {
        let rest = Share::UNLIMITED.rest_after(Duration::from_secs(2), 4);
        assert_eq!(rest, Duration::ZERO);
        let two = Share::from_percent(200.0).expect("a share");
        assert_eq!(two.rest_after(Duration::from_secs(2), 2), Duration::ZERO);
        assert_eq!(Share::from_percent(0.0), None);
    }
}
