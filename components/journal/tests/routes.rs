//! The routes of journal, against real SQLite, with product's real routes behind them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use axum::Router;
use journal::http::routes;
use kernel::testing::{App, Native, Reply, call, event, guarded};
use product::Products;
use serde_json::{Value as Json, json};
use std::sync::Arc;

const URL: &str = "http://product.spin.internal";
const PRODUCT: &str = "product = http://product.spin.internal\n";

struct Shop {
    native: Arc<Native>,
    journal: Router,
}

impl Shop {
    async fn open() -> Self {
        let native = Native::new();
        let product = App::<Products>::open(&native.replica(), product::http::routes).await;
        native.set_variable("contexts", PRODUCT);
        native.route(URL, product.router.clone());
        let journal = guarded(&native, routes(native.clone()).await);
        Self { native, journal }
    }

    async fn get(&self, path: &str) -> Reply {
        call(&self.native, &self.journal, "GET", path, &[], None).await
    }

    async fn post(&self, path: &str) -> Reply {
        call(&self.native, &self.journal, "POST", path, &[], None).await
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
    for query in
        ["after=x", "after=-1", "after=%2B1", "after=01", "after=99999999999999999999", "since=1", "limit=3&limit=4"]
    {
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
    shop.native.set_variable("contexts", &format!("{PRODUCT}order = http://nobody.spin.internal\n"));
    let journal = guarded(&shop.native, routes(shop.native.clone()).await);
    let failed = call(&shop.native, &journal, "POST", "/catch-up", &[], None).await;
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

/// An event that no context can read, about this order.
fn poison(shop: &Shop, order: &str) {
    shop.native.sql(
        "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
        VALUES (?1, '/mealkit/payment', 'PaymentCompleted', ?1, 'now', ?1, 'c', 't', '{\"shape\": 1}')",
        vec![order.into()],
    );
}

#[tokio::test]
async fn dead_letters_of_all_contexts_are_in_one_list() {
    let shop = Shop::open().await;
    let order = App::<order::Orders>::open(&shop.native.replica(), order::http::routes).await;
    shop.native.set_variable("contexts", &format!("{PRODUCT}order = http://order.spin.internal\n"));
    shop.native.route("http://order.spin.internal", order.router.clone());
    let journal = guarded(&shop.native, routes(shop.native.clone()).await);
    let ids = |reply: &Reply| reply.items().iter().map(|letter| letter["id"].clone()).collect::<Vec<_>>();
    for name in ["a", "b", "c"] {
        poison(&shop, name);
    }
    call(&shop.native, &journal, "POST", "/catch-up", &[], None).await;
    let all = call(&shop.native, &journal, "GET", "/dead-letters", &[], None).await;
    assert_eq!(ids(&all), ["product-1", "product-2", "product-3", "order-1", "order-2", "order-3"]);
    let letter = &all.items()[0];
    assert_eq!((&letter["status"], &letter["tries"], &letter["subject"]), (&json!("retrying"), &json!(1), &json!("a")));
    assert!(letter["error"].as_str().unwrap().contains("missing field"), "{letter}");
    assert!(letter["next_try_at"].as_str().unwrap().ends_with('Z'));
    let page = call(&shop.native, &journal, "GET", "/dead-letters?limit=4", &[], None).await;
    assert_eq!((page.items().len(), page.text("/next")), (4, "order-1"));
    let rest = call(&shop.native, &journal, "GET", "/dead-letters?limit=4&after=order-1", &[], None).await;
    assert_eq!((ids(&rest), &rest.body["next"]), (vec![json!("order-2"), json!("order-3")], &Json::Null));
    assert_eq!(
        ids(&call(&shop.native, &journal, "GET", "/dead-letters?context=order&after=order-2", &[], None).await),
        ["order-3"]
    );
    assert_eq!(
        ids(&call(&shop.native, &journal, "GET", "/dead-letters?status=dead", &[], None).await),
        [Json::Null; 0]
    );
    for wrong in ["context=nobody", "status=lost"] {
        call(&shop.native, &journal, "GET", &format!("/dead-letters?{wrong}"), &[], None)
            .await
            .assert_problem(422, "invalid");
    }
    for wrong in ["after=x", "after=product-x", "after=product-01", "after=nobody-1", "order_id=a"] {
        call(&shop.native, &journal, "GET", &format!("/dead-letters?{wrong}"), &[], None)
            .await
            .assert_problem(400, "malformed");
    }
}

#[tokio::test]
async fn a_dead_letter_is_retried_or_discarded_with_a_reason() {
    let shop = Shop::open().await;
    poison(&shop, "a");
    poison(&shop, "b");
    shop.post("/catch-up").await;
    let again = shop.post("/dead-letters/product-1/retry").await;
    assert_eq!((again.status, again.text("/status"), &again.body["tries"]), (200, "retrying", &json!(2)));
    let discard = async |id: &str, body: Json| {
        call(&shop.native, &shop.journal, "POST", &format!("/dead-letters/{id}/discard"), &[], Some(body)).await
    };
    for body in [json!({}), json!({"reason": ""}), json!({"reason": "x".repeat(501)})] {
        discard("product-1", body).await.assert_problem(422, "invalid");
    }
    discard("product-1", json!({"reason": 7})).await.assert_problem(400, "malformed");
    let done = discard("product-1", json!({"reason": "made good by hand"})).await;
    assert_eq!((done.status, done.text("/status"), done.text("/reason")), (200, "discarded", "made good by hand"));
    discard("product-1", json!({"reason": "again"})).await.assert_problem(409, "letter-closed");
    for id in ["product-9", "nobody-1", "product", "product-x", "product-99999999999999999999"] {
        shop.post(&format!("/dead-letters/{id}/retry")).await.assert_problem(404, "not-found");
    }
    let discarded = shop.get("/dead-letters?status=discarded").await;
    assert_eq!(discarded.items()[0]["reason"], "made good by hand");
}

#[tokio::test]
async fn it_lives_whatever_it_depends_on() {
    let shop = Shop::open().await;
    shop.native.fail_always("", "unable to open database file");
    let journal = guarded(&shop.native, routes(shop.native.clone()).await);
    assert_eq!(call(&shop.native, &journal, "GET", "/health/live", &[], None).await.status, 200);
    let ready = call(&shop.native, &journal, "GET", "/health/ready", &[], None).await;
    ready.assert_problem(503, "not-ready");
    shop.native.heal();
    assert_eq!(call(&shop.native, &journal, "GET", "/health/ready", &[], None).await.status, 200, "by itself");
}

#[tokio::test]
async fn it_is_ready_when_everything_is_and_else_says_what_is_not() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/health/ready").await.body, json!({"status": "ready"}));
    let reasons = async || {
        let answer = shop.get("/health/ready").await;
        answer.assert_problem(503, "not-ready");
        assert!(answer.headers.contains_key("retry-after"));
        answer.body["reasons"].to_string()
    };
    shop.native.fail("UPDATE schema_version", "attempt to write a readonly database");
    assert!(reasons().await.contains("readonly"));
    shop.native.sql("UPDATE schema_version SET migrating_to = 9 WHERE name = 'order'", vec![]);
    shop.native.sql("INSERT INTO schema_version (name, version, migrating_to) VALUES ('order', 2, 9)", vec![]);
    assert!(reasons().await.contains("order is being migrated to version 9"));
    shop.native.sql("UPDATE schema_version SET migrating_to = NULL", vec![]);
    shop.native.fail("/internal/ready", "connection refused");
    assert!(reasons().await.contains("product: connection refused"));
    assert_eq!(shop.get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn figures_are_as_prometheus_reads_them() {
    let shop = Shop::open().await;
    shop.native.append("payment", event("PaymentCompleted", "a"));
    poison(&shop, "b");
    let text = async || {
        let figures = shop.get("/metrics").await;
        assert_eq!((figures.status, figures.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
        figures.text("").to_owned()
    };
    let before = text().await;
    assert!(before.contains("\nmealkit_context_lag{context=\"product\"} 2\n"), "{before}");
    shop.post("/catch-up").await;
    let after = text().await;
    for line in [
        "# TYPE mealkit_context_lag gauge",
        "# TYPE mealkit_retries_total counter",
        "mealkit_log_head 3",
        "mealkit_context_up{context=\"product\"} 1",
        "mealkit_context_cursor{context=\"product\"} 3",
        "mealkit_context_lag{context=\"product\"} 0",
        "mealkit_retries_total{context=\"product\"} 1",
        "mealkit_conflicts_total{context=\"product\"} 0",
        "mealkit_dead_letters{context=\"product\",status=\"retrying\"} 1",
        "mealkit_dead_letters{context=\"product\",status=\"dead\"} 0",
    ] {
        assert!(after.lines().any(|found| found == line), "{line} is not in\n{after}");
    }
    let names: Vec<&str> = after.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert_eq!(names.len(), names.iter().collect::<std::collections::BTreeSet<_>>().len(), "each name once");
    shop.native.fail("/internal/metrics", "connection refused");
    assert!(text().await.contains("mealkit_context_up{context=\"product\"} 0"), "and the others are still shown");
}

#[tokio::test]
async fn a_follower_does_not_miss_what_is_archived() {
    let shop = Shop::open().await;
    for number in 0..5 {
        shop.native.append("order", event("OrderPlaced", &format!("order-{number}")));
    }
    shop.native.sql("UPDATE log_archive SET archived_to = 3", vec![]);
    shop.native.sql("DELETE FROM event WHERE seq <= 3", vec![]);
    let gone = shop.get("/events?after=2").await;
    gone.assert_problem(410, "archived");
    assert_eq!(gone.body["archived_to"], 3);
    assert_eq!(sequences(&shop.get("/events?after=3").await), [4, 5]);
    assert_eq!(sequences(&shop.get("/events").await), [4, 5]);
}
