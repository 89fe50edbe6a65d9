//! A connection whose schema is older than a table that is named only inside a trigger: SQLite does not refresh it, and says
//! "no such table" to every unit of work.

use crate::tally::{self, Tallies};
use kernel::{
    Error, Kernel,
    platform::{Platform, PlatformError},
    testing::{Native, event},
};
use std::sync::Arc;

/// An instance at work whose writing connection knows the unit of work, but not the table that another instance has made
/// since.
async fn behind() -> (Arc<Native>, Arc<Kernel<Tallies>>) {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    native.sql("DROP TABLE tally_dead_letter", vec![]);
    native.query("UPDATE schema_version SET version = 0 WHERE name = 'tally'", vec![]).await.unwrap();
    tally::open(&native.replica()).await;
    (native, kernel)
}

fn commits(native: &Native) -> usize {
    native.calls("INSERT INTO tally_commit")
}

#[tokio::test]
async fn a_unit_of_work_on_an_old_connection_is_done_on_a_fresh_one() {
    let (native, kernel) = behind().await;
    let before = commits(&native);
    tally::place(&kernel, "b").await.unwrap();
    assert_eq!(commits(&native) - before, 2, "SQLite still does not notice it: the first try failed");
    assert_eq!(native.log_of("b"), ["OrderPlaced"]);
    tally::place(&kernel, "c").await.unwrap();
    assert_eq!(commits(&native) - before, 3, "the fresh connection is kept");
}

#[tokio::test]
async fn an_event_is_not_parked_for_an_old_connection() {
    let (native, kernel) = behind().await;
    native.append("product", event("StockDecreased", "a"));
    assert_eq!(tally::taken(&kernel, "a").await, 1);
    assert_eq!(native.integer("SELECT count(*) FROM tally_dead_letter"), 0);
}

#[tokio::test]
async fn a_kernel_works_only_with_connections_that_know_the_schema_with_which_it_was_opened() {
    let (native, _) = behind().await;
    let kernel = tally::open(&native).await;
    let before = commits(&native);
    tally::place(&kernel, "b").await.unwrap();
    assert_eq!(commits(&native) - before, 1);
}

#[tokio::test]
async fn a_schema_that_stays_another_one_is_no_fault_of_the_event() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    for message in [
        "no such table: main.tally_dead_letter",
        "no such column: batch",
        "table tally_cursor has no column named batch",
        "database schema has changed",
    ] {
        native.fail_always("INSERT INTO tally_commit", message);
        let before = commits(&native);
        let failed = kernel.catch_up().await;
        assert!(matches!(failed, Err(Error::Database(PlatformError::Schema(_)))), "{message}: {failed:?}");
        assert_eq!(commits(&native) - before, 2, "it is tried once more");
        native.heal();
        assert_eq!(native.integer("SELECT count(*) FROM tally_dead_letter"), 0);
    }
    assert_eq!(tally::taken(&kernel, "a").await, 1);
}
