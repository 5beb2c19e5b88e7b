//! Migrations under random failures for as many hours as `TRUNKLINE_TORTURE_HOURS` says; a
//! schedule comes from its seed alone, and `TRUNKLINE_SEED` runs one again.

#[allow(dead_code, unused_imports, reason = "the scenarios use the rest")]
mod scene;

use std::time::{Duration, Instant};

use fastrand::Rng;
use trunkline_testkit::sandbox::installed;
use trunkline_testkit::skipped;

use scene::ordeal::survives;

/// Failures in one migration.
const STRIKES: usize = 10;

/// Source and target of a schedule: any two versions that are installed.
fn pair(seed: u64) -> (u32, u32) {
    let mut majors: Vec<u32> = installed().iter().map(|found| found.major).collect();
    majors.sort_unstable();
    let mut rng = Rng::with_seed(seed);
    let mut any = || majors[rng.usize(0..majors.len())];
    // What the older server cannot hold is left out of the tables: every pair is possible.
    (any(), any())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_schedule_of_failures_comes_to_the_same_end() {
    let hours = std::env::var("TRUNKLINE_TORTURE_HOURS").ok();
    let Some(hours) = hours.and_then(|text| text.parse::<f64>().ok()) else {
        skipped("TRUNKLINE_TORTURE_HOURS is not set");
        return;
    };
    let given = std::env::var("TRUNKLINE_SEED").ok();
    let only: Option<u64> = given.and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs_f64(hours * 3600.0);
    for number in 1_u64.. {
        let seed = only.unwrap_or_else(|| fastrand::u64(..));
        let (source, target) = pair(seed);
        eprintln!("#{number}: TRUNKLINE_SEED={seed}, {source} to {target}");
        // The last line before a panic names the seed that repeats it.
        survives(source, target, seed, STRIKES).await;
        if only.is_some() || Instant::now() >= end {
            eprintln!("{number} migrations came to the same end");
            return;
        }
    }
}
