//! Payment and a gateway of its own mind: whatever happens between the two, their books agree in the end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use kernel::testing::{App, Native, Reply, event, event_with};
use payment::{Payments, http::routes};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

const CARD: &str = "4111111111111111";
const URL: &str = "http://gateway.test";

/// The gateway's books: what became of the order's charge, and how often money was moved for it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    status: String,
    charged: u32,
    refunded: u32,
}

type Books = Arc<Mutex<BTreeMap<String, Entry>>>;

async fn charge(State(books): State<Books>, headers: HeaderMap, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let order = body["order_id"].as_str().unwrap().to_owned();
    assert_eq!(headers["idempotency-key"], order.as_str());
    assert_eq!(headers["authorization"], "Bearer sesame");
    assert_eq!((&body["currency"], &body["card_number"]), (&json!("KRW"), &json!(CARD)));
    let mut books = books.lock().unwrap();
    let entry = books.entry(order).or_default();
    if entry.status.is_empty() {
        let approved = body["amount"].as_u64().unwrap() < 1_000_000;
        entry.status = if approved { "approved" } else { "declined" }.into();
        entry.charged += u32::from(approved);
    }
    let status = if entry.status == "cancelled" { StatusCode::CONFLICT } else { StatusCode::OK };
    (status, Json(said(entry)))
}

