//! The doorbell.

use crate::tally::{self, Tallies};
use axum::{Router, http::StatusCode, routing::post};
use kernel::{
    Kernel,
    bell::PACE,
    platform::Platform,
    testing::{Native, event},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// A world in which somebody reads what the tally appends.
async fn world() -> (Arc<Native>, Arc<Kernel<Tallies>>) {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let reader =
        "INSERT INTO consumer (name, position, consumes) VALUES ('reader', 0, '[\"OrderPlaced\",\"OrderCancelled\"]')";
    native.sql(reader, vec![]);
    (native, kernel)
}

fn read(native: &Native) {
    native.sql("UPDATE consumer SET position = (SELECT max(seq) FROM event) WHERE name = 'reader'", vec![]);
}

fn sequences(native: &Native) -> Vec<Value> {
    native.published().into_iter().map(|(_, bell)| bell["sequence"].clone()).collect()
}

#[tokio::test]
async fn a_commit_rings_with_the_newest_sequence_and_what_is_new() {
    let (native, kernel) = world().await;
    assert!(!kernel.bell.is_due());
    tally::place(&kernel, "a").await.unwrap();
    assert!(kernel.bell.is_due());
    kernel.bell.ring().await;
    kernel.bell.ring().await;
    let bell = json!({"source": "/mealkit/tally", "sequence": 1, "types": ["OrderPlaced"]});
    assert_eq!(native.published(), [("mealkit.tally".to_owned(), bell)]);
}

#[tokio::test]
async fn what_everybody_has_read_meanwhile_is_not_rung_for() {
    let (native, kernel) = world().await;
    tally::place(&kernel, "a").await.unwrap();
    read(&native);
    kernel.bell.ring().await;
    assert_eq!(native.published(), []);
    assert!(!kernel.bell.is_due());
}

#[tokio::test]
async fn what_nobody_reads_is_not_rung_for() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!(native.published(), []);
}

#[tokio::test]
async fn many_instances_ring_once_in_a_while_and_for_all() {
    let (native, _) = world().await;
    let mut ringing = Vec::new();
    // Time goes as fast as all of them sleep.
    let began = native.now();
    for number in 0..32 {
        let kernel = tally::open(&native.replica()).await;
        tally::place(&kernel, &format!("order-{number}")).await.unwrap();
        ringing.push(tokio::spawn(async move { kernel.bell.ring().await }));
    }
    for ring in ringing {
        ring.await.unwrap();
    }
    let took = native.now().duration_since(began).unwrap();
    let most = took.as_millis() / PACE.as_millis() + 1;
    let rung = sequences(&native);
    assert!(!rung.is_empty() && rung.len() as u128 <= most, "{rung:?} in {took:?}");
    assert_eq!(rung.last().unwrap(), 32, "somebody rang for the last one");
}

#[tokio::test]
async fn whoever_was_rung_for_by_another_looks_once_and_takes_no_lock() {
    let (native, kernel) = world().await;
    tally::place(&kernel, "a").await.unwrap();
    let replica = native.replica();
    let other = tally::open(&replica).await;
    tally::place(&other, "b").await.unwrap();
    other.bell.ring().await;
    let before = (native.calls("rung_to"), native.calls("UPDATE consumer"));
    kernel.bell.ring().await;
    assert_eq!((native.calls("rung_to"), native.calls("UPDATE consumer")), (before.0 + 1, before.1));
    assert!(!kernel.bell.is_due());
    assert_eq!(sequences(&native), [2], "one ring for both");
}

