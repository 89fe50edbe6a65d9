//! The routes of customer-center, against real SQLite.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use customer_center::{MyPages, http::routes};
use kernel::testing::{App, Native, event, id};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, sync::Arc};

/// What happens to an order that goes well.
const WAY: [&str; 5] = ["OrderPlaced", "PaymentCompleted", "StockDecreased", "DeliveryRequested", "DeliveryCompleted"];

async fn shop() -> (Arc<Native>, App<MyPages>) {
    let native = Native::new();
    let app = App::open(&native, routes).await;
    (native, app)
}

/// So many orders that a rebuild takes several batches.
fn orders(native: &Native, count: usize) {
    for number in 0..count {
        for event_type in WAY {
            native.append("another", event(event_type, &format!("order-{number:03}")));
        }
    }
}

async fn pages(app: &App<MyPages>) -> Json {
    app.get("/mypages?member_id=member-1&limit=100").await.body
}

#[tokio::test]
async fn a_page_shows_all_that_happened_to_its_order() {
    let (native, app) = shop().await;
    orders(&native, 1);
    let page = app.get("/mypages/order-000").await;
    assert_eq!((page.status, page.header("x-correlation-id")), (200, "order-000"));
    let statuses = ["/order_status", "/payment_status", "/delivery_status"].map(|status| page.text(status));
    assert_eq!(statuses, ["delivered", "completed", "completed"]);
    let timeline = page.body["timeline"].as_array().unwrap();
    let told: Vec<_> =
        timeline.iter().map(|entry| (entry["seq"].as_i64().unwrap(), entry["type"].as_str().unwrap())).collect();
    assert_eq!(told, (1..).zip(WAY).collect::<Vec<_>>());
    app.get("/mypages/nobody").await.assert_problem(404, "not-found");
}

#[tokio::test]
async fn pages_are_listed_by_member() {
    let (native, app) = shop().await;
    for number in 0..3 {
        native.append("order", event("OrderPlaced", &id(number)));
    }
    let first = app.get("/mypages?member_id=member-1&limit=2").await;
    let next = app.get(&format!("/mypages?member_id=member-1&after={}", first.text("/next"))).await;
    let found: Vec<_> = first.items().iter().chain(next.items()).map(|page| page["order_id"].clone()).collect();
    assert_eq!(found, [2, 1, 0].map(|number| Json::from(id(number))));
    assert_eq!(app.get("/mypages?member_id=nobody").await.items().len(), 0);
    assert_eq!(app.get("/mypages").await.items().len(), 3);
    app.call("DELETE", "/mypages", &[], None).await.assert_problem(405, "method-not-allowed");
    assert_eq!(native.scans(), []);
}

#[tokio::test]
async fn a_rebuild_comes_to_the_same_and_answers_meanwhile() {
    let (native, app) = shop().await;
    orders(&native, 60);
    let before = pages(&app).await;
    let etag = app.get("/mypages/order-007").await.headers["etag"].clone();
    for step in [
        "INSERT INTO customer_center_rebuild_commit",
        "customer_center_rebuild_row",
        "INSERT INTO customer_center_step",
    ] {
        let held = native.hold(step);
        let ask = async {
            held.reached().await;
            let meanwhile = pages(&app).await;
            held.release();
            meanwhile
        };
        let (rebuilt, meanwhile) = tokio::join!(app.post("/mypages/rebuild", json!({})), ask);
        assert_eq!((rebuilt.status, rebuilt.body), (200, json!({"mypages": 60, "cursor": 300})), "{step}");
        assert_eq!(meanwhile, before, "{step}");
        assert_eq!(pages(&app).await, before, "{step}");
    }
    assert_eq!(app.get("/mypages/order-007").await.headers["etag"], etag);
}

#[tokio::test]
async fn a_rebuild_mends_what_was_broken() {
    let (native, app) = shop().await;
    orders(&native, 2);
    let before = pages(&app).await;
    native.sql(
        "UPDATE customer_center_row SET row = json_set(row, '$.order_status', 'lost') WHERE id = 'order-001'",
        vec![],
    );
    native.sql("DELETE FROM customer_center_row WHERE id = 'order-000'", vec![]);
    assert_ne!(pages(&app).await, before);
    app.call("POST", "/mypages/rebuild", &[], None).await;
    assert_eq!(pages(&app).await, before);
}

