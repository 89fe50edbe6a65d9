//! Whose a payment is, and what they may see of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use kernel::{
    actor::Role,
    testing::{App, Native, authorization, event, person, service},
};
use payment::{Payments, http::routes};
use serde_json::{Value, json};

#[tokio::test]
async fn a_payment_is_seen_by_who_pays_and_by_operators() {
    let native = Native::new();
    let app = App::<Payments>::open(&native, routes).await;
    let placed = event("OrderPlaced", "a");
    let order: Value = serde_json::from_str(&placed.event_type().write(&placed).unwrap()).unwrap();
    native.append("order", placed);
    let charge = json!({"order": order, "card_number": "4111111111111111"});
    let path = format!("/payments/{}", app.post("/internal/charges", charge).await.text("/id"));
    let of = |id: &str, role: Role| authorization(&person(id, &[role]));
    for (who, one, list) in [
        (of("member-1", Role::Member), 200, Some(1)),
        (of("member-2", Role::Member), 404, Some(0)),
        (of("root", Role::Operator), 200, Some(1)),
        (of("hana", Role::Seller), 403, None),
        (of("member-1", Role::Courier), 403, None),
        (service("report", "events metrics"), 403, None),
        (String::new(), 401, None),
    ] {
        assert_eq!(app.ask(&who, "GET", &path, None).await.status, one);
        for query in ["", "?order_id=a"] {
            let reply = app.ask(&who, "GET", &format!("/payments{query}"), None).await;
            match list {
                Some(count) => assert_eq!((reply.status, reply.items().len()), (200, count)),
                None => assert_eq!(reply.status, one),
            }
        }
    }
    let nobody = app.ask("", "GET", &path, None).await;
    nobody.assert_problem(401, "unauthenticated");
    assert_eq!(nobody.header("www-authenticate"), "Bearer realm=\"mealkit\"");
    assert_eq!(native.scans(), []);
}
