//! Reading the log: every event takes effect once, however many read, and whoever gives up.

use crate::tally::{self, NextTallies, Refusal, Tallies, Tally};
use contracts::ids::OrderId;
use futures::future::join_all;
use kernel::{
    Error, Failure, Kernel,
    testing::{DEADLINE, Native, event},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How many orders the events of these tests are about.
const ORDERS: usize = 10;

fn order(number: usize) -> String {
    format!("order-{}", number % ORDERS)
}

fn append(native: &Native, events: usize) {
    for number in 0..events {
        native.append("product", event("StockDecreased", &order(number)));
    }
}

async fn replicas(native: &Native, count: usize) -> Vec<Arc<Kernel<Tallies>>> {
    let replicas: Vec<_> = (0..count).map(|_| native.replica()).collect();
    join_all(replicas.iter().map(tally::open)).await
}

#[tokio::test]
async fn events_take_effect_in_order_and_once() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, 1_000);
    for _ in 0..3 {
        assert_eq!(kernel.catch_up().await.unwrap(), 1_000);
    }
    let tally = kernel.find::<Tally>(&OrderId::new("order-3")).await.unwrap().unwrap();
    assert_eq!((tally.value.taken, tally.version), (100, 100));
    assert_eq!(native.calls("INSERT INTO tally_commit"), 4, "a batch is one unit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_read_the_same_log_at_once_work_it_off_once() {
    let native = Native::new();
    let kernels = replicas(&native, 4).await;
    let writer = native.clone();
    let writing = tokio::task::spawn_blocking(move || append(&writer, 1_000));
    let reading = kernels
        .into_iter()
        .map(|kernel| tokio::spawn(async move { while kernel.catch_up().await.expect("it can be read") < 1_000 {} }));
    for done in join_all(reading).await {
        done.unwrap();
    }
    writing.await.unwrap();
    let kernel = tally::open(&native).await;
    for number in 0..ORDERS {
        assert_eq!(tally::taken(&kernel, &order(number)).await, 100);
    }
    assert_eq!(kernel.position().await.unwrap().lag, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_policy_of_many_replicas_acts_once_for_each_event() {
    let native = Native::new();
    let kernels = replicas(&native, 4).await;
    for number in 0..300 {
        native.append("product", event("OutOfStock", &format!("short-{number}")));
    }
    let reading = kernels.into_iter().map(|kernel| tokio::spawn(async move { kernel.catch_up().await.map(|_| ()) }));
    for done in join_all(reading).await {
        done.unwrap().unwrap();
    }
    let cancelled = native.log().into_iter().filter(|(event_type, _)| event_type == "OrderCancelled");
    let mut subjects: Vec<_> = cancelled.map(|(_, subject)| subject).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 300);
    assert_eq!(native.log().len(), 600);
}

#[tokio::test]
async fn a_policys_event_tells_its_cause() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("OutOfStock", "a"));
    kernel.catch_up().await.unwrap();
    let sql = "SELECT cause.id = effect.causation_id AND cause.id <> effect.id AND effect.correlation_id = 'a' \
        AND substr(cause.traceparent, 4, 32) = substr(effect.traceparent, 4, 32) \
        AND cause.traceparent <> effect.traceparent FROM event AS cause, event AS effect WHERE cause.seq = 1 AND effect.seq = 2";
    assert_eq!(native.integer(sql), 1);
}

#[tokio::test]
async fn concurrent_requests_of_an_instance_are_served_by_one_catch_up() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, 100);
    let held = native.hold("INSERT INTO tally_commit");
    let leader = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.catch_up().await }
    });
    held.reached().await;
    let before = native.calls("FROM consumer");
    let others = (0..64).map(|_| {
        let kernel = kernel.clone();
        tokio::spawn(async move { kernel.catch_up().await })
    });
    let others: Vec<_> = others.collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    held.release();
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), 100);
    }
    leader.await.unwrap().unwrap();
    // One that looked while the leader was still at it may have tried, and lost.
    assert!(native.calls("INSERT INTO tally_commit") <= 2, "there was nothing more to do");
    let looked = native.calls("FROM consumer") - before;
    assert!(looked <= 2 * 64 + 3, "64 requests looked into the log {looked} times");
}

