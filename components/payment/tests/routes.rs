//! The routes of payment, against real SQLite.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use contracts::OrderPlaced;
use kernel::testing::{App, Native, Reply, authorization, event, everybody, id};
use payment::{Payments, http::routes};
use serde_json::{Value as Json, json};
use std::sync::Arc;

const CARD: &str = "4111111111111111";

async fn shop() -> (Arc<Native>, App<Payments>) {
    let native = Native::new();
    let app = App::open(&native, routes).await;
    (native, app)
}

/// An order, as it was placed.
fn placed(order: &str, amount: u64) -> Json {
    json!({
        "order_id": order, "member_id": "member-1", "seller_id": "seller-1", "product_id": "kit-1",
        "product_name": "Bibimbap", "quantity": 2, "unit_price": 12_000, "amount": amount,
        "address": "1 Sejong-daero, Seoul", "card": "**** 1111", "card_owner": "Kim Mina",
    })
}

async fn charge(app: &App<Payments>, order: &str, card: &str, amount: u64) -> Reply {
    let order = placed(order, amount);
    let read = OrderPlaced::TYPE.read(1, &order.to_string()).unwrap();
    if app.kernel.told(OrderPlaced::TYPE, read.subject()).await.unwrap().is_none() {
        app.native.append("order", read);
    }
    app.post("/internal/charges", json!({"order": order, "card_number": card})).await
}

/// What has become of an order since it was placed.
fn since(native: &Native, order: &str) -> Vec<String> {
    native.log_of(order).into_iter().filter(|event| event != "OrderPlaced").collect()
}

