//! The unit of work: its conditions, one by one as `sql/context.sql` has them, then as the kernel uses them.

use crate::tally::{self, Refusal, Tallies, Tally};
use contracts::ids::OrderId;
use http::{HeaderValue, header};
use kernel::{
    Error, Failure, Kernel, Trace,
    http::Conditions,
    platform::PlatformError,
    platform::Value,
    testing::{Native, event},
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Inserts these units in one statement and returns which of them were committed.
fn commit(native: &Native, units: Json) -> Vec<i64> {
    let sql = "INSERT INTO tally_commit_v4 SELECT key, value ->> 'subject', value ->> 'seen', value ->> 'from_position', \
        value ->> 'to_position', value ->> 'conflicts', value -> 'keys', value -> 'letters', value -> 'rows', \
        value -> 'events' FROM json_each(?) RETURNING unit";
    let rows = native.sql(sql, vec![units.to_string().into()]);
    rows.iter().map(|row| row[0].integer().unwrap()).collect()
}

fn row(id: &str, version: i64, taken: i64) -> Json {
    json!([{"kind": "tally", "id": id, "was": version - 1, "version": version, "row": {"order_id": id, "taken": taken, "closed": false}}])
}

fn appended(id: &str) -> Json {
    json!([{"id": uuid::Uuid::now_v7(), "source": "/mealkit/tally", "type": "OrderPlaced", "version": 1, "subject": id, "time": "now",
        "correlation_id": id, "causation_id": "c", "traceparent": "t", "data": {}}])
}

async fn world() -> (Arc<Native>, Arc<Kernel<Tallies>>) {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    (native, kernel)
}

fn rows(native: &Native) -> Vec<(String, i64)> {
    let rows = native.sql("SELECT id, row ->> 'taken' FROM tally_row ORDER BY id", vec![]);
    rows.iter().map(|row| (row[0].text().unwrap().to_owned(), row[1].integer().unwrap())).collect()
}

#[tokio::test]
async fn an_unseen_event_about_the_subject_refuses_the_unit() {
    let (native, _) = world().await;
    let seen = native.append("product", event("StockDecreased", "a"));
    let unit = |subject: &str, seen: i64| json!([{"subject": subject, "seen": seen, "rows": row(subject, 1, 7)}]);
    assert_eq!(commit(&native, unit("a", seen - 1)), [0_i64; 0]);
    assert_eq!(rows(&native), []);
    assert_eq!(commit(&native, unit("a", seen)), [0], "seen");
    assert_eq!(commit(&native, unit("b", seen - 1)), [0], "about something else");
}

#[tokio::test]
async fn events_of_types_that_the_context_neither_reads_nor_writes_refuse_nothing() {
    let (native, _) = world().await;
    native.append("marketing", event("Notified", "a"));
    assert_eq!(commit(&native, json!([{"subject": "a", "seen": 0, "rows": row("a", 1, 7)}])), [0]);
    native.append("tally", event("OrderPlaced", "a"));
    assert_eq!(commit(&native, json!([{"subject": "a", "seen": 1, "rows": row("a", 2, 8)}])), [0_i64; 0], "its own");
}

#[tokio::test]
async fn a_row_of_another_version_refuses_the_unit() {
    let (native, _) = world().await;
    let unit = |version: i64| json!([{"rows": row("a", version, version), "events": appended("a")}]);
    assert_eq!(commit(&native, unit(2)), [0_i64; 0], "there is no row yet");
    assert_eq!(commit(&native, unit(1)), [0]);
    assert_eq!(commit(&native, unit(1)), [0_i64; 0], "somebody was faster");
    assert_eq!(commit(&native, unit(2)), [0]);
    assert_eq!(rows(&native), [("a".to_owned(), 2)]);
    assert_eq!(native.log_of("a").len(), 2, "state and events stand or fall together");
}

#[tokio::test]
async fn a_skipped_unit_stops_those_behind_it_on_the_same_cursor() {
    let (native, _) = world().await;
    let step = |from: i64, to: i64, row: Json| json!({"from_position": from, "to_position": to, "rows": row});
    let units = json!([step(0, 1, row("a", 1, 1)), step(1, 2, row("b", 5, 1)), step(2, 3, row("c", 1, 1))]);
    assert_eq!(commit(&native, units), [0], "b has no version 4, so c must wait");
    assert_eq!(rows(&native), [("a".to_owned(), 1)]);
    assert_eq!(native.integer("SELECT position FROM consumer WHERE name = 'tally'"), 1);
}

#[tokio::test]
async fn many_units_are_committed_in_one_statement_each_on_top_of_the_others() {
    let (native, _) = world().await;
    let units: Vec<Json> = (1..=100)
        .map(|n| json!({"from_position": n - 1, "to_position": n, "rows": row("a", n, n), "events": appended("a")}))
        .collect();
    assert_eq!(commit(&native, json!(units)).len(), 100);
    assert_eq!(rows(&native), [("a".to_owned(), 100)]);
    assert_eq!(
        (native.log_of("a").len(), native.integer("SELECT position FROM consumer WHERE name = 'tally'")),
        (100, 100)
    );
}

#[tokio::test]
async fn units_of_independent_commands_are_skipped_one_by_one() {
    let (native, _) = world().await;
    native.append("product", event("StockDecreased", "b"));
    let unit = |id: &str| json!({"subject": id, "seen": 0, "rows": row(id, 1, 1), "events": appended(id)});
    assert_eq!(commit(&native, json!([unit("a"), unit("b"), unit("c")])), [0, 2]);
    assert_eq!((native.log_of("a").len(), native.log_of("b").len(), native.log_of("c").len()), (1, 1, 1));
}

#[tokio::test]
async fn a_constraint_of_the_tables_undoes_the_whole_statement() {
    let (native, kernel) = world().await;
    let units = json!([{"rows": row("a", 1, 1), "events": appended("a")}, {"rows": row("b", 1, 1_000)}]);
    let sql = "INSERT INTO tally_commit_v4 (unit, rows, events) SELECT key, value -> 'rows', value -> 'events' \
        FROM json_each(?) RETURNING unit";
    let refused = kernel.query(sql, vec![units.to_string().into()]).await;
    assert!(matches!(refused, Err(Error::Database(PlatformError::Failed(_)))), "{refused:?}");
    assert_eq!((rows(&native), native.log()), (vec![], vec![]));
}

#[tokio::test]
async fn an_event_is_never_changed() {
    let (native, kernel) = world().await;
    native.append("product", event("StockDecreased", "a"));
    let refused = kernel.query("UPDATE event SET type = 'OutOfStock'", vec![]).await;
    assert!(matches!(refused, Err(Error::Database(PlatformError::Failed(m))) if m.contains("never changed")));
}

#[tokio::test]
async fn a_command_decides_again_when_something_came_in_between() {
    let (native, kernel) = world().await;
    tally::place(&kernel, "a").await.unwrap();
    let held = native.hold("INSERT INTO tally_commit");
    let closing = tokio::spawn(async move { tally::close(&kernel, "a").await });
    held.reached().await;
    // The decision to close knows nothing of this.
    native.append("product", event("StockDecreased", "a"));
    held.release();
    let refused = closing.await.unwrap();
    assert!(matches!(refused, Err(Failure::Refused(Refusal::Taken))), "{refused:?}");
    assert_eq!(native.log_of("a"), ["OrderPlaced", "StockDecreased"]);
}

#[tokio::test]
async fn of_two_racing_decisions_about_one_order_one_wins() {
    let (native, _) = world().await;
    for number in 0..20 {
        let id = format!("order-{number}");
        let open = async || {
            let replica = native.replica();
            // Long enough for the other one to decide, too.
            replica.set_variable("commit_delay_ms", "3");
            tally::open(&replica).await
        };
        let (one, other) = (open().await, open().await);
        let (one, other) = tokio::join!(tally::place(&one, &id), tally::place(&other, &id));
        assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
        assert_eq!(native.log_of(&id), ["OrderPlaced"]);
    }
}

#[tokio::test]
async fn whoever_expects_another_version_is_told() {
    let (_, kernel) = world().await;
    tally::place(&kernel, "a").await.unwrap();
    let close = async |version| {
        let command = tally::Command::Close(OrderId::new("a"));
        let headers = [(header::IF_MATCH, HeaderValue::from_static(version))].into_iter().collect();
        let trace = Trace::own().under(Conditions::of_request(&headers).unwrap());
        kernel.execute(command, &trace).await
    };
    assert!(matches!(close("\"2\"").await, Err(Failure::Stale { actual: Some(1) })));
    assert_eq!(close("\"0\", \"1\"").await.unwrap().state.version, 2);
}

#[tokio::test]
async fn a_command_that_finds_all_done_changes_nothing() {
    let (native, kernel) = world().await;
    tally::close(&kernel, "a").await.unwrap();
    let again = tally::close(&kernel, "a").await.unwrap();
    assert_eq!((again.events, again.state.version), (vec![], 1));
    assert_eq!(native.log_of("a"), ["OrderCancelled"]);
}

#[tokio::test]
async fn a_lost_answer_of_a_commit_leaves_all_or_nothing() {
    let (native, kernel) = world().await;
    native.lose_answer("INSERT INTO tally_commit", "connection reset");
    assert!(tally::place(&kernel, "a").await.is_err());
    assert_eq!(kernel.find::<Tally>(&OrderId::new("a")).await.unwrap().unwrap().version, 1);
    assert_eq!(native.log_of("a"), ["OrderPlaced"]);
    native.fail("INSERT INTO tally_commit", "database or disk is full");
    let failed = tally::place(&kernel, "b").await;
    assert!(matches!(failed, Err(Failure::Failed(Error::Database(PlatformError::Unavailable(_))))), "{failed:?}");
    assert_eq!((kernel.find::<Tally>(&OrderId::new("b")).await.unwrap(), native.log_of("b").len()), (None, 0));
}

#[tokio::test]
async fn rows_and_events_take_any_text() {
    let (native, _) = world().await;
    let id = "'; DROP TABLE event; -- \"quoted\" \\ 한글 🍲 $.a[0] %_";
    assert_eq!(
        commit(&native, json!([{"subject": id, "seen": 0, "rows": row(id, 1, 1), "events": appended(id)}])),
        [0]
    );
    assert_eq!((rows(&native), native.log_of(id).len()), (vec![(id.to_owned(), 1)], 1));
    assert_eq!(native.sql("SELECT subject FROM event", vec![]), [[Value::from(id)]]);
}

#[tokio::test]
async fn what_a_request_made_happen_is_known_to_its_trace() {
    let (_, kernel) = world().await;
    let trace = Trace::own();
    let id = OrderId::new("a");
    let placed = kernel.execute(tally::Command::Place(id.clone()), &trace).await.unwrap();
    let next = trace.following(&placed.events[0]);
    kernel.execute(tally::Command::Close(id.clone()), &next).await.unwrap();
    assert_eq!(trace.events(), ["OrderPlaced", "OrderCancelled"]);
    assert_eq!(next.causation_id, placed.events[0].id);
}
