//! The doorbell.

use crate::tally;
use axum::{Router, http::StatusCode, routing::post};
use kernel::testing::{Native, event};
use serde_json::json;

#[tokio::test]
async fn a_commit_rings_with_the_newest_sequence_and_what_is_new() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    assert!(!kernel.bell.is_due());
    tally::place(&kernel, "a").await.unwrap();
    assert!(kernel.bell.is_due());
    kernel.bell.ring().await;
    kernel.bell.ring().await;
    let bell = json!({"source": "/mealkit/tally", "sequence": 1, "types": ["OrderPlaced"]});
    assert_eq!(native.published(), [("mealkit.tally".to_owned(), bell)]);
}

#[tokio::test]
async fn bells_that_come_while_one_rings_are_merged() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    let held = native.hold("PUBLISH");
    let ringing = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.bell.ring().await }
    });
    held.reached().await;
    for number in 0..10 {
        tally::place(&kernel, &format!("b-{number}")).await.unwrap();
        assert!(!kernel.bell.is_due(), "somebody rings");
        kernel.bell.ring().await;
    }
    held.release();
    ringing.await.unwrap();
    let sequences: Vec<_> = native.published().into_iter().map(|(_, bell)| bell["sequence"].clone()).collect();
    assert_eq!(sequences, [1, 11]);
}

#[tokio::test]
async fn reading_rings_only_for_what_a_policy_did() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    kernel.catch_up().await.unwrap();
    assert!(!kernel.bell.is_due());
    native.append("product", event("OutOfStock", "b"));
    kernel.catch_up().await.unwrap();
    assert!(kernel.bell.is_due());
}

#[tokio::test]
async fn a_bell_that_does_not_ring_fails_nothing() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.fail("PUBLISH", "connection refused");
    tally::place(&kernel, "a").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!(native.published(), []);
    tally::place(&kernel, "b").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!(native.published().len(), 1, "the next one rings");
}

#[tokio::test]
async fn a_dropped_ringer_leaves_the_bell_free() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    let held = native.hold("PUBLISH");
    let ringing = tokio::spawn({
        let kernel = kernel.clone();
        async move { kernel.bell.ring().await }
    });
    held.reached().await;
    ringing.abort();
    ringing.await.unwrap_err();
    tally::place(&kernel, "b").await.unwrap();
    assert!(kernel.bell.is_due());
}

#[tokio::test]
async fn without_redis_it_rings_at_the_journal() {
    let native = Native::new();
    native.set_variable("bell", "http");
    native.route("http://journal.spin.internal", Router::new().route("/bell", post(async || StatusCode::ACCEPTED)));
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    kernel.bell.ring().await;
    assert_eq!((native.calls("POST http://journal.spin.internal/bell"), native.published().len()), (1, 0));
}