#[tokio::test]
async fn what_comes_after_the_ring_is_rung_for_however_much_others_append() {
    let (native, kernel) = world().await;
    let other = tally::open(&native.replica()).await;
    for round in 0..4 {
        tally::place(&other, &format!("other-{round}")).await.unwrap();
        other.bell.ring().await;
        tally::place(&kernel, &format!("own-{round}")).await.unwrap();
        assert!(kernel.bell.is_due());
        kernel.bell.ring().await;
    }
    assert_eq!(sequences(&native), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_type_is_rung_for_if_one_of_those_who_care_has_not_read_its_newest() {
    let (native, kernel) = world().await;
    native.sql(
        "INSERT INTO consumer (name, position, consumes) VALUES ('second', 1, '[\"OrderPlaced\"]'), ('third', 9, '[]')",
        vec![],
    );
    for id in ["a", "b"] {
        tally::place(&kernel, id).await.unwrap();
    }
    read(&native);
    kernel.bell.ring().await;
    assert_eq!(sequences(&native), [2], "the second reader has read the first of two");
    let types: Vec<_> = native.published().into_iter().map(|(_, bell)| bell["types"].clone()).collect();
    assert_eq!(types, [json!(["OrderPlaced"])]);
}

#[tokio::test]
async fn a_ringer_that_is_given_up_in_the_pause_leaves_it_to_the_next() {
    let (native, kernel) = world().await;
    tally::place(&kernel, "a").await.unwrap();
    let held = native.hold("rung_to");
    let ringing = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.bell.ring().await }
    });
    held.reached().await;
    ringing.abort();
    ringing.await.unwrap_err();
    assert_eq!(native.published(), []);
    let other = tally::open(&native.replica()).await;
    tally::place(&other, "b").await.unwrap();
    assert!(other.bell.is_due());
    other.bell.ring().await;
    assert_eq!(sequences(&native), [2], "it rings for both");
    tally::place(&kernel, "c").await.unwrap();
    assert!(kernel.bell.is_due(), "the bell is free");
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_silence_it() {
    let (native, kernel) = world().await;
    for id in ["a", "b"] {
        tally::place(&kernel, id).await.unwrap();
        kernel.bell.ring().await;
        native.set_back(std::time::Duration::from_secs(3_600));
    }
    assert_eq!(sequences(&native), [1, 2]);
}

#[tokio::test]
async fn reading_rings_only_for_what_a_policy_did() {
    let (native, kernel) = world().await;
    native.append("product", event("StockDecreased", "a"));
    kernel.catch_up().await.unwrap();
    assert!(!kernel.bell.is_due());
    native.append("product", event("OutOfStock", "b"));
    kernel.catch_up().await.unwrap();
    assert!(kernel.bell.is_due());
    kernel.bell.ring_now().await;
    assert_eq!(sequences(&native), [3]);
}

#[tokio::test]
async fn a_bell_that_does_not_ring_fails_nothing() {
    let (native, kernel) = world().await;
    native.fail("PUBLISH", "connection refused");
    tally::place(&kernel, "a").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!(native.published(), []);
    tally::place(&kernel, "b").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!(native.published().len(), 1, "the next one rings");
}

#[tokio::test]
async fn a_bell_that_hangs_is_given_up() {
    let (native, kernel) = world().await;
    let held = native.hold("PUBLISH");
    tally::place(&kernel, "a").await.unwrap();
    let ringing = tokio::time::timeout(std::time::Duration::from_secs(30), kernel.bell.ring());
    let (_, rung) = tokio::join!(held.reached(), ringing);
    rung.expect("it comes to an end");
    assert_eq!(native.published(), []);
    tally::place(&kernel, "b").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!(native.published().len(), 1, "the next one rings");
}

#[tokio::test]
async fn without_redis_it_rings_at_the_journal() {
    let native = Native::new();
    native.set_variable("bell", "http");
    native.route("http://journal.spin.internal", Router::new().route("/bell", post(async || StatusCode::ACCEPTED)));
    let kernel = tally::open(&native).await;
    native.sql("INSERT INTO consumer (name, position, consumes) VALUES ('reader', 0, '[\"OrderPlaced\"]')", vec![]);
    tally::place(&kernel, "a").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!((native.calls("POST http://journal.spin.internal/bell"), native.published().len()), (1, 0));
}