async fn look_up(State(books): State<Books>, Path(order): Path<String>) -> Result<Json<Value>, StatusCode> {
    books.lock().unwrap().get(&order).map(said).map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn cancel(State(books): State<Books>, Path(order): Path<String>) -> Json<Value> {
    let mut books = books.lock().unwrap();
    let entry = books.entry(order).or_default();
    entry.refunded += u32::from(entry.status == "approved");
    entry.status = "cancelled".into();
    Json(said(entry))
}

fn said(entry: &Entry) -> Value {
    match entry.status.as_str() {
        "approved" => json!({"status": "approved", "approval_number": "G-1"}),
        "declined" => json!({"status": "declined", "reason": "insufficient_funds"}),
        _ => json!({"status": "cancelled"}),
    }
}

struct World {
    native: Arc<Native>,
    app: App<Payments>,
    books: Books,
}

impl World {
    async fn open() -> Self {
        let (native, books) = (Native::new(), Books::default());
        native.set_variable("payment_gateway_url", URL);
        native.set_variable("payment_gateway_token", "sesame");
        let gateway = Router::new()
            .route("/charges", post(charge))
            .route("/charges/{order}", get(look_up))
            .route("/charges/{order}/cancel", post(cancel))
            .with_state(books.clone());
        native.route(URL, gateway);
        let app = App::open(&native, routes).await;
        Self { native, app, books }
    }

    /// The order is placed, if it was not, and payment is asked to charge it.
    async fn charge(&self, order: &str, amount: u64) -> Reply {
        let placed = json!({
            "order_id": order, "member_id": "member-1", "seller_id": "seller-1", "product_id": "kit-1",
            "product_name": "Bibimbap", "quantity": 2, "unit_price": 12_000, "amount": amount,
            "address": "1 Sejong-daero, Seoul", "card": "**** 1111", "card_owner": "Kim Mina",
        });
        if self.native.log_of(order).is_empty() {
            self.native.append("order", event_with("OrderPlaced", order, placed.clone()));
        }
        self.app.post("/internal/charges", json!({"order": placed, "card_number": CARD})).await
    }

    /// What has happened to the order since it was placed.
    fn follows(&self, order: &str) -> Vec<String> {
        self.native.log_of(order).into_iter().filter(|event_type| event_type != "OrderPlaced").collect()
    }

    /// The periodic catch-up comes, some seconds later.
    async fn settle(&self) {
        self.native.advance(Duration::from_secs(2));
        assert_eq!(self.app.call("POST", "/internal/settle", &[], None).await.status, 200);
    }

    fn entry(&self, order: &str) -> Option<Entry> {
        self.books.lock().unwrap().get(order).cloned()
    }

    fn open_at_the_gateway(&self) -> i64 {
        let sql = "SELECT (SELECT count(*) FROM payment_row WHERE row ->> 'cancel_due') + (SELECT count(*) FROM event \
            WHERE type = 'OrderPlaced' AND NOT EXISTS (SELECT 1 FROM payment_row WHERE id = subject))";
        self.native.integer(sql)
    }

    fn closed(&self, order: &str, charged: u32) {
        let entry = Entry { status: "cancelled".into(), charged, refunded: charged };
        assert_eq!((self.entry(order), self.open_at_the_gateway()), (Some(entry), 0));
    }
}

#[tokio::test]
async fn it_is_charged_there_and_written_down_here() {
    let world = World::open().await;
    let paid = world.charge("a", 24_000).await;
    assert_eq!((paid.status, paid.text("/status"), paid.text("/approval_number")), (200, "completed", "G-1"));
    let declined = world.charge("b", 1_000_000).await;
    assert_eq!((declined.status, declined.text("/reason")), (200, "insufficient_funds"));
    world.charge("a", 24_000).await;
    assert_eq!(world.entry("a").unwrap().charged, 1);
    assert!(!world.native.everything().contains(CARD) && !world.native.everything().contains("sesame"));
    world.settle().await;
    assert_eq!(world.native.calls("/cancel") + world.native.calls("GET http"), 0, "nothing is left to be done");
}

#[tokio::test]
async fn nothing_is_written_before_the_gateway_is_asked() {
    let world = World::open().await;
    world.charge("a", 1).await;
    assert_eq!(world.native.calls("INSERT INTO payment_commit"), 1, "that it is to be charged stands in the log");
}

#[tokio::test]
async fn the_log_is_looked_through_once() {
    let world = World::open().await;
    let bookmark = || world.native.integer("SELECT position FROM consumer WHERE name = 'payment-settlement'");
    world.charge("a", 1).await;
    world.native.fail("POST http://gateway.test/charges", "connection refused");
    world.charge("b", 1).await;
    world.charge("c", 1).await;
    world.settle().await;
    assert_eq!(bookmark(), 2, "b has no payment");
    // Nor will it ever have one: order gives up.
    world.native.append("order", event("OrderRejected", "b"));
    world.app.kernel.catch_up().await.unwrap();
    world.settle().await;
    assert_eq!(bookmark(), world.native.integer("SELECT max(seq) FROM event"));
    world.closed("b", 0);
}

#[tokio::test]
async fn what_is_archived_before_it_was_settled_is_told() {
    let world = World::open().await;
    world.native.lose_answer("POST http://gateway.test/charges", "connection reset");
    world.charge("a", 1).await;
    for _ in 0..2 {
        world.settle().await;
    }
    world.app.kernel.rest().await.unwrap();
    world.native.sql("UPDATE log_archive SET archived_to = 1", vec![]);
    let settled = world.app.call("POST", "/internal/settle", &[], None).await;
    assert_eq!(settled.status, 200, "the bookmark lies behind it: a was looked up");
    world.native.sql("UPDATE consumer SET position = 0 WHERE name = 'payment-settlement'", vec![]);
    world.app.call("POST", "/internal/settle", &[], None).await.assert_problem(409, "archived");
}

#[tokio::test]
async fn a_payment_that_a_build_before_this_one_only_asked_for_is_settled() {
    let world = World::open().await;
    let asked = json!({"order_id": "a", "payment_id": "p-1", "member_id": "member-1", "product_id": "kit-1",
        "amount": 24_000, "status": "requested", "approval_number": null, "card": "**** 1111",
        "card_owner": "Kim Mina", "reason": null, "intent": {"payment_id": "p-1"}, "cancel_due": false,
        "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z"});
    let row = "INSERT INTO payment_row (id, kind, version, row) VALUES ('a', 'payment', 1, ?)";
    world.native.sql(row, vec![asked.to_string().into()]);
    world.native.append("order", event_with("OrderPlaced", "a", json!({"card": null, "card_owner": null})));
    world.books.lock().unwrap().insert("a".into(), Entry { status: "approved".into(), charged: 1, refunded: 0 });
    assert_eq!(world.app.get("/payments").await.items(), [Value::Null; 0]);
    world.settle().await;
    let payments = world.app.get("/payments?order_id=a").await;
    let paid = &payments.items()[0];
    assert_eq!((&paid["card"], &paid["status"]), (&json!("**** 1111"), &json!("completed")));
}

#[tokio::test]
async fn a_charge_whose_answer_nobody_got_is_looked_up() {
    let world = World::open().await;
    world.native.lose_answer("POST http://gateway.test/charges", "connection reset");
    world.charge("a", 24_000).await.assert_problem(502, "gateway-unavailable");
    assert_eq!((world.follows("a").len(), world.open_at_the_gateway()), (0, 1));
    assert_eq!(world.app.get("/payments").await.items(), [Value::Null; 0], "nobody sees what is not known");
    world.settle().await;
    assert_eq!((world.follows("a"), world.open_at_the_gateway()), (vec!["PaymentCompleted".into()], 0));
    let payments = world.app.get("/payments?order_id=a").await;
    let payment = &payments.items()[0];
    assert_eq!((&payment["card"], &payment["approval_number"]), (&json!("**** 1111"), &json!("G-1")));
    assert_eq!(world.entry("a").unwrap(), Entry { status: "approved".into(), charged: 1, refunded: 0 });
}

#[tokio::test]
async fn a_power_cut_between_charge_and_commit_loses_no_money() {
    let world = World::open().await;
    // As when the process is gone by then.
    world.native.fail("INSERT INTO payment_commit", "disk I/O error");
    assert_eq!(world.charge("a", 24_000).await.status, 503);
    assert_eq!((world.follows("a").len(), world.entry("a").unwrap().charged), (0, 1));
    world.settle().await;
    assert_eq!(world.follows("a"), ["PaymentCompleted"]);
}

#[tokio::test]
async fn an_order_that_was_given_up_while_it_was_charged_gets_its_money_back() {
    let world = World::open().await;
    let held = world.native.hold_answer("POST http://gateway.test/charges");
    let give_up = async {
        held.reached().await;
        world.native.append("order", event("OrderRejected", "a"));
        held.release();
    };
    let (answer, ()) = tokio::join!(world.charge("a", 24_000), give_up);
    answer.assert_problem(409, "order-closed");
    assert_eq!(world.follows("a"), ["OrderRejected"]);
    world.settle().await;
    world.closed("a", 1);
    world.settle().await;
    world.closed("a", 1);
}

#[tokio::test]
async fn a_charge_that_comes_after_its_cancellation_is_given_back_or_refused() {
    let world = World::open().await;
    let held = world.native.hold("POST http://gateway.test/charges");
    let close = async {
        held.reached().await;
        world.native.append("order", event("OrderRejected", "a"));
        world.settle().await;
        world.closed("a", 0);
        held.release();
    };
    let (answer, ()) = tokio::join!(world.charge("a", 24_000), close);
    answer.assert_problem(409, "order-closed");
    world.settle().await;
    world.closed("a", 0);
    // A gateway without a memory for cancellations of what it does not know.
    let held = world.native.hold("POST http://gateway.test/charges");
    let close = async {
        held.reached().await;
        world.native.append("order", event("OrderRejected", "b"));
        world.settle().await;
        world.books.lock().unwrap().remove("b");
        held.release();
    };
    let (answer, ()) = tokio::join!(world.charge("b", 24_000), close);
    answer.assert_problem(409, "order-closed");
    assert_eq!(world.entry("b").unwrap().charged, 1);
    world.settle().await;
    world.closed("b", 1);
}

#[tokio::test]
async fn a_refund_is_made_once_however_often_it_has_to_be_tried() {
    let world = World::open().await;
    world.charge("a", 24_000).await;
    world.native.append("order", event("OrderCancelled", "a"));
    world.native.fail("/cancel", "connection refused");
    world.settle().await;
    assert_eq!(world.follows("a").last().unwrap(), "PaymentCancelled");
    assert_eq!((world.entry("a").unwrap().refunded, world.open_at_the_gateway()), (0, 1));
    world.native.lose_answer("/cancel", "connection reset");
    world.settle().await;
    assert_eq!((world.entry("a").unwrap().refunded, world.open_at_the_gateway()), (1, 1), "done, but not known");
    world.settle().await;
    world.closed("a", 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_no_answer() {
    let world = World::open().await;
    for (path, answer) in [
        ("teapot", (StatusCode::IM_A_TEAPOT, "{}")),
        ("text", (StatusCode::OK, "approved")),
        ("other", (StatusCode::OK, r#"{"status": "pending"}"#)),
    ] {
        let url = format!("http://{path}.test");
        world.native.route(&url, Router::new().fallback(async move || answer));
        world.native.set_variable("payment_gateway_url", &url);
        world.charge(path, 1).await.assert_problem(502, "gateway-unavailable");
        world.settle().await;
        assert_eq!(world.follows(path), [""; 0]);
    }
    assert_eq!(world.open_at_the_gateway(), 3);
}

#[tokio::test]
async fn a_gateway_that_takes_too_long_is_given_up() {
    let world = World::open().await;
    world.native.set_variable("gateway_timeout_ms", "100");
    let held = world.native.hold("POST http://gateway.test/charges");
    world.charge("a", 1).await.assert_problem(502, "gateway-unavailable");
    held.release();
    assert_eq!(world.open_at_the_gateway(), 1);
}

#[tokio::test]
async fn operators_see_what_is_open() {
    let world = World::open().await;
    world.native.fail("POST http://gateway.test/charges", "connection refused");
    world.charge("a", 1).await;
    world.native.advance(Duration::from_secs(2));
    let figures = world.app.get("/internal/metrics").await;
    let open: Vec<_> =
        figures.body.as_array().unwrap().iter().filter(|f| f["name"] == "mealkit_gateway_open").collect();
    let count = |kind: &str| open.iter().find(|f| f["labels"]["kind"] == kind).unwrap()["value"].as_i64().unwrap();
    assert_eq!((count("charge"), count("cancel")), (1, 0));
}
