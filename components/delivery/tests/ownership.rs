//! Whose a delivery is: who brings it, who gets it, and what an operator may do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use contracts::{DeliveryAssigned, DeliveryCompleted, DeliveryRequested, StockDecreased, ids::MemberId, samples::*};
use delivery::{
    Deliveries,
    domain::{Command, Refusal},
    http::routes,
};
use kernel::{
    actor::{Actor, Role},
    testing::{App, Native, Reply, authorization, event, id, person, scenario::Scenario, service},
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn of(id: &str, role: Role) -> String {
    authorization(&person(id, &[role]))
}

fn owner() -> String {
    of("member-1", Role::Member)
}

fn courier() -> String {
    of("minho", Role::Courier)
}

fn operator() -> String {
    of("root", Role::Operator)
}

struct Shop {
    native: Arc<Native>,
    app: App<Deliveries>,
}

impl Shop {
    async fn open() -> Self {
        let native = Native::new();
        Self { app: App::open(&native, routes).await, native }
    }

    /// The delivery of an order, whose kits are there. Returns its path.
    async fn ready(&self, order: &str) -> String {
        self.native.append("payment", event("PaymentCompleted", order));
        self.native.append("product", event("StockDecreased", order));
        let found = self.app.ask(&operator(), "GET", &format!("/deliveries?order_id={order}"), None).await;
        format!("/deliveries/{}", found.items()[0]["id"].as_str().unwrap())
    }

    async fn assign(&self, who: &str, path: &str, courier: &str) -> Reply {
        self.app.ask(who, "POST", &format!("{path}/assign"), Some(json!({"courier_id": courier}))).await
    }

    async fn complete(&self, who: &str, path: &str, body: Option<Json>) -> Reply {
        self.app.ask(who, "POST", &format!("{path}/complete"), body).await
    }

    async fn count(&self, who: &str, query: &str) -> usize {
        self.app.ask(who, "GET", &format!("/deliveries{query}"), None).await.items().len()
    }
}

#[tokio::test]
async fn a_delivery_is_seen_by_who_brings_it_who_gets_it_and_operators() {
    let shop = Shop::open().await;
    let path = shop.ready(&id(1)).await;
    let query = format!("?order_id={}", id(1));
    assert_eq!(shop.app.ask(&courier(), "GET", &path, None).await.status, 404, "nobody said yet who brings it");
    assert_eq!(shop.assign(&operator(), &path, "minho").await.text("/courier_id"), "minho");
    for (who, status, count) in [
        (owner(), 200, 1),
        (of("member-2", Role::Member), 404, 0),
        (courier(), 200, 1),
        (of("sora", Role::Courier), 404, 0),
        (of("minho", Role::Member), 404, 0),
        (operator(), 200, 1),
    ] {
        assert_eq!(shop.app.ask(&who, "GET", &path, None).await.status, status);
        assert_eq!((shop.count(&who, "").await, shop.count(&who, &query).await), (count, count));
    }
    for (who, status) in [(of("hana", Role::Seller), 403), (service("report", "events"), 403), (String::new(), 401)] {
        for path in ["/deliveries", &path] {
            assert_eq!(shop.app.ask(&who, "GET", path, None).await.status, status);
        }
    }
    assert_eq!(shop.native.scans(), []);
}

#[tokio::test]
async fn operators_say_who_brings_it() {
    let shop = Shop::open().await;
    let path = shop.ready("a").await;
    for (who, status) in [(owner(), 403), (courier(), 403), (of("hana", Role::Seller), 403), (String::new(), 401)] {
        assert_eq!(shop.assign(&who, &path, "minho").await.status, status);
    }
    shop.assign(&operator(), "/deliveries/nobody", "minho").await.assert_problem(404, "not-found");
    shop.assign(&operator(), &path, "").await.assert_problem(422, "invalid");
    shop.app
        .ask(&operator(), "POST", &format!("{path}/assign"), Some(json!({})))
        .await
        .assert_problem(400, "malformed");
    for courier in ["minho", "minho", "sora"] {
        let assigned = shop.assign(&operator(), &path, courier).await;
        assert_eq!((assigned.status, assigned.text("/courier_id")), (200, courier));
    }
    let events = shop.native.log_of("a");
    assert_eq!(events.iter().filter(|event| *event == "DeliveryAssigned").count(), 2, "the same again is nothing new");
    shop.complete(&courier(), &path, None).await.assert_problem(404, "not-found");
    assert_eq!(shop.complete(&of("sora", Role::Courier), &path, None).await.text("/status"), "completed");
    shop.assign(&operator(), &path, "minho").await.assert_problem(409, "completed");
    let path = shop.ready("b").await;
    shop.native.append("order", event("OrderCancelled", "b"));
    shop.assign(&operator(), &path, "minho").await.assert_problem(409, "cancelled");
}

#[tokio::test]
async fn it_is_completed_by_who_brings_or_gets_it_or_by_an_operator_who_says_why() {
    let shop = Shop::open().await;
    let path = shop.ready("a").await;
    shop.assign(&operator(), &path, "minho").await;
    let because = || Some(json!({"reason": "The courier's phone is broken"}));
    for (who, status) in [
        (String::new(), 401),
        (of("hana", Role::Seller), 403),
        (of("member-2", Role::Member), 404),
        (of("sora", Role::Courier), 404),
    ] {
        for body in [None, because()] {
            assert_eq!(shop.complete(&who, &path, body).await.status, status);
        }
    }
    let silent = shop.complete(&operator(), &path, None).await;
    silent.assert_problem(422, "invalid");
    assert_eq!(silent.text("/errors/0/field"), "reason");
    assert!(!shop.native.log_of("a").contains(&"DeliveryCompleted".to_owned()));
    assert_eq!(shop.complete(&operator(), &path, because()).await.text("/status"), "completed");
    let reason = "SELECT count(*) FROM event WHERE type = 'DeliveryCompleted' AND authid = 'root' \
        AND data ->> 'reason' = 'The courier''s phone is broken'";
    assert_eq!(shop.native.integer(reason), 1);
    for (order, who) in [("b", courier()), ("c", owner())] {
        let path = shop.ready(order).await;
        shop.assign(&operator(), &path, "minho").await;
        assert_eq!(shop.complete(&who, &path, None).await.text("/status"), "completed");
    }
}

// The same where it is decided.

fn by(id: &str, role: Role) -> Command {
    Command::Complete { order_id: order_id(), by: Actor::Member(person(id, &[role])), reason: None }
}

fn ready() -> Scenario<Deliveries> {
    Scenario::given([DeliveryRequested::sample().into(), StockDecreased::sample().into()])
}

#[test]
fn a_courier_completes_what_was_assigned_to_them() {
    let assigned = DeliveryAssigned { courier_id: MemberId::new("minho"), ..DeliveryAssigned::sample() };
    let assign = Command::Assign { order_id: order_id(), courier_id: MemberId::new("minho") };
    let done = DeliveryCompleted { reason: None, ..DeliveryCompleted::sample() };
    ready().when(by("minho", Role::Courier)).then_refused(Refusal::Unknown);
    ready()
        .when(assign.clone())
        .then([assigned.into()])
        .when(assign)
        .then_nothing()
        .when(by("sora", Role::Courier))
        .then_refused(Refusal::Unknown)
        .when(by("minho", Role::Courier))
        .then([done.into()]);
}

#[test]
fn what_was_never_requested_is_assigned_to_nobody() {
    let assign = Command::Assign { order_id: order_id(), courier_id: MemberId::new("minho") };
    Scenario::<Deliveries>::given([]).when(assign).then_refused(Refusal::Unknown);
}

#[test]
fn an_operator_says_why() {
    ready().when(by("root", Role::Operator)).then_refused(Refusal::Unexplained);
}
