//! What the shop asks of a database, asked of libSQL's own engine: every table, view and trigger, and each condition of
//! the unit of work (`sql/context.sql`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "whatever goes wrong here is a failed test")]

use libsql::{Builder, Connection, params};
use serde_json::{Value as Json, json};
use std::fs;

const LOG: &str = include_str!("../../../sql/log.sql");
const CONTEXT: &str = include_str!("../../../sql/context.sql");

/// The contexts' own files: all in `sql/` but what is there for all of them.
fn contexts() -> Vec<(String, String)> {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql")).unwrap();
    let files = files.map(|file| file.unwrap().path()).map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    files.filter(|(name, _)| !["log", "context"].contains(&name.as_str())).collect()
}

/// A shop's database, with everything that the components make at their first request, made twice.
async fn shop() -> Connection {
    let connection = Builder::new_local(":memory:").build().await.unwrap().connect().unwrap();
    let contexts = contexts();
    assert!(contexts.iter().any(|(name, _)| name == "delivery"), "{contexts:?}");
    for _ in 0..2 {
        let versions = "CREATE TABLE IF NOT EXISTS schema_version (name TEXT PRIMARY KEY, version INTEGER NOT NULL);";
        migrate(&connection, versions).await;
        migrate(&connection, LOG).await;
        for (name, own) in &contexts {
            for file in [CONTEXT, own.as_str()] {
                let file = file.replace("{context}", name).replace("{name}", name).replace("{version}", "1");
                let file = file.replace("{consumes}", r#"["OrderPlaced"]"#);
                migrate(&connection, &file.replace("{watched}", "'OrderPlaced', 'OrderCancelled'")).await;
            }
        }
    }
    connection
}

/// Runs the statements of a file, one by one as the kernel does. A trigger ends with `END;`, any other with the first `;`
/// at the end of a line.
async fn migrate(connection: &Connection, file: &str) {
    let mut statement = String::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        statement += line;
        statement.push('\n');
        if line.ends_with(';') && (line == "END;" || !statement.starts_with("CREATE TRIGGER")) {
            match connection.execute(&std::mem::take(&mut statement), ()).await {
                Err(error) if error.to_string().contains("duplicate column name") => {}
                done => drop(done.unwrap()),
            }
        }
    }
    assert_eq!(statement, "");
}

/// Inserts these units of delivery in one statement, the kernel's; returns which of them were committed.
async fn commit(connection: &Connection, units: Json) -> libsql::Result<Vec<i64>> {
    let sql = "INSERT INTO delivery_commit_v1 SELECT key, value ->> 'subject', value ->> 'seen', \
        value ->> 'from_position', value ->> 'to_position', value ->> 'conflicts', value -> 'keys', value -> 'letters', value -> 'rows', value -> 'events' \
        FROM json_each(?) RETURNING unit";
    integers(connection, sql, &units.to_string()).await
}

async fn integers(connection: &Connection, sql: &str, parameter: &str) -> libsql::Result<Vec<i64>> {
    let mut rows = connection.query(sql, params![parameter]).await?;
    let mut found = vec![];
    while let Some(row) = rows.next().await? {
        found.push(row.get(0)?);
    }
    Ok(found)
}

async fn integer(connection: &Connection, sql: &str) -> i64 {
    integers(connection, &format!("SELECT ({sql}) WHERE ?1 = ''"), "").await.unwrap()[0]
}

fn row(order_id: &str, version: i64) -> Json {
    json!([{"kind": "delivery", "id": order_id, "was": version - 1, "version": version, "row": {
        "order_id": order_id, "delivery_id": format!("delivery of {order_id}"), "member_id": "hana",
        "address": "Seoul", "status": "requested", "stocked": false, "created_at": "now", "updated_at": "now"}}])
}