#[tokio::test]
async fn what_is_charged_stands_in_the_log_whatever_the_call_claims() {
    let (native, app) = shop().await;
    native.append("order", OrderPlaced::TYPE.read(1, &placed("a", 24_000).to_string()).unwrap());
    let mut claim = placed("a", 1);
    claim["member_id"] = "somebody-else".into();
    let claim = json!({"order": claim, "card_number": CARD});
    let charged = app.post("/internal/charges", claim.clone()).await;
    assert_eq!((charged.status, &charged.body["amount"]), (200, &json!(24_000)));
    assert_eq!(charged.text("/member_id"), "member-1");
    let unknown = json!({"order": placed("nobody-placed-it", 1), "card_number": CARD});
    app.post("/internal/charges", unknown).await.assert_problem(404, "not-found");
    assert_eq!(native.log_of("nobody-placed-it"), [""; 0]);
    for stranger in
        ["", &authorization(&everybody()), "Mealkit-HMAC-SHA256 caller=order,time=1767258000,signature=AAAA"]
    {
        let headers = [("authorization", stranger)];
        let answer = app.call("POST", "/internal/charges", &headers, Some(claim.clone())).await;
        answer.assert_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn an_order_is_charged_once_however_often_it_is_asked() {
    let (native, app) = shop().await;
    let first = charge(&app, "a", CARD, 24_000).await;
    assert_eq!((first.status, first.text("/status"), first.text("/card")), (200, "completed", "**** 1111"));
    assert_eq!(first.header("x-correlation-id"), "a");
    let again = charge(&app, "a", CARD, 24_000).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let (one, other) = tokio::join!(charge(&app, "b", CARD, 1), charge(&app, "b", CARD, 1));
    assert_eq!((one.status, &one.body), (200, &other.body));
    assert_eq!(
        (since(&native, "a"), since(&native, "b")),
        (vec!["PaymentCompleted".into()], vec!["PaymentCompleted".into()])
    );
}

#[tokio::test]
async fn the_sandbox_declines_what_it_should() {
    let (native, app) = shop().await;
    for (order, card, amount, reason) in [
        ("a", "4000000000000002", 1, Some("card_declined")),
        ("b", CARD, 10_000_001, Some("limit_exceeded")),
        ("c", CARD, 10_000_000, None),
    ] {
        let answer = charge(&app, order, card, amount).await;
        assert_eq!((answer.status, answer.body["reason"].as_str()), (200, reason));
    }
    assert_eq!(since(&native, "a"), ["PaymentDeclined"]);
    assert!(!native.everything().contains("4000000000000002"));
}

#[tokio::test]
async fn a_closed_order_is_not_charged() {
    let (native, app) = shop().await;
    native.append("order", event("OrderCancelled", "a"));
    native.append("order", event("OrderRejected", "b"));
    for order in ["a", "b"] {
        charge(&app, order, CARD, 1).await.assert_problem(409, "order-closed");
        assert_eq!(since(&native, order).len(), 1);
    }
    assert_eq!(app.get("/payments").await.items(), [Json::Null; 0], "nobody sees what never was");
}

#[tokio::test]
async fn an_order_that_is_closed_while_it_is_charged_is_not_charged() {
    let (native, app) = shop().await;
    let held = native.hold("INSERT INTO payment_commit");
    let close = async {
        held.reached().await;
        native.append("order", event("OrderRejected", "a"));
        held.release();
    };
    let (answer, ()) = tokio::join!(charge(&app, "a", CARD, 1), close);
    answer.assert_problem(409, "order-closed");
    assert_eq!(since(&native, "a"), ["OrderRejected"]);
}

#[tokio::test]
async fn a_cancelled_order_gets_its_money_back_once() {
    let (native, app) = shop().await;
    let paid = charge(&app, "a", CARD, 24_000).await;
    for _ in 0..2 {
        native.append("order", event("OrderCancelled", "a"));
    }
    let path = format!("/payments/{}", paid.text("/id"));
    let now = app.get(&path).await;
    assert_eq!((now.status, now.text("/status"), now.header("etag")), (200, "cancelled", "\"2\""));
    assert_eq!(native.log_of("a").iter().filter(|event| *event == "PaymentCancelled").count(), 1);
    assert_eq!(charge(&app, "a", CARD, 24_000).await.body, now.body, "and is not charged again");
}

#[tokio::test]
async fn a_gateway_without_an_answer_is_502_and_nothing_is_kept() {
    for fault in ["failing", "unreachable"] {
        let (native, app) = shop().await;
        native.set_variable("sandbox_fault", fault);
        charge(&app, "a", CARD, 1).await.assert_problem(502, "gateway-unavailable");
        assert_eq!(since(&native, "a"), [""; 0]);
        native.set_variable("sandbox_fault", "none");
        assert_eq!(charge(&app, "a", CARD, 1).await.status, 200);
    }
}

#[tokio::test]
async fn a_number_that_is_none_of_a_card_is_refused_and_not_repeated() {
    let (native, app) = shop().await;
    let refused = charge(&app, "a", "4111111111111112", 1).await;
    refused.assert_problem(400, "malformed");
    assert!(!refused.body.to_string().contains("4111111111111112"), "{refused:?}");
    let body = json!({"order": placed("a", 1), "card_number": 4_111_111_111_111_111_u64});
    let refused = app.post("/internal/charges", body).await;
    assert!(!refused.body.to_string().contains(CARD), "{refused:?}");
    assert_eq!(since(&native, "a"), [""; 0]);
}

#[tokio::test]
async fn payments_are_listed_by_order() {
    let (native, app) = shop().await;
    for number in 0..3 {
        charge(&app, &id(number), CARD, 1).await;
    }
    assert_eq!(app.get(&format!("/payments?order_id={}", id(1))).await.items().len(), 1);
    assert_eq!(app.get("/payments?order_id=x").await.items().len(), 0);
    let page = app.get("/payments?limit=2").await;
    let next = app.get(&format!("/payments?limit=2&after={}", page.text("/next"))).await;
    let orders: Vec<_> = page.items().iter().chain(next.items()).map(|payment| payment["order_id"].clone()).collect();
    assert_eq!((orders, &next.body["next"]), ([2, 1, 0].map(|number| json!(id(number))).to_vec(), &Json::Null));
    app.get("/payments?member_id=x").await.assert_problem(400, "malformed");
    app.get("/payments/unknown").await.assert_problem(404, "not-found");
    app.post("/payments", json!({})).await.assert_problem(405, "method-not-allowed");
    assert_eq!(native.scans(), []);
}