#[tokio::test]
async fn what_happens_during_a_rebuild_is_not_lost() {
    let (native, app) = shop().await;
    orders(&native, 60);
    let held = native.hold("INSERT INTO customer_center_step");
    let happens = async {
        held.reached().await;
        let showing = native.hold("INSERT INTO customer_center_step");
        held.release();
        showing.reached().await;
        // The new pages are complete; the live ones now learn more.
        native.append("order", event("OrderCancelled", "order-000"));
        native.append("order", event("OrderPlaced", "order-new"));
        app.kernel.catch_up().await.unwrap();
        let live = app.get("/mypages/order-new").await.status;
        showing.release();
        live
    };
    let (rebuilt, live) = tokio::join!(app.post("/mypages/rebuild", json!({})), happens);
    assert_eq!((live, rebuilt.body), (200, json!({"mypages": 61, "cursor": 302})));
    assert_eq!(app.get("/mypages/order-000").await.body["timeline"].as_array().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_at_once_come_to_the_same() {
    let (native, app) = shop().await;
    orders(&native, 60);
    let before = pages(&app).await;
    let replica = App::<MyPages>::open(&native.replica(), routes).await;
    let rebuild = |app: &App<MyPages>| {
        let (native, router) = (native.clone(), app.router.clone());
        tokio::spawn(async move {
            kernel::testing::call(&native, &router, "POST", "/mypages/rebuild", &[], None).await.status
        })
    };
    let rebuilds = [rebuild(&app), rebuild(&replica), rebuild(&app)];
    for number in 60..80 {
        native.append("order", event("OrderPlaced", &format!("order-{number:03}")));
        assert_eq!(app.get(&format!("/mypages/order-{number:03}")).await.status, 200);
    }
    for rebuild in rebuilds {
        assert_eq!(rebuild.await.unwrap(), 200);
    }
    let after = pages(&app).await;
    assert_eq!(after["items"].as_array().unwrap()[20..], before["items"].as_array().unwrap()[..]);
    assert_eq!(native.integer("SELECT count(*) FROM customer_center_rebuild_row"), 0);
}

#[tokio::test]
async fn the_etag_of_a_page_changes_with_all_that_it_shows() {
    let (native, app) = shop().await;
    let mut etags = BTreeSet::new();
    let mut show = async |what: &str| {
        let page = app.get("/mypages/a").await;
        let again = app.call("GET", "/mypages/a", &[("if-none-match", page.header("etag"))], None).await;
        assert_eq!((page.status, again.status), (200, 304), "{what}");
        assert!(etags.insert(page.header("etag").to_owned()), "the same as before: {what}");
    };
    native.append("order", event("OrderPlaced", "a"));
    show("placed").await;
    native.sql(
        "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
        VALUES ('x', '/mealkit/payment', 'PaymentCompleted', 'a', '2026-01-01T10:00:00.000Z', 'a', 'c', 't', '{}')",
        vec![],
    );
    show("a payment that cannot be read").await;
    native.append("order", event("OrderCancelled", "a"));
    show("what waits behind it").await;
    assert_eq!(app.post("/internal/dead-letters/2/discard", json!({"reason": "a test"})).await.status, 200);
    show("what waited").await;
}

#[tokio::test]
async fn what_a_page_could_not_take_in_is_delayed_and_not_lost() {
    let (native, app) = shop().await;
    native.append("order", event("OrderPlaced", "a"));
    let poison = |id: &str, order: &str, kind: &str| {
        native.sql(
            "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
            VALUES (?1, '/mealkit/order', ?3, ?2, '2026-01-01T10:00:00.000Z', ?2, 'c', 't', '{}')",
            vec![id.into(), order.into(), kind.into()],
        );
    };
    poison("x", "a", "PaymentCompleted");
    native.append("order", event("OrderCancelled", "a"));
    poison("y", "b", "OrderPlaced");
    let timeline = |page: &Json| {
        let lines = page["timeline"].as_array().unwrap().iter();
        lines.map(|line| (line["seq"].clone(), line["type"].clone(), line["delayed"].clone())).collect::<Vec<_>>()
    };
    let page = app.get("/mypages/a").await;
    assert_eq!(
        timeline(&page.body),
        [
            (json!(1), json!("OrderPlaced"), Json::Null),
            (json!(2), json!("PaymentCompleted"), json!(true)),
            (json!(3), json!("OrderCancelled"), json!(true)),
        ]
    );
    assert_eq!((page.text("/order_status"), page.text("/timeline/1/at")), ("pending", "2026-01-01T10:00:00.000Z"));
    assert_eq!(timeline(&app.get("/mypages").await.items()[0]), timeline(&page.body));
    app.get("/mypages/b").await.assert_problem(503, "delayed");
    // A rebuild tries again, and what it cannot take in either stays delayed.
    app.call("POST", "/mypages/rebuild", &[], None).await;
    assert_eq!(timeline(&app.get("/mypages/a").await.body), timeline(&page.body));
    let discard = json!({"reason": "written by hand"});
    assert_eq!(app.post("/internal/dead-letters/2/discard", discard).await.status, 200);
    assert_eq!(app.get("/mypages/a").await.text("/order_status"), "cancelled");
}
