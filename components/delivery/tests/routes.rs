//! The routes of delivery, against real SQLite.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use delivery::{Deliveries, http::routes};
use kernel::testing::{App, Native, Reply, event, id};
use serde_json::{Value as Json, json};
use std::sync::Arc;

async fn shop() -> (Arc<Native>, App<Deliveries>) {
    let native = Native::new();
    let app = App::open(&native, routes).await;
    (native, app)
}

/// Requests the delivery of an order and returns its id.
async fn requested(native: &Native, app: &App<Deliveries>, order: &str) -> String {
    native.append("payment", event("PaymentCompleted", order));
    let found = app.get(&format!("/deliveries?order_id={order}")).await;
    assert_eq!((found.items().len(), &found.items()[0]["status"]), (1, &json!("requested")));
    found.items()[0]["id"].as_str().unwrap().to_owned()
}

async fn complete(app: &App<Deliveries>, id: &str) -> Reply {
    app.call("POST", &format!("/deliveries/{id}/complete"), &[], None).await
}

#[tokio::test]
async fn a_delivery_is_completed_once_its_kits_are_there() {
    let (native, app) = shop().await;
    let id = requested(&native, &app, "a").await;
    complete(&app, &id).await.assert_problem(409, "not-stocked");
    native.append("product", event("StockDecreased", "a"));
    let done = complete(&app, &id).await;
    assert_eq!((done.status, done.text("/status"), done.header("x-correlation-id")), (200, "completed", "a"));
    let again = app.post(&format!("/deliveries/{id}/complete"), json!({})).await;
    assert_eq!((again.status, &again.body, again.header("etag")), (200, &done.body, done.header("etag")));
    assert_eq!(app.get(&format!("/deliveries/{id}")).await.body, done.body);
    assert_eq!(native.log_of("a"), ["PaymentCompleted", "DeliveryRequested", "StockDecreased", "DeliveryCompleted"]);
}

#[tokio::test]
async fn only_the_delivery_that_is_meant_is_completed() {
    let (native, app) = shop().await;
    let id = requested(&native, &app, "a").await;
    let seen = app.get(&format!("/deliveries/{id}")).await;
    native.append("product", event("StockDecreased", "a"));
    let complete =
        async |etag: &str| app.call("POST", &format!("/deliveries/{id}/complete"), &[("if-match", etag)], None).await;
    complete(seen.header("etag")).await.assert_problem(412, "stale");
    assert_eq!(native.log_of("a").last().unwrap(), "StockDecreased");
    let seen = app.get(&format!("/deliveries/{id}")).await;
    assert_eq!(complete(seen.header("etag")).await.text("/status"), "completed");
}

#[tokio::test]
async fn a_cancelled_order_is_not_delivered() {
    let (native, app) = shop().await;
    let id = requested(&native, &app, "a").await;
    native.append("product", event("StockDecreased", "a"));
    native.append("order", event("OrderCancelled", "a"));
    complete(&app, &id).await.assert_problem(409, "cancelled");
    assert_eq!(native.log_of("a").last().unwrap(), "DeliveryCancelled");
}

#[tokio::test]
async fn a_completion_that_races_a_cancellation_loses() {
    let (native, app) = shop().await;
    let id = requested(&native, &app, "a").await;
    native.append("product", event("StockDecreased", "a"));
    app.get("/deliveries").await;
    let held = native.hold("INSERT INTO delivery_commit");
    let cancel = async {
        held.reached().await;
        native.append("order", event("OrderCancelled", "a"));
        held.release();
    };
    let (answer, ()) = tokio::join!(complete(&app, &id), cancel);
    answer.assert_problem(409, "cancelled");
    assert!(!native.log_of("a").contains(&"DeliveryCompleted".to_owned()));
}

#[tokio::test]
async fn an_order_that_was_cancelled_first_is_never_requested() {
    let (native, app) = shop().await;
    native.append("order", event("OrderCancelled", "a"));
    native.append("payment", event("PaymentCompleted", "a"));
    assert_eq!(app.get("/deliveries").await.items(), [Json::Null; 0]);
    assert_eq!(native.log_of("a"), ["OrderCancelled", "PaymentCompleted"]);
}

#[tokio::test]
async fn deliveries_are_listed_and_found() {
    let (native, app) = shop().await;
    for number in 0..3 {
        requested(&native, &app, &id(number)).await;
    }
    let first = app.get("/deliveries?limit=2").await;
    let next = app.get(&format!("/deliveries?limit=2&after={}", first.text("/next"))).await;
    assert_eq!((first.items().len(), next.items().len(), &next.body["next"]), (2, 1, &Json::Null));
    complete(&app, "nobody").await.assert_problem(404, "not-found");
    app.get("/deliveries/nobody").await.assert_problem(404, "not-found");
    app.post("/deliveries/nobody/complete", json!({"x": 1})).await.assert_problem(400, "malformed");
    let wrong = app.get("/deliveries/nobody/complete").await;
    wrong.assert_problem(405, "method-not-allowed");
    assert_eq!(wrong.header("allow"), "POST");
    app.call("PUT", "/deliveries", &[], None).await.assert_problem(405, "method-not-allowed");
    assert_eq!(native.scans(), []);
}
