//! How SQLite goes about the kernel's statements. Each context's own are looked at in its route tests.

use crate::tally;
use kernel::testing::{Native, event};

#[tokio::test]
async fn no_statement_of_the_kernel_reads_a_whole_table_or_sorts() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.append("product", event("OutOfStock", "a"));
    let attempt = kernel::Attempt::new(&kernel::Trace::own(), "key", &"body", "b").unwrap();
    let command = tally::Command::Place(contracts::ids::OrderId::new("b"));
    for _ in 0..2 {
        kernel.create(command.clone(), &kernel::Trace::own(), Some(&attempt)).await.unwrap();
    }
    kernel.history(&contracts::ids::OrderId::new("b"), "b").await.unwrap();
    kernel.bookmark("tally-bookmark").await.unwrap();
    kernel.bell.ring_now().await;
    kernel.rest().await.unwrap();
    let log = kernel::Log::open(native.clone()).await.unwrap();
    assert_eq!(log.events(0, None, 10).await.unwrap().len(), 3);
    assert_eq!(log.events(0, Some("b"), 10).await.unwrap().len(), 1);
    assert_eq!(log.head().await.unwrap(), 3);
    for statement in ["tally_row", "consumer", "INSERT INTO tally_commit", "tally_idempotency", "event WHERE subject"] {
        assert!(native.calls(statement) > 0, "{statement} was not looked at");
    }
    assert_eq!(native.scans(), []);
    let assert_step = |statement: &str, step: &str| {
        let plans = native.plans(statement);
        assert!(plans.iter().any(|(found, _)| found.contains(step)), "{step} is not in {plans:#?}");
    };
    assert_step("SELECT 'at', position", "SEARCH event USING INTEGER PRIMARY KEY (rowid>?)");
    assert_step("SELECT 'at', position", "SEARCH tally_row USING PRIMARY KEY (id=?)");
    // What is unread about a subject is found by it.
    assert_step("INDEXED BY event_subject", "SEARCH event USING INDEX event_subject (subject=? AND seq>?)");
    // In the triggers: the condition, the row's version, the idempotency key.
    assert_step("INSERT INTO tally_commit", "SEARCH event USING INDEX event_subject (subject=? AND seq>?)");
    assert_step("INSERT INTO tally_commit", "SEARCH tally_row USING PRIMARY KEY (id=? AND kind=?)");
    assert_step("INSERT INTO tally_commit", "SEARCH old USING PRIMARY KEY (key=?)");
}

#[tokio::test]
async fn a_scan_would_be_noticed() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    kernel.query("SELECT id FROM tally_row WHERE row ->> 'taken' = 3 ORDER BY row ->> 'taken'", vec![]).await.unwrap();
    kernel.query("SELECT seq FROM event ORDER BY type", vec![]).await.unwrap();
    assert_eq!(native.scans().len(), 4, "{:?}", native.scans());
}
