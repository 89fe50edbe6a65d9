//! Components migrate themselves.

use crate::tally::{self, NextTallies, Tallies};
use contracts::ids::OrderId;
use futures::future::join_all;
use kernel::{
    Error, Failure, Kernel, Log, Trace,
    platform::Value,
    testing::{Native, event},
};

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    let schema = "SELECT group_concat(sql, ';') FROM sqlite_master";
    let before = native.sql(schema, vec![]);
    let made = native.calls("");
    let again = tally::open(&native).await;
    assert_eq!(native.calls("") - made, 2, "it only looks for the versions, of the log and of the context");
    assert_eq!(native.sql(schema, vec![]), before);
    assert!(tally::place(&again, "a").await.is_err(), "it is still there");
    // A migration that broke off before its last statement runs again from the start.
    native.sql("DELETE FROM schema_version", vec![]);
    tally::open(&native).await;
    assert_eq!(native.sql(schema, vec![]), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_may_migrate_at_once() {
    for _ in 0..5 {
        let native = Native::new();
        let opening = (0..8).map(|_| {
            let replica = native.replica();
            tokio::spawn(async move { Kernel::<Tallies>::open(replica).await.map(|_| ()) })
        });
        for opened in join_all(opening).await {
            opened.unwrap().unwrap();
        }
        let kernel = tally::open(&native).await;
        tally::place(&kernel, "a").await.unwrap();
        assert_eq!(native.integer("SELECT count(*) FROM consumer WHERE name = 'tally'"), 1);
    }
}

#[tokio::test]
async fn a_migration_that_broke_off_is_brought_to_its_end() {
    for n in 1..20 {
        let native = Native::new();
        native.fail_nth(n, "CREATE", "disk I/O error");
        let first = Kernel::<Tallies>::open(native.clone()).await;
        native.heal();
        let kernel = tally::open(&native).await;
        tally::place(&kernel, "a").await.unwrap();
        if first.is_ok() {
            return;
        }
    }
    panic!("there are not so many statements in a migration");
}

#[tokio::test]
async fn a_version_works_beside_the_next_one_and_refuses_those_after_it() {
    let native = Native::new();
    tally::open(&native).await;
    let newer = |version: i64| {
        let sql = "UPDATE schema_version SET version = ?1, oldest = ?1 - 1 WHERE name = 'tally'";
        native.sql(sql, vec![version.into()]);
    };
    newer(5);
    let beside = tally::open(&native).await;
    tally::place(&beside, "a").await.unwrap();
    newer(6);
    let refused = Kernel::<Tallies>::open(native.clone()).await.err().unwrap();
    assert!(matches!(refused, Error::NewerSchema { found: 6, known: 4, .. }));
    assert_eq!(
        refused.to_string(),
        "the tables of tally have version 6, but this build knows only 4: deploy the newer build again"
    );
    native.sql("UPDATE schema_version SET version = 9, oldest = 8 WHERE name = 'log'", vec![]);
    assert!(matches!(Log::open(native.clone()).await.err(), Some(Error::NewerSchema { name, .. }) if name == "log"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_versions_work_side_by_side_while_one_replaces_the_other() {
    let native = Native::new();
    let old = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    old.catch_up().await.unwrap();
    // The new one migrates under the old one's hands, and both go on.
    let next = Kernel::<NextTallies>::open(native.replica()).await.unwrap();
    for round in 0..50 {
        native.append("product", event("StockDecreased", "a"));
        // Only the new one knows these: a type, and a version of one.
        if round % 5 == 0 {
            native.append("product", event("StockRestored", "a"));
            native.append_in_version(2, "product", event("StockDecreased", "a"));
        }
        let (old, next) = tokio::join!(old.catch_up(), next.catch_up());
        old.unwrap();
        next.unwrap();
    }
    next.catch_up().await.unwrap();
    assert_eq!(tally::taken(&old, "a").await, 51 - 10 + 10, "each event once, whoever took it");
    tally::place(&old, "b").await.unwrap();
    next.execute(tally::Command::Place(OrderId::new("c")), &Trace::own()).await.unwrap();
    // An instance of the old version that starts only now still works; one before that would not.
    let late = tally::open(&native.replica()).await;
    assert!(matches!(tally::place(&late, "c").await, Err(Failure::Refused(tally::Refusal::Exists))));
    assert_eq!(native.integer("SELECT version * 10 + oldest FROM schema_version WHERE name = 'tally'"), 54);
}

#[tokio::test]
async fn views_of_the_version_before_stay_and_those_before_that_go() {
    let native = Native::new();
    tally::open(&native).await;
    for version in 0..4 {
        native.sql(&format!("CREATE VIEW tally_commit_v{version} AS SELECT 1"), vec![]);
    }
    for somebody_else in ["tallying_v0", "tally_rebuild_commit_v0"] {
        native.sql(&format!("CREATE VIEW {somebody_else} AS SELECT 1"), vec![]);
    }
    native.sql("UPDATE schema_version SET version = 3", vec![]);
    tally::open(&native).await;
    let views = native.sql("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name", vec![]);
    let views: Vec<_> = views.iter().filter_map(|row| row[0].text()).collect();
    assert_eq!(views, ["tally_commit_v3", "tally_commit_v4", "tally_rebuild_commit_v0", "tallying_v0"]);
}

#[tokio::test]
async fn the_database_keeps_a_write_ahead_log() {
    let native = Native::new();
    tally::open(&native).await;
    assert_eq!(native.sql("PRAGMA journal_mode", vec![]), [[Value::from("wal")]]);
}

#[tokio::test]
async fn a_database_without_a_write_ahead_log_will_do() {
    let native = Native::new();
    native.fail_always("PRAGMA journal_mode", "not supported");
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
}
