//! From schema version 2, as it was released, to the one of now: nothing is lost, and both work side by side.

use crate::tally::{self, Tallies, Tally};
use contracts::ids::OrderId;
use kernel::{
    Kernel,
    platform::Value,
    testing::{Native, event},
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

const RELEASED: [&str; 3] =
    [include_str!("released_2/log.sql"), include_str!("released_2/tally.sql"), include_str!("released_2/context.sql")];

/// A database as version 2 made it.
fn released() -> Arc<Native> {
    let native = Native::new();
    native.sql(
        "CREATE TABLE schema_version (name TEXT PRIMARY KEY, version INTEGER NOT NULL, oldest INTEGER, \
        migrating_to INTEGER) STRICT, WITHOUT ROWID",
        vec![],
    );
    for file in RELEASED {
        let file = file.replace("{context}", "tally").replace("{version}", "2");
        let file = file.replace("{watched}", "'StockDecreased', 'OutOfStock', 'OrderPlaced', 'OrderCancelled'");
        let mut statement = String::new();
        for line in file.lines().filter(|line| !line.starts_with("--") && !line.is_empty()) {
            statement.push_str(line);
            statement.push('\n');
            let ends = if statement.starts_with("CREATE TRIGGER") { line == "END;" } else { line.ends_with(';') };
            if ends {
                native.sql(&std::mem::take(&mut statement), vec![]);
            }
        }
    }
    native.sql("INSERT INTO schema_version VALUES ('log', 2, 1, NULL), ('tally', 2, 1, NULL)", vec![]);
    native
}

/// What an instance of version 2 does about the next event that it has not read: it counts it, as a unit of its batch.
fn old_build_reads(native: &Native, batch: &str, follows: bool, from: i64) -> bool {
    let next = native
        .sql("SELECT seq, subject FROM event WHERE seq > ? AND type = 'StockDecreased' LIMIT 1", vec![from.into()]);
    let [Value::Integer(seq), Value::Text(id)] = next[0].as_slice() else { panic!("{next:?}") };
    let row = native.sql("SELECT version, taken FROM tally_tally WHERE order_id = ?", vec![id.as_str().into()]);
    let (version, taken) = row.first().map_or((0, 0), |row| (row[0].integer().unwrap(), row[1].integer().unwrap()));
    let unit = json!([{"from_position": from, "to_position": seq, "batch": batch, "follows": follows, "rows": [{"kind": "tally", "id": id,
        "version": version + 1, "row": {"order_id": id, "taken": taken + 1, "closed": false}}]}]);
    old_commit(native, &unit) == 1
}

fn old_commit(native: &Native, units: &Json) -> usize {
    let sql = "INSERT INTO tally_commit_v2 SELECT key, value ->> 'subject', value ->> 'seen', value ->> 'from_position', \
        value ->> 'to_position', value ->> 'batch', value ->> 'follows', value ->> 'conflicts', value -> 'keys', \
        value -> 'letters', value -> 'rows', value -> 'events' FROM json_each(?) RETURNING unit";
    native.sql(sql, vec![units.to_string().into()]).len()
}

/// Where version 2 stands, what it has counted, and the same of the version of now.
fn both(native: &Native) -> [(i64, i64); 2] {
    let of = |sql: &str| native.integer(sql);
    [
        (
            of("SELECT position FROM tally_cursor"),
            of("SELECT coalesce(sum(taken * 1000 + version), 0) FROM tally_tally"),
        ),
        (
            of("SELECT position FROM consumer WHERE name = 'tally'"),
            of("SELECT coalesce(sum((row ->> 'taken') * 1000 + version), 0) FROM tally_row"),
        ),
    ]
}

async fn upgraded(native: &Arc<Native>) -> Arc<Kernel<Tallies>> {
    tally::open(&native.replica()).await
}

#[tokio::test]
async fn what_was_there_is_there_and_is_read_on_from_where_it_was() {
    let native = released();
    for order in ["a", "b", "a"] {
        old_append(&native, order);
    }
    assert!(old_build_reads(&native, "one", false, 0) && old_build_reads(&native, "one", true, 1));
    let kernel = upgraded(&native).await;
    assert_eq!(both(&native)[0], both(&native)[1]);
    assert_eq!((tally::taken(&kernel, "a").await, tally::taken(&kernel, "b").await), (2, 1));
    kernel.catch_up().await.unwrap();
    assert_eq!(kernel.find::<Tally>(&OrderId::new("a")).await.unwrap().unwrap().version, 2);
    assert_eq!(native.integer("SELECT min(version) FROM event"), 1, "old events have the first version");
}

/// Appends an event as version 2 does.
fn old_append(native: &Native, order: &str) {
    let event = json!([{"events": [{"id": uuid::Uuid::now_v7(), "source": "/mealkit/product", "type": "StockDecreased",
        "subject": order, "time": "now", "correlation_id": order, "causation_id": "c", "traceparent": "t",
        "data": {"order_id": order, "product_id": "kit-1", "quantity": 2, "stock": 8}}]}]);
    assert_eq!(old_commit(native, &event), 1);
}

#[tokio::test]
async fn both_versions_take_each_event_once() {
    let native = released();
    old_append(&native, "a");
    assert!(old_build_reads(&native, "one", false, 0));
    let kernel = upgraded(&native).await;
    for round in 0..20 {
        old_append(&native, "a");
        let stands = both(&native)[0].0;
        if round % 2 == 0 {
            assert!(old_build_reads(&native, "next", false, stands));
        }
        kernel.catch_up().await.unwrap();
        assert!(!old_build_reads(&native, "late", false, stands), "it has been read");
        assert_eq!(both(&native)[0], both(&native)[1], "round {round}");
    }
    assert_eq!(tally::taken(&kernel, "a").await, 21);
}

#[tokio::test]
async fn a_batch_of_version_2_does_not_go_on_where_the_new_one_has_been() {
    let native = released();
    for _ in 0..3 {
        old_append(&native, "a");
    }
    let kernel = upgraded(&native).await;
    kernel.catch_up().await.unwrap();
    native.append("product", event("StockDecreased", "a"));
    assert!(!old_build_reads(&native, "one", true, 3), "its own units before this one were skipped");
    assert!(old_build_reads(&native, "one", false, 3));
}

#[tokio::test]
async fn what_is_decided_here_is_seen_there() {
    let native = released();
    let kernel = upgraded(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    assert_eq!(native.integer("SELECT count(*) FROM tally_tally WHERE order_id = 'a' AND version = 1"), 1);
    tally::close(&kernel, "a").await.unwrap();
    assert_eq!(native.integer("SELECT version FROM tally_tally WHERE order_id = 'a' AND closed"), 2);
    // Version 2 decides on it, and the version of now on that.
    let unit = json!([{"subject": "a", "seen": 2, "rows": [{"kind": "tally", "id": "a", "version": 3,
        "row": {"order_id": "a", "taken": 7, "closed": true}}]}]);
    assert_eq!(old_commit(&native, &unit), 1);
    assert_eq!(tally::taken(&kernel, "a").await, 7);
    assert_eq!(both(&native)[0], both(&native)[1]);
}

#[tokio::test]
async fn an_upgrade_that_broke_off_is_brought_to_its_end() {
    for n in 1..60 {
        let native = released();
        old_append(&native, "a");
        assert!(old_build_reads(&native, "one", false, 0));
        let replica = native.replica();
        replica.fail_nth(n, "upgrade", "disk I/O error");
        let first = Kernel::<Tallies>::open(replica).await;
        let kernel = upgraded(&native).await;
        assert_eq!(tally::taken(&kernel, "a").await, 1);
        assert_eq!(both(&native)[0], both(&native)[1]);
        if first.is_ok() {
            return;
        }
    }
    panic!("there are not so many statements in an upgrade");
}
