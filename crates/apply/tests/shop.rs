//! A shop whose clients never stop writing, applied in batches of any size, with restarts
//! and repetitions in between.

mod bench;

use std::time::Duration;

use bench::Bench;
use trunkline_apply::{Bounds, Durability};
use trunkline_changes::StreamEvent;
use trunkline_testkit::contents::assert_same_contents;
use trunkline_testkit::{until, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_shop_arrives_whatever_the_batches_and_restarts() {
    let bench = Bench::start().await;
    let source = bench.cluster.client("source").await;
    world::create(&source, 1).await;
    drop(source);
    bench.copy_the_source().await;
    let source = bench.cluster.client("source").await;
    let target = bench.cluster.client("target").await;
    bench.begin_stream();
    let writers = world::Writers::to(&bench.cluster.uri("source"))
        .pause(Duration::from_millis(5))
        .start();
    let mut stream: Vec<StreamEvent> = Vec::new();
    let shapes = [
        (20_000, 50, 5_000),
        (37, 2, 10),
        (500, 1, 1),
        (1_000, 5, usize::MAX),
    ];
    for (batch_rows, set_rows, copy_rows) in shapes {
        let goal = writers.committed() + 200;
        until(Duration::from_mins(1), async || writers.committed() >= goal).await;
        // A new start, to which the stream repeats the last of what it told before.
        stream.drain(..stream.len() / 2);
        let whole = stream
            .iter()
            .position(|event| matches!(event, StreamEvent::Begin(_)));
        stream.drain(..whole.unwrap_or(stream.len()));
        stream.extend(bench.take_stream().await);
        let bounds = Bounds {
            batch_rows,
            set_rows,
            copy_rows,
            ..Bounds::default()
        };
        let mut applier = bench.applier().await.with_bounds(bounds);
        for event in &stream {
            let pushed = applier.push(event.clone()).await;
            pushed.unwrap_or_else(|error| panic!("{bounds:?}: {error}"));
        }
        applier.flush(Durability::Fast).await.expect("it fits");
        eprintln!("{bounds:?}: {:?}", applier.stats());
        applier.close().await;
    }
    writers.stop().await;
    let mut applier = bench.applier().await;
    for event in bench.take_stream().await {
        applier.push(event).await.expect("it fits");
    }
    applier.flush(Durability::Durable).await.expect("it fits");
    assert_same_contents(&source, &target).await;
}