fn event(id: &str, order_id: &str) -> Json {
    json!([{"id": id, "source": "/mealkit/order", "type": "OrderPlaced", "version": 1, "subject": order_id, "time": "now",
        "correlation_id": order_id, "causation_id": "c", "traceparent": "t", "data": {"order_id": order_id}}])
}

#[tokio::test]
async fn state_and_events_are_written_together() {
    let shop = shop().await;
    let unit = json!([{"rows": row("a", 1), "events": event("1", "a")}]);
    assert_eq!(commit(&shop, unit).await.unwrap(), [0]);
    assert_eq!(
        integer(&shop, "SELECT version FROM delivery_row WHERE row ->> 'delivery_id' = 'delivery of a'").await,
        1
    );
    assert_eq!(integer(&shop, "SELECT seq FROM event WHERE data ->> 'order_id' = 'a'").await, 1);
}

#[tokio::test]
async fn an_unseen_event_about_the_order_skips_the_unit() {
    let shop = shop().await;
    commit(&shop, json!([{"events": event("1", "a")}])).await.unwrap();
    let unit = |order_id: &str, seen: i64| json!([{"subject": order_id, "seen": seen, "rows": row(order_id, 1)}]);
    assert!(commit(&shop, unit("a", 0)).await.unwrap().is_empty());
    assert_eq!(integer(&shop, "SELECT count(*) FROM delivery_row").await, 0);
    assert_eq!(commit(&shop, unit("a", 1)).await.unwrap(), [0], "seen");
    assert_eq!(commit(&shop, unit("b", 0)).await.unwrap(), [0], "about another order");
}

#[tokio::test]
async fn a_skipped_unit_stops_those_behind_it_on_the_same_cursor() {
    let shop = shop().await;
    let step = |from: i64, rows: Json| json!({"from_position": from, "to_position": from + 1, "rows": rows});
    let units = json!([step(0, row("a", 1)), step(1, row("b", 5)), step(2, row("c", 1))]);
    assert_eq!(commit(&shop, units).await.unwrap(), [0], "b has no version 4, so c must wait");
    assert_eq!(integer(&shop, "SELECT position FROM consumer WHERE name = 'delivery'").await, 1);
    assert_eq!(commit(&shop, json!([step(0, row("c", 1))])).await.unwrap(), [0_i64; 0], "it stands elsewhere");
}

