//! Where the milliseconds of the pause go.

use std::time::{Duration, Instant};

use crate::report::StepTime;

/// Times the steps of a pause.
pub(super) struct Stopwatch {
    began: Instant,
    last: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Stopwatch {
            began: now,
            last: now,
            steps: Vec::new(),
        }
    }

    /// Ends a step.
    pub(super) fn lap(&mut self, step: &'static str) {
        let now = Instant::now();
        self.steps.push((step, now - self.last));
        self.last = now;
    }

    /// Since the start.
    pub(super) fn total(&self) -> Duration {
        self.last - self.began
    }

    pub(super) fn steps(&self) -> Vec<StepTime> {
        let step = |(step, took): &(&'static str, Duration)| StepTime {
            step,
            ms: took.as_secs_f64() * 1000.0,
        };
        self.steps.iter().map(step).collect()
    }
}