#[tokio::test]
async fn who_waits_for_a_catch_up_sees_what_was_in_the_log_when_it_asked() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    let held = native.hold("INSERT INTO tally_commit");
    let leader = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.catch_up().await }
    });
    held.reached().await;
    // The one that is on its way has read the log already: it does not know of this.
    native.append("product", event("StockDecreased", "a"));
    let other = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.catch_up().await }
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    held.release();
    assert_eq!(timeout(DEADLINE, other).await.unwrap().unwrap().unwrap(), 2);
    assert_eq!(native.integer("SELECT row ->> 'taken' FROM tally_row"), 2);
    leader.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_leader_read_before_somebody_asked_does_not_serve_who_asked() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    let (read, committing) = (native.hold_answer("FROM consumer"), native.hold("INSERT INTO tally_commit"));
    let leader = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.catch_up().await }
    });
    read.reached().await;
    // The leader has read the log, but does not lead yet.
    native.append("product", event("StockDecreased", "a"));
    let looked = native.hold_answer("FROM consumer");
    let other = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.catch_up().await }
    });
    looked.reached().await;
    read.release();
    committing.reached().await;
    looked.release();
    tokio::time::sleep(Duration::from_millis(5)).await;
    committing.release();
    assert_eq!(timeout(DEADLINE, other).await.unwrap().unwrap().unwrap(), 2);
    assert_eq!(native.integer("SELECT row ->> 'taken' FROM tally_row"), 2);
    leader.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dropped_leader_hands_over() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, 10);
    let held = native.hold("INSERT INTO tally_commit");
    let leader = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.catch_up().await }
    });
    held.reached().await;
    let other = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.catch_up().await }
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(!other.is_finished(), "it waits for the leader");
    leader.abort();
    assert_eq!(timeout(DEADLINE, other).await.unwrap().unwrap().unwrap(), 10);
    assert_eq!(native.integer("SELECT sum(row ->> 'taken') FROM tally_row"), 10);
}

#[tokio::test]
async fn a_failed_leader_hands_over() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, 10);
    native.fail("INSERT INTO tally_commit", "database or disk is full");
    let read = join_all((0..8).map(|_| kernel.catch_up())).await;
    let failed = read.iter().filter(|found| found.is_err()).count();
    assert_eq!(failed, 1, "{read:?}");
    assert!(read.iter().flatten().all(|head| *head == 10));
    assert_eq!(native.integer("SELECT sum(row ->> 'taken') FROM tally_row"), 10);
}

#[tokio::test]
async fn a_lost_answer_takes_no_event_twice() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, 10);
    native.lose_answer("INSERT INTO tally_commit", "connection reset");
    kernel.catch_up().await.unwrap();
    assert_eq!(tally::taken(&kernel, "order-0").await, 1);
    assert_eq!(native.integer("SELECT count(*) FROM tally_dead_letter"), 0, "nor is it taken for poison");
}

#[tokio::test]
async fn types_that_the_context_does_not_know_are_stepped_over() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    native.sql(
        "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1500) \
        SELECT 'x' || n, '/mealkit/loyalty', 'PointsEarned', 'a', 'now', 'a', 'a', 't', '{\"shape\": [1]}' FROM n",
        vec![],
    );
    native.append("product", event("StockDecreased", "a"));
    kernel.catch_up().await.unwrap();
    assert_eq!(tally::taken(&kernel, "a").await, 2);
    assert_eq!(native.integer("SELECT position FROM consumer WHERE name = 'tally'"), 1_502);
    // Some more are not worth a commit for every reader; the periodic catch-up steps over them.
    native.append("marketing", event("Notified", "a"));
    let commits = native.calls("INSERT INTO tally_commit");
    kernel.catch_up().await.unwrap();
    assert_eq!(native.calls("INSERT INTO tally_commit"), commits);
    let position = kernel.rest().await.unwrap();
    assert_eq!((position.cursor, position.lag), (1_503, 0));
}

#[tokio::test]
async fn a_new_context_replays_the_log_from_the_start() {
    let native = Native::new();
    kernel::Log::open(native.clone()).await.unwrap();
    append(&native, 500);
    let kernel = tally::open(&native).await;
    assert_eq!(tally::taken(&kernel, "order-7").await, 50);
}

#[tokio::test]
async fn what_a_policy_may_not_do_does_not_stop_the_reading() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    for event_type in ["StockDecreased", "OutOfStock", "StockDecreased"] {
        native.append("product", event(event_type, "a"));
    }
    assert_eq!(tally::taken(&kernel, "a").await, 2);
    assert!(!native.log_of("a").contains(&"OrderCancelled".to_owned()), "it was refused");
}