#[tokio::test]
async fn a_unit_does_not_step_over_what_only_a_newer_build_knows() {
    let shop = shop().await;
    commit(&shop, json!([{"events": event("1", "a")}])).await.unwrap();
    let step = json!([{"from_position": 0, "to_position": 1}]);
    let consumes = "UPDATE consumer SET consumes = ? WHERE name = 'delivery' RETURNING 1";
    integers(&shop, consumes, r#"["OrderPlaced","OrderPraised"]"#).await.unwrap();
    assert_eq!(commit(&shop, step.clone()).await.unwrap(), [0], "it knows this one");
    let praised = "UPDATE consumer SET position = 0 WHERE name = 'delivery' RETURNING 1";
    integers(&shop, &format!("{praised} + length(?) * 0"), "").await.unwrap();
    let mut praise = event("2", "a");
    praise[0]["type"] = json!("OrderPraised");
    commit(&shop, json!([{"events": praise}])).await.unwrap();
    assert!(commit(&shop, json!([{"from_position": 0, "to_position": 2}])).await.unwrap().is_empty());
    assert_eq!(commit(&shop, step).await.unwrap(), [0], "up to it, it may");
}

#[tokio::test]
async fn a_parked_event_of_the_order_skips_the_unit_and_a_letter_waits_behind_it() {
    let shop = shop().await;
    let letter = |seq: i64, order_id: &str, status: &str| {
        json!([{"letters": [{"seq": seq, "version": 1, "subject": order_id, "type": "OrderPlaced", "status": status,
            "tries": 1, "error": "broken", "reason": null, "due_at": null, "at": "now"}]}])
    };
    assert_eq!(commit(&shop, letter(1, "a", "dead")).await.unwrap(), [0]);
    let command = |order_id: &str| json!([{"subject": order_id, "seen": 9, "rows": row(order_id, 1)}]);
    assert!(commit(&shop, command("a")).await.unwrap().is_empty(), "whoever decides does not know it");
    assert_eq!(commit(&shop, command("b")).await.unwrap(), [0]);
    assert_eq!(commit(&shop, letter(2, "a", "waiting")).await.unwrap(), [0]);
    assert!(commit(&shop, letter(3, "b", "waiting")).await.unwrap().is_empty(), "for nobody");
}

#[tokio::test]
async fn a_row_of_another_version_skips_the_unit() {
    let shop = shop().await;
    let unit = |version: i64| json!([{"rows": row("a", version)}]);
    assert!(commit(&shop, unit(2)).await.unwrap().is_empty(), "there is no row yet");
    assert_eq!(commit(&shop, unit(1)).await.unwrap(), [0]);
    assert!(commit(&shop, unit(1)).await.unwrap().is_empty(), "somebody was faster");
    assert_eq!(commit(&shop, unit(2)).await.unwrap(), [0]);
}

#[tokio::test]
async fn an_idempotency_key_is_used_once_unless_what_it_made_is_replaced() {
    let shop = shop().await;
    let unit = |order_id: &str, replaces: Json| json!([{"rows": row(order_id, 1), "keys": [{"key": "k", "request": "r", "subject": order_id, "replaces": replaces}]}]);
    assert_eq!(commit(&shop, unit("a", json!(null))).await.unwrap(), [0]);
    assert!(commit(&shop, unit("b", json!(null))).await.unwrap().is_empty(), "it is taken");
    assert_eq!(integer(&shop, "SELECT count(*) FROM delivery_row").await, 1);
    assert_eq!(commit(&shop, unit("b", json!("a"))).await.unwrap(), [0]);
}

#[tokio::test]
async fn many_units_are_committed_in_one_statement_and_only_those_that_may_be() {
    let shop = shop().await;
    commit(&shop, json!([{"events": event("before", "order-7")}])).await.unwrap();
    let unit = |number: i64| {
        let order_id = format!("order-{number}");
        json!({"subject": order_id, "seen": 0, "rows": row(&order_id, 1), "events": event(&order_id, &order_id)})
    };
    let units: Vec<Json> = (0..100).map(unit).collect();
    let committed: Vec<i64> = (0..100).filter(|number| *number != 7).collect();
    assert_eq!(commit(&shop, json!(units)).await.unwrap(), committed);
    assert_eq!(integer(&shop, "SELECT count(*) FROM delivery_row").await, 99);
    assert_eq!(integer(&shop, "SELECT count(*) FROM event").await, 100);
}

#[tokio::test]
async fn a_constraint_of_the_tables_undoes_the_whole_statement() {
    let shop = shop().await;
    // Two orders cannot have one delivery.
    let mut broken = row("b", 1);
    broken[0]["row"]["delivery_id"] = json!("delivery of a");
    let units = json!([{"rows": row("a", 1), "events": event("1", "a")}, {"rows": broken}]);
    let refused = commit(&shop, units).await.unwrap_err().to_string();
    assert!(refused.contains("UNIQUE constraint failed"), "{refused}");
    assert_eq!(integer(&shop, "SELECT count(*) FROM delivery_row").await, 0);
    assert_eq!(integer(&shop, "SELECT count(*) FROM event").await, 0);
}

#[tokio::test]
async fn an_event_is_never_changed() {
    let shop = shop().await;
    commit(&shop, json!([{"events": event("1", "a")}])).await.unwrap();
    let refused = shop.execute("UPDATE event SET type = 'OutOfStock'", ()).await.unwrap_err().to_string();
    assert!(refused.contains("an event is never changed"), "{refused}");
}
