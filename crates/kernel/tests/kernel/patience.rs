//! Somebody else holds the write lock.

use crate::tally::{self, Tally};
use contracts::ids::OrderId;
use kernel::{
    Error, Failure,
    platform::PlatformError,
    testing::{Native, event},
};
use std::time::Duration;

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_ends_the_request_with_nothing_half_done() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.set_patience(Duration::from_millis(200));
    let lock = native.lock();
    let refused = tally::place(&kernel, "a").await;
    assert!(matches!(&refused, Err(Failure::Failed(Error::Database(PlatformError::Busy(_))))), "{refused:?}");
    assert!(native.calls("INSERT INTO tally_commit") > 1, "it tried more than once");
    drop(lock);
    assert_eq!(kernel.find::<Tally>(&OrderId::new("a")).await.unwrap(), None);
    assert_eq!(native.log(), []);
    tally::place(&kernel, "a").await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_released_in_time_costs_only_time() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let lock = native.lock();
    let placing = tokio::spawn(async move { tally::place(&kernel, "a").await });
    while native.calls("INSERT INTO tally_commit") < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(lock);
    placing.await.unwrap().unwrap();
    assert_eq!(native.log_of("a"), ["OrderPlaced"]);
}

#[tokio::test]
async fn who_only_reads_does_not_wait_for_the_writer() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    kernel.catch_up().await.unwrap();
    let _lock = native.lock();
    assert_eq!(tally::taken(&kernel, "a").await, 1);
}

#[tokio::test]
async fn errors_that_pass_are_told_from_those_that_do_not() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    for message in ["disk I/O error", "database or disk is full", "attempt to write a readonly database"] {
        native.fail("SELECT", message);
        let failed = kernel.catch_up().await;
        assert!(matches!(failed, Err(Error::Database(PlatformError::Unavailable(_)))), "{message}: {failed:?}");
    }
    native.fail("SELECT", "malformed JSON: the shelf is full of busy people");
    assert!(matches!(kernel.catch_up().await, Err(Error::Database(PlatformError::Failed(_)))));
    for message in ["database is locked", "database table is locked: event", "database schema is locked"] {
        native.fail("SELECT", message);
        kernel.catch_up().await.unwrap();
    }
}

#[tokio::test]
async fn who_always_loses_is_told_to_come_back() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    // As if somebody always moved the cursor between reading and committing.
    native.sql(
        "CREATE TRIGGER always_faster INSTEAD OF INSERT ON tally_commit_v4 BEGIN SELECT RAISE(IGNORE); END",
        vec![],
    );
    native.sql("DROP TRIGGER tally_commit_v4_unit", vec![]);
    assert!(matches!(kernel.catch_up().await, Err(Error::Contended)));
    native.sql("DROP TRIGGER always_faster", vec![]);
}
