//! The routes of journal, against real SQLite, with product's real routes behind them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use axum::Router;
use journal::http::routes;
use kernel::{
    http,
    testing::{App, Native, Reply, call, event},
};
use product::Products;
use serde_json::{Value as Json, json};
use std::sync::Arc;

const URL: &str = "http://product.spin.internal";

struct Shop {
    native: Arc<Native>,
    journal: Router,
}

impl Shop {
    async fn open() -> Self {
        let native = Native::new();
        let product = App::<Products>::open(&native.replica(), product::http::routes).await;
        native.set_variable("product_url", URL);
        native.route(URL, product.router.clone());
        let journal = http::app(routes(native.clone()).await);
        Self { native, journal }
    }

    async fn get(&self, path: &str) -> Reply {
        call(&self.journal, "GET", path, &[], None).await
    }

    async fn post(&self, path: &str) -> Reply {
        call(&self.journal, "POST", path, &[], None).await
    }
}

fn sequences(reply: &Reply) -> Vec<i64> {
    reply.items().iter().map(|event| event["sequence"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn the_log_is_read_page_by_page_in_order() {
    let shop = Shop::open().await;
    for number in 0..5 {
        shop.native.append("order", event("OrderPlaced", &format!("order-{}", number % 2)));
    }
    let first = shop.get("/events?limit=3").await;
    assert_eq!((sequences(&first), first.text("/next")), (vec![1, 2, 3], "3"));
    let next = shop.get("/events?limit=3&after=3").await;
    assert_eq!((sequences(&next), &next.body["next"]), (vec![4, 5], &Json::Null));
    assert_eq!(sequences(&shop.get("/events?order_id=order-1").await), [2, 4]);
    assert_eq!(sequences(&shop.get("/events?order_id=order-0&after=1").await), [3, 5]);
    assert_eq!(sequences(&shop.get("/events?after=99").await), [0_i64; 0]);
    for query in ["after=x", "after=-1", "after=99999999999999999999", "since=1", "limit=3&limit=4"] {
        shop.get(&format!("/events?{query}")).await.assert_problem(400, "malformed");
    }
    assert_eq!(shop.native.scans(), []);
}

#[tokio::test]
async fn an_event_is_a_cloud_event() {
    let shop = Shop::open().await;
    shop.native.append("order", event("OrderPlaced", "a"));
    let events = shop.get("/events").await;
    let event = &events.items()[0];
    let fixed =
        ["specversion", "source", "type", "subject", "correlationid", "datacontenttype"].map(|name| &event[name]);
    assert_eq!(fixed, ["1.0", "/mealkit/order", "OrderPlaced", "a", "a", "application/json"]);
    assert_eq!(event["data"]["order_id"], "a");
    assert!(event["time"].as_str().unwrap().ends_with('Z') && event["traceparent"].is_string());
}

#[tokio::test]
async fn a_catch_up_goes_on_until_nothing_new_comes_of_it() {
    let shop = Shop::open().await;
    shop.native.append("payment", event("PaymentCompleted", "a"));
    let done = shop.post("/catch-up").await;
    assert_eq!((done.status, done.body), (200, json!({"contexts": {"product": {"cursor": 2, "lag": 0}}})));
    assert_eq!(shop.native.log_of("a"), ["PaymentCompleted", "OutOfStock"]);
}

#[tokio::test]
async fn a_catch_up_says_who_could_not() {
    let shop = Shop::open().await;
    shop.native.set_variable("order_url", "http://nobody.spin.internal");
    let journal = http::app(routes(shop.native.clone()).await);
    let failed = call(&journal, "POST", "/catch-up", &[], None).await;
    failed.assert_problem(503, "contexts-unavailable");
    assert!(failed.body["contexts"]["order"]["error"].is_string(), "{failed:?}");
    assert_eq!(failed.body["contexts"]["product"], json!({"cursor": 0, "lag": 0}));
}

#[tokio::test]
async fn a_bell_makes_the_contexts_look() {
    let shop = Shop::open().await;
    shop.native.append("payment", event("PaymentCompleted", "a"));
    assert_eq!(shop.post("/bell").await.status, 202);
    assert_eq!(shop.native.log_of("a"), ["PaymentCompleted", "OutOfStock"]);
    shop.native.fail("/internal/bell", "connection refused");
    assert_eq!(shop.post("/bell").await.status, 202, "a bell that is not heard does no harm");
}

#[tokio::test]
async fn bells_that_come_while_one_rings_are_merged() {
    let shop = Shop::open().await;
    let held = shop.native.hold("/internal/bell");
    let others = async {
        held.reached().await;
        for _ in 0..10 {
            assert_eq!(shop.post("/bell").await.status, 202);
        }
        held.release();
    };
    tokio::join!(shop.post("/bell"), others);
    assert_eq!(shop.native.calls("/internal/bell"), 2);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let shop = Shop::open().await;
    for path in ["/nothing", "/events/1", "/internal/charges", "/.well-known"] {
        shop.get(path).await.assert_problem(404, "not-found");
    }
    let wrong = shop.post("/events").await;
    wrong.assert_problem(405, "method-not-allowed");
    assert_eq!(wrong.header("allow"), "GET,HEAD");
    shop.get("/catch-up").await.assert_problem(405, "method-not-allowed");
    assert_eq!(shop.get("/").await.text("/name"), "mealkit");
}
