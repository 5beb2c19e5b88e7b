//! Slots that must be refused.

use crate::setup::{PATIENCE, Source, drain_batches, last_commit};
use trunkline_capture::CaptureError;
use trunkline_capture::slot::{
    Dropped, NewSlot, Plugin, SlotProblem, SlotRecord, SlotState, WalStatus, drop_slot, examine,
    first_after, open_transactions,
};
use trunkline_changes::{Lsn, Side};
use trunkline_postgres::{Session, SqlState};
use trunkline_testkit::{Cluster, skip_unless_available, until, until_some};

async fn look(
    source: &Source,
    record: &SlotRecord,
    durable: Lsn,
) -> Result<SlotState, SlotProblem> {
    match examine(&source.conninfo(), Side::Source, record, durable).await {
        Ok(state) => Ok(state),
        Err(CaptureError::Refused(refused)) => Err(refused.problem),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_accepted_until_it_is_dropped_made_anew_or_advanced_by_hand() {
    for major in [12, 13, 16, 17, 18] {
        skip_unless_available!(major);
        let source = Source::start(major).await;
        let record = source.slot("slot").await;
        let state = look(&source, &record, Lsn::ZERO).await.expect("just made");
        assert_eq!(
            state.wal_status,
            (major >= 13).then_some(WalStatus::Reserved)
        );
        assert_eq!(state.confirmed_flush_lsn, record.consistent_point);
        assert!(state.restart_lsn.is_some() && state.wal_kept_bytes.is_some());
        let mark = source.mark().await;
        let events = drain_batches(source.feed("slot"), record.consistent_point, 100, mark).await;
        let durable = last_commit(&events).expect("a commit");
        look(&source, &record, durable)
            .await
            .expect("where we left it");
        let behind = look(&source, &record, record.consistent_point).await;
        assert!(
            matches!(behind, Err(SlotProblem::BeyondDurable { .. })),
            "{behind:?}"
        );
        source.mark().await;
        source
            .run("SELECT pg_replication_slot_advance('slot', pg_current_wal_lsn())")
            .await;
        let advanced = look(&source, &record, durable).await;
        assert!(
            matches!(advanced, Err(SlotProblem::BeyondDurable { .. })),
            "{advanced:?}"
        );
        source.run("SELECT pg_drop_replication_slot('slot')").await;
        assert_eq!(
            look(&source, &record, durable).await,
            Err(SlotProblem::Gone)
        );
        source
            .run("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')")
            .await;
        let anew = look(&source, &record, durable).await;
        assert!(
            matches!(anew, Err(SlotProblem::BeyondDurable { .. })),
            "{anew:?}"
        );
        source.run("SELECT pg_drop_replication_slot('slot')").await;
        source
            .run("SELECT pg_create_logical_replication_slot('slot', 'test_decoding')")
            .await;
        let plugin = look(&source, &record, durable).await;
        assert!(
            matches!(plugin, Err(SlotProblem::OtherPlugin { .. })),
            "{plugin:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_log_is_gone_is_refused() {
    for major in [13, 18] {
        skip_unless_available!(major);
        let builder = Cluster::builder(major).setting("max_slot_wal_keep_size", "1MB");
        let source = Source::with(builder).await;
        let record = source.slot("slot").await;
        let lost = until_some(PATIENCE, async || {
            let fill = "INSERT INTO public.ledger (entry) SELECT repeat('x', 1000) FROM generate_series(1, 3000); \
                        SELECT pg_switch_wal(); CHECKPOINT";
            source.run(fill).await;
            look(&source, &record, Lsn::ZERO).await.err()
        });
        let lost = lost.await;
        assert!(matches!(lost, SlotProblem::Invalidated { .. }), "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transactions_that_a_slot_waits_for_are_listed_and_the_wait_can_be_given_up() {
    for major in [12, 18] {
        skip_unless_available!(major);
        let source = Source::start(major).await;
        let writer = source.cluster.client("shop").await;
        writer
            .batch_execute("BEGIN; INSERT INTO public.mark VALUES (-1)")
            .await
            .expect("an open transaction");
        let row = writer
            .query_one("SELECT pg_backend_pid()", &[])
            .await
            .expect("a pid");
        let pid: i32 = row.get(0);
        source
            .run("BEGIN; INSERT INTO public.mark VALUES (-2); PREPARE TRANSACTION 'kept'")
            .await;
        let new = NewSlot::prepare(&source.conninfo(), Side::Source)
            .await
            .expect("connected");
        let canceller = new.canceller();
        let creating = tokio::spawn(new.create("waiting", Plugin::Pgoutput));
        let mut session = Session::connect(&source.conninfo(), "look")
            .await
            .expect("connected");
        let there = "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = 'waiting'";
        until(PATIENCE, async || source.ask(there).await == "1").await;
        let open = open_transactions(&mut session).await.expect("a list");
        assert!(
            open.iter().any(|transaction| transaction.pid == Some(pid)),
            "{open:?}"
        );
        assert!(
            open.iter()
                .any(|transaction| transaction.prepared.as_deref() == Some("kept")),
            "{open:?}"
        );
        canceller.cancel().await.expect("sent");
        let error = creating.await.expect("no panic").expect_err("given up");
        let CaptureError::Server(fault) = error else {
            panic!("{error}");
        };
        assert_eq!(fault.cause.sqlstate(), Some(&SqlState::QUERY_CANCELED));
        until(PATIENCE, async || source.ask(there).await == "0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_recorded_slot_is_dropped() {
    skip_unless_available!(15);
    let source = Source::start(15).await;
    let record = source.slot("slot").await;
    let mut session = Session::connect(&source.conninfo(), "drop")
        .await
        .expect("connected");
    let mut foreign = record.clone();
    foreign.plugin = "test_decoding".to_owned();
    let dropped = drop_slot(&mut session, Side::Source, &foreign)
        .await
        .expect("looked");
    assert_eq!(dropped, Dropped::Before);
    let folder = tempfile::tempdir().expect("a folder");
    let holder =
        crate::setup::live(source.feed("slot"), record.consistent_point, folder.path()).await;
    let dropping =
        tokio::spawn(async move { drop_slot(&mut session, Side::Source, &record).await });
    let tried = "SELECT count(*)::text FROM pg_stat_activity \
                 WHERE application_name = 'trunkline drop' AND query LIKE '%pg_drop_replication_slot%'";
    until(PATIENCE, async || source.ask(tried).await == "1").await;
    drop(holder);
    assert_eq!(
        dropping.await.expect("no panic").expect("dropped"),
        Dropped::Now
    );
    assert_eq!(
        source
            .ask("SELECT count(*)::text FROM pg_replication_slots")
            .await,
        "0"
    );
}

/// A copy that is consistent at a position has everything before it: the first transaction
/// after it is found without the slot moving.
async fn the_first_transaction_after_a_position(major: u32) {
    let source = Source::start(major).await;
    let binary = source.slot("binary").await;
    source.text_slot("text").await;
    let feeds = [source.feed("binary"), source.text_feed("text").await];
    source.mark().await;
    let copied: Lsn = source
        .ask("SELECT pg_current_wal_insert_lsn()::text")
        .await
        .parse()
        .expect("a position");
    for feed in &feeds {
        let found = first_after(feed, copied)
            .await
            .expect("the slot can be peeked");
        assert_eq!(found, None, "nothing came since");
    }
    source
        .run("BEGIN; INSERT INTO public.ledger (entry) VALUES ('first'); COMMIT")
        .await;
    source.mark().await;
    let mut found = Vec::new();
    for feed in &feeds {
        let first = first_after(feed, copied)
            .await
            .expect("the slot can be peeked");
        found.push(first.expect("one came"));
        let at_it = first_after(feed, found[0].end_lsn).await;
        let after = at_it.expect("peeked").expect("the second mark");
        assert!(after.end_lsn > found[0].end_lsn);
    }
    assert_eq!(found[0], found[1]);
    let ask = "SELECT xmin::text FROM public.ledger WHERE entry = 'first'";
    assert_eq!(source.ask(ask).await, found[0].xid.to_string());
    assert_eq!(source.confirmed("binary").await, binary.consistent_point);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_transaction_after_a_position_is_found_by_peeking_on_12() {
    skip_unless_available!(12);
    the_first_transaction_after_a_position(12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_transaction_after_a_position_is_found_by_peeking_on_17() {
    skip_unless_available!(17);
    the_first_transaction_after_a_position(17).await;
}