#[tokio::test]
async fn who_has_not_read_what_is_archived_says_so() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, 10);
    kernel.rest().await.unwrap();
    let archive = "INSERT OR REPLACE INTO log_archive VALUES (1, 10)";
    assert!(kernel.query("DELETE FROM event WHERE seq <= 10", vec![]).await.is_err(), "it is not archived");
    native.sql(archive, vec![]);
    native.sql("DELETE FROM event WHERE seq <= 10", vec![]);
    // Whoever has read it goes on.
    native.append("product", event("StockDecreased", "order-0"));
    assert_eq!(tally::taken(&kernel, "order-0").await, 2);
    assert_eq!(native.integer("SELECT max(seq) FROM event"), 11, "no number is given twice");
    // A newcomer does not begin in the middle as if nothing had been before.
    native.sql("UPDATE consumer SET position = 0 WHERE name = 'tally'", vec![]);
    assert!(matches!(kernel.catch_up().await, Err(Error::Archived { to: 10 })));
    assert!(matches!(kernel.whole_log().await, Err(Error::Archived { to: 10 })));
}

#[tokio::test]
async fn what_is_unread_is_folded_onto_the_rows_and_nothing_is_written() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, 25);
    let looked = native.calls("");
    let folded = kernel.find::<Tally>(&OrderId::new("order-3")).await.unwrap().unwrap();
    assert_eq!((folded.value.taken, folded.version), (3, 3));
    assert_eq!(native.calls("") - looked, 1, "one statement");
    assert_eq!(native.integer("SELECT count(*) FROM tally_row"), 0);
    kernel.catch_up().await.unwrap();
    assert_eq!(kernel.find::<Tally>(&OrderId::new("order-3")).await.unwrap().unwrap(), folded, "the version, too");
}

#[tokio::test]
async fn a_policy_that_is_due_is_not_folded_over() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("OutOfStock", "a"));
    assert!(kernel.find::<Tally>(&OrderId::new("a")).await.unwrap().unwrap().value.closed);
    assert_eq!(native.log_of("a"), ["OutOfStock", "OrderCancelled"]);
}

#[tokio::test]
async fn a_command_reads_first_what_concerns_its_rows_and_only_that() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    tally::place(&kernel, "b").await.unwrap();
    assert_eq!(native.integer("SELECT position FROM consumer WHERE name = 'tally'"), 0, "nothing unread about b");
    assert!(tally::place(&kernel, "a").await.is_err(), "it is there by now");
    assert_eq!(native.integer("SELECT position FROM consumer WHERE name = 'tally'"), 2);
}

#[tokio::test]
async fn an_older_build_does_not_step_over_what_only_a_newer_one_knows() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    let newer = native.append("product", event("StockRestored", "a"));
    native.append("product", event("StockDecreased", "b"));
    let newest =
        "UPDATE consumer SET consumes = '[\"OutOfStock\",\"StockDecreased\",\"StockRestored\"]' WHERE name = 'tally'";
    native.sql(newest, vec![]);
    assert_eq!(kernel.catch_up().await.unwrap(), newer - 1);
    assert_eq!(native.integer("SELECT position FROM consumer WHERE name = 'tally'"), newer - 1);
    assert_eq!(kernel.rest().await.unwrap().cursor, newer - 1);
    // It may go on to answer and to decide.
    assert_eq!(tally::taken(&kernel, "b").await, 1);
    tally::place(&kernel, "c").await.unwrap();
    // Nor can a unit that was decided before the newer build came.
    let jump = "INSERT INTO tally_commit_v4 (unit, from_position, to_position) VALUES (0, ?1, 4) RETURNING unit";
    assert_eq!(native.sql(jump, vec![(newer - 1).into()]).len(), 0);
}

#[tokio::test]
async fn an_older_build_stops_before_a_version_that_only_a_newer_one_knows() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    let newer = native.append_in_version(2, "product", event("StockDecreased", "n"));
    native.append("product", event("StockDecreased", "b"));
    assert_eq!(kernel.catch_up().await.unwrap(), newer - 1);
    assert_eq!(kernel.rest().await.unwrap().cursor, newer - 1);
    assert_eq!(native.integer("SELECT count(*) FROM tally_dead_letter"), 0, "it is no poison");
    // It may go on to answer and to decide.
    assert_eq!((tally::taken(&kernel, "a").await, tally::taken(&kernel, "b").await), (1, 1));
    tally::place(&kernel, "c").await.unwrap();
    // About this very order it tells what it knows, and decides nothing as if the event were not there.
    assert_eq!(tally::taken(&kernel, "n").await, 0);
    assert_eq!(kernel.history(&OrderId::new("n"), "n").await.unwrap(), []);
    assert!(matches!(tally::close(&kernel, "n").await, Err(Failure::Failed(Error::Contended))));
    // The newer build takes it from there.
    let next = Kernel::<NextTallies>::open(native.replica()).await.unwrap();
    next.catch_up().await.unwrap();
    assert_eq!(tally::taken(&kernel, "n").await, 1);
    assert!(matches!(tally::close(&kernel, "n").await, Err(Failure::Refused(Refusal::Taken))));
    assert_eq!(kernel.rest().await.unwrap().lag, 0);
}
