//! Contestants in turn, so that what the machine does beside them meets all alike.

use serde::{Deserialize, Serialize};

use crate::measured::Measured;

/// What one contestant took, run by run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) runs: Vec<Measured>,
}

impl Contestant {
    pub(crate) fn new(name: &str) -> Self {
        Contestant {
            name: name.to_owned(),
            runs: Vec::new(),
        }
    }

    /// The median of one of its figures.
    pub(crate) fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.runs.iter().map(of).collect())
    }
}

/// The median of the ratios of runs that were made in one turn: a slow minute of the machine
/// strikes both.
pub(crate) fn ratio(ours: &Contestant, theirs: &Contestant) -> f64 {
    let pairs = ours.runs.iter().zip(&theirs.runs);
    median(
        pairs
            .map(|(own, peer)| own.seconds / peer.seconds)
            .collect(),
    )
}

/// The order of a turn: forwards, then backwards, so that none is always the first.
pub(crate) fn order(turn: u32, contestants: usize) -> Vec<usize> {
    let forwards = 0..contestants;
    if turn.is_multiple_of(2) {
        forwards.collect()
    } else {
        forwards.rev().collect()
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.as_slice() {
        [] => f64::NAN,
        even if even.len() % 2 == 0 => f64::midpoint(even[middle - 1], even[middle]),
        odd => odd[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contestant(seconds: &[f64]) -> Contestant {
        let run = |&seconds: &f64| Measured {
            seconds,
            ..Measured::default()
        };
        Contestant {
            name: "x".to_owned(),
            runs: seconds.iter().map(run).collect(),
        }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_not_of_the_runs() {
        let ours = contestant(&[1.0, 8.0, 3.0]);
        let theirs = contestant(&[2.0, 10.0, 3.0]);
        assert!((ratio(&ours, &theirs) - 0.8).abs() < 1e-9);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn every_contestant_is_first_sometimes() {
        assert_eq!(order(0, 3), [0, 1, 2]);
        assert_eq!(order(1, 3), [2, 1, 0]);
    }
}
