//! From schema version 3, as it was released, to the one of now: nothing is lost, and both work side by side.

use crate::tally::{self, Tallies, Tally};
use contracts::ids::OrderId;
use kernel::{
    Error, Kernel, Log,
    testing::{Native, event},
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

const RELEASED: [&str; 2] = [include_str!("released_3/log.sql"), include_str!("released_3/context.sql")];

/// A database as version 3 made it.
fn released() -> Arc<Native> {
    let native = Native::new();
    native.sql(
        "CREATE TABLE schema_version (name TEXT PRIMARY KEY, version INTEGER NOT NULL, oldest INTEGER, \
        migrating_to INTEGER) STRICT, WITHOUT ROWID",
        vec![],
    );
    for file in RELEASED {
        let file = file.replace("{context}", "tally").replace("{version}", "3").replace("{name}", "tally");
        let file = file.replace("{watched}", "'StockDecreased', 'OutOfStock', 'OrderPlaced', 'OrderCancelled'");
        let file = file.replace("{consumes}", "[\"OutOfStock\",\"StockDecreased\"]");
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
    native.sql("INSERT INTO schema_version VALUES ('log', 3, 2, NULL), ('tally', 3, 2, NULL)", vec![]);
    native
}

fn old_commit(native: &Native, unit: &Json) -> bool {
    let sql = "INSERT INTO tally_commit_v3 SELECT key, value ->> 'subject', value ->> 'seen', value ->> 'from_position', \
        value ->> 'to_position', value ->> 'conflicts', value -> 'keys', value -> 'letters', value -> 'rows', \
        value -> 'events' FROM json_each(?) RETURNING unit";
    !native.sql(sql, vec![json!([unit]).to_string().into()]).is_empty()
}

/// Appends an event as version 3 does, which does not say who did it.
fn old_append(native: &Native, order: &str) -> bool {
    let event = json!({"events": [{"id": uuid::Uuid::now_v7(), "source": "/mealkit/product", "type": "StockDecreased",
        "version": 1, "subject": order, "time": "now", "correlation_id": order, "causation_id": "c", "traceparent": "t",
        "data": {"order_id": order, "product_id": "kit-1", "quantity": 2, "stock": 8}}]});
    old_commit(native, &event)
}

/// What an instance of version 3 does about the next event that it has not read: it counts it.
fn old_build_reads(native: &Native, order: &str, from: i64) -> bool {
    let version = "SELECT coalesce((SELECT version FROM tally_row WHERE id = ?), 0)";
    let was = native.sql(version, vec![order.into()])[0][0].integer().unwrap();
    let taken = "SELECT coalesce((SELECT row ->> 'taken' FROM tally_row WHERE id = ?), 0)";
    let taken = native.sql(taken, vec![order.into()])[0][0].integer().unwrap();
    let row = json!({"order_id": order, "taken": taken + 1, "closed": false});
    let row = json!({"kind": "tally", "id": order, "was": was, "version": was + 1, "row": row});
    old_commit(native, &json!({"from_position": from, "to_position": from + 1, "rows": [row]}))
}

#[tokio::test]
async fn what_was_there_is_there_and_is_read_on_from_where_it_was() {
    let native = released();
    assert!(old_append(&native, "a") && old_append(&native, "a"));
    assert!(old_build_reads(&native, "a", 0));
    let kernel = Kernel::<Tallies>::open(native.replica()).await.unwrap();
    kernel.catch_up().await.unwrap();
    assert_eq!(tally::taken(&kernel, "a").await, 2);
    assert_eq!(kernel.find::<Tally>(&OrderId::new("a")).await.unwrap().unwrap().version, 2);
    let log = Log::open(native.clone()).await.unwrap().events(0, None, 10).await.unwrap();
    assert!(log.iter().all(|entry| entry.auth.kind == "unknown" && entry.auth.id.is_none()), "nobody said who");
}

#[tokio::test]
async fn both_versions_take_each_event_once() {
    let native = released();
    let kernel = Kernel::<Tallies>::open(native.replica()).await.unwrap();
    for round in 0..20_i64 {
        if round % 2 == 0 {
            assert!(old_append(&native, "a"));
        } else {
            native.append("product", event("StockDecreased", "a"));
        }
        if round % 3 == 0 {
            assert!(old_build_reads(&native, "a", round));
        } else {
            kernel.catch_up().await.unwrap();
        }
        assert!(!old_build_reads(&native, "a", round), "it has been read");
        assert_eq!(tally::taken(&kernel, "a").await, u32::try_from(round + 1).unwrap());
    }
}

#[tokio::test]
async fn what_is_older_than_that_is_refused_by_name() {
    let native = released();
    native.sql("UPDATE schema_version SET version = 2, oldest = 1 WHERE name = 'tally'", vec![]);
    let refused = Kernel::<Tallies>::open(native).await.err().unwrap();
    assert!(matches!(&refused, Error::OlderSchema { name, found: 2, oldest: 3 } if name == "tally"), "{refused}");
}
