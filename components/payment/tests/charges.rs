//! What is charged is what the log says, whoever asks, and whatever they claim.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use contracts::OrderPlaced;
use kernel::testing::{App, Native, Reply, call};
use payment::{Payments, http::routes};
use serde_json::{Value as Json, json};
use std::sync::Arc;

const CHARGES: &str = "/internal/charges";
const CARD: &str = "4111111111111111";

async fn shop() -> (Arc<Native>, App<Payments>) {
    let native = Native::new();
    let app = App::open(&native, routes).await;
    (native, app)
}

/// An order, as it was placed.
fn order(order: &str) -> Json {
    json!({
        "order_id": order, "member_id": "hana", "seller_id": "seller-1", "product_id": "kit-1",
        "product_name": "Bibimbap", "quantity": 2, "unit_price": 12_000, "amount": 24_000,
        "address": "1 Sejong-daero, Seoul", "card": "**** 1111", "card_owner": "Hana Kim",
    })
}

fn place(native: &Native, placed: &Json) {
    native.append("order", OrderPlaced::TYPE.read(1, &placed.to_string()).unwrap());
}

async fn charge(app: &App<Payments>, claim: Json) -> Reply {
    app.post(CHARGES, json!({"order": claim, "card_number": CARD})).await
}

#[tokio::test]
async fn a_claim_that_differs_changes_nothing() {
    let (native, app) = shop().await;
    place(&native, &order("a"));
    let mut claim = order("a");
    for (field, value) in [
        ("amount", json!(1)),
        ("unit_price", json!(1)),
        ("quantity", json!(1)),
        ("member_id", json!("mallory")),
        ("seller_id", json!("mallory")),
        ("product_id", json!("kit-2")),
        ("card_owner", json!("Mallory")),
    ] {
        claim[field] = value;
    }
    let charged = charge(&app, claim).await;
    assert_eq!((charged.status, charged.text("/status")), (200, "completed"));
    assert_eq!((&charged.body["amount"], charged.text("/member_id")), (&json!(24_000), "hana"));
    let event = native.sql("SELECT data FROM event WHERE type = 'PaymentCompleted'", vec![]);
    let event: Json = serde_json::from_str(event[0][0].text().unwrap()).unwrap();
    for field in ["amount", "member_id", "product_id", "card_owner"] {
        assert_eq!(event[field], order("a")[field], "{field}");
    }
    assert!(!native.everything().contains("allory"));
    assert_eq!(native.scans(), []);
}

#[tokio::test]
async fn an_order_that_is_not_in_the_log_is_not_charged() {
    let (native, app) = shop().await;
    place(&native, &order("a"));
    // The sandbox is asked for nothing, and nothing is written.
    native.set_variable("sandbox_fault", "failing");
    for unknown in ["b", "", "A", "a ", "%"] {
        charge(&app, order(unknown)).await.assert_problem(404, "not-found");
    }
    assert_eq!(native.log(), [("OrderPlaced".into(), "a".into())]);
    assert_eq!(native.integer("SELECT count(*) FROM payment_row"), 0);
}

#[tokio::test]
async fn a_stranger_s_charge_is_refused() {
    let (native, app) = shop().await;
    place(&native, &order("a"));
    let body = json!({"order": order("a"), "card_number": CARD});
    let forged = [
        "",
        "Bearer x",
        "Mealkit-HMAC-SHA256",
        "Mealkit-HMAC-SHA256 caller=order,time=1767258000,signature=",
        "Mealkit-HMAC-SHA256 caller=order,time=1767258000,signature=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ];
    for authorization in forged {
        let headers = [("authorization", authorization)];
        let refused = call(&native, &app.router, "POST", CHARGES, &headers, Some(body.clone())).await;
        refused.assert_problem(401, "unauthenticated");
        assert_eq!(refused.header("www-authenticate"), "Mealkit-HMAC-SHA256", "{authorization}");
    }
    for path in ["/internal/bell", "/internal/catch-up", "/internal/settle", "/internal/dead-letters/1/retry"] {
        let refused = call(&native, &app.router, "POST", path, &[("authorization", "")], None).await;
        refused.assert_problem(401, "unauthenticated");
    }
    assert_eq!(native.log(), [("OrderPlaced".into(), "a".into())]);
    let ready = call(&native, &app.router, "GET", "/internal/ready", &[("authorization", "")], None).await;
    assert_eq!(ready.status, 200, "a probe has no key");
}
