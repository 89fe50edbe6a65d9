//! The routes of marketing, against real SQLite.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use kernel::testing::{App, Native, event};
use marketing::{Marketing, http::routes};
use serde_json::{Value as Json, json};
use std::sync::Arc;

async fn shop() -> (Arc<Native>, App<Marketing>) {
    let native = Native::new();
    let app = App::open(&native, routes).await;
    (native, app)
}

#[tokio::test]
async fn everybody_is_told_once_of_what_concerns_them() {
    let (native, app) = shop().await;
    for event_type in ["PaymentCompleted", "OutOfStock", "PaymentCancelled", "DeliveryCancelled", "DeliveryCompleted"] {
        native.append("another", event(event_type, "a"));
    }
    let replica = App::<Marketing>::open(&native.replica(), routes).await;
    let (one, other) = tokio::join!(app.get("/notifications?order_id=a"), replica.get("/notifications?order_id=a"));
    assert_eq!((one.status, &one.body), (200, &other.body));
    let told: Vec<_> =
        one.items().iter().rev().map(|n| (n["recipient"]["kind"].clone(), n["event_type"].clone())).collect();
    let expected = [
        ("seller", "PaymentCompleted"),
        ("member", "OutOfStock"),
        ("member", "PaymentCancelled"),
        ("member", "DeliveryCancelled"),
        ("member", "DeliveryCompleted"),
    ];
    assert_eq!(told, expected.map(|(kind, event_type)| (json!(kind), json!(event_type))));
    assert_eq!(native.log_of("a").iter().filter(|event| *event == "Notified").count(), 5);
}

#[tokio::test]
async fn notifications_are_listed_by_order_and_recipient() {
    let (native, app) = shop().await;
    for order in ["a", "b"] {
        native.append("payment", event("PaymentCompleted", order));
        native.append("delivery", event("DeliveryCompleted", order));
    }
    for (query, count) in [
        ("", 4),
        ("?order_id=a", 2),
        ("?recipient=member:member-1", 2),
        ("?recipient=seller:seller-1&order_id=b", 1),
        ("?recipient=member:nobody", 0),
        // Who has the same name is somebody else.
        ("?recipient=seller:member-1", 0),
        ("?recipient=member:seller-1", 0),
    ] {
        assert_eq!(app.get(&format!("/notifications{query}")).await.items().len(), count, "{query}");
    }
    for wrong in ["member-1", "", ":", "member", "member:", ":member-1", "Member:member-1", "courier:member-1"] {
        app.get(&format!("/notifications?recipient={wrong}")).await.assert_problem(400, "malformed");
    }
    let first = app.get("/notifications?limit=3").await;
    let next = app.get(&format!("/notifications?limit=3&after={}", first.text("/next"))).await;
    assert_eq!((first.items().len(), next.items().len(), &next.body["next"]), (3, 1, &Json::Null));
    app.get("/notifications/1").await.assert_problem(404, "not-found");
    app.post("/notifications", json!({})).await.assert_problem(405, "method-not-allowed");
    assert_eq!(native.scans(), []);
}
