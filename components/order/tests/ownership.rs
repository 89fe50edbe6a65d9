//! Whose an order is, and what they may do with it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use contracts::ids::{MemberId, OrderId, ProductId, SellerId};
use kernel::{
    Trace,
    actor::{Member, Role},
    platform::Value,
    testing::{App, Native, authorization, event, person, service},
};
use order::{
    Orders,
    domain::{Command, Placement},
    http::routes,
};
use payment::Payments;
use serde_json::{Value as Json, json};
use std::sync::Arc;

struct Shop {
    native: Arc<Native>,
    orders: App<Orders>,
}

impl Shop {
    async fn open() -> Self {
        let native = Native::new();
        let orders = App::open(&native, routes).await;
        let payments = App::<Payments>::open(&native.replica(), payment::http::routes).await;
        native.route("http://payment.spin.internal", payments.router.clone());
        native.append("product", event("ProductRegistered", ""));
        Self { native, orders }
    }

    /// An order of `member-1` for a kit of `seller-1` that nobody has paid yet.
    async fn pending(&self, order: &str) {
        let placement = Placement {
            member_id: MemberId::new("member-1"),
            product_id: ProductId::new("kit-1"),
            quantity: 2,
            address: "1 Sejong-daero, Seoul".into(),
            card: "**** 1111".into(),
            card_owner: "Kim Mina".into(),
        };
        let command = Command::Place { order_id: OrderId::new(order), placement };
        self.orders.kernel.execute(command, &Trace::own()).await.unwrap();
    }

    async fn paid(&self, order: &str) {
        self.pending(order).await;
        self.native.append("payment", event("PaymentCompleted", order));
    }

    async fn status(&self, who: &str, method: &str, path: &str, body: Option<Json>) -> u16 {
        self.orders.ask(who, method, path, body).await.status
    }

    /// How many orders somebody sees in this list.
    async fn count(&self, who: &str, query: &str) -> usize {
        self.orders.ask(who, "GET", &format!("/orders{query}"), None).await.items().len()
    }
}

fn of(id: &str, role: Role) -> String {
    authorization(&person(id, &[role]))
}

fn owner() -> String {
    of("member-1", Role::Member)
}

fn stranger() -> String {
    of("member-2", Role::Member)
}

/// Who sells the kit, and who sells others.
fn sellers() -> [String; 2] {
    let other = Member { seller: Some(SellerId::new("seller-2")), ..person("jisoo", &[Role::Seller]) };
    [of("hana", Role::Seller), authorization(&other)]
}

fn operator() -> String {
    of("root", Role::Operator)
}

fn courier() -> String {
    of("minho", Role::Courier)
}

fn placement() -> Json {
    json!({"product_id": "kit-1", "quantity": 2, "address": "1 Sejong-daero, Seoul",
        "payment": {"card_number": "4111111111111111", "card_owner": "Kim Mina"}})
}

#[tokio::test]
async fn an_order_is_seen_by_its_member_its_seller_and_operators() {
    let shop = Shop::open().await;
    shop.paid("a").await;
    let [seller, other_seller] = sellers();
    for (who, status, count) in [
        (owner(), 200, 1),
        (stranger(), 404, 0),
        (seller.clone(), 200, 1),
        (other_seller.clone(), 404, 0),
        (courier(), 404, 0),
        (operator(), 200, 1),
        // The member's id is not what makes it theirs, if they do not order.
        (of("member-1", Role::Courier), 404, 0),
    ] {
        let reply = shop.orders.ask(&who, "GET", "/orders/a", None).await;
        assert_eq!(reply.status, status, "{reply:?}");
        if status == 404 {
            assert_eq!(reply.body["detail"], shop.orders.ask(&who, "GET", "/orders/b", None).await.body["detail"]);
        }
        assert_eq!(shop.count(&who, "").await, count);
    }
    for path in ["/orders", "/orders/a"] {
        let nobody = shop.orders.ask("", "GET", path, None).await;
        nobody.assert_problem(401, "unauthenticated");
        assert_eq!(nobody.header("www-authenticate"), "Bearer realm=\"mealkit\"");
        assert_eq!(shop.status(&service("report", "events metrics"), "GET", path, None).await, 403);
    }
    // A filter narrows what they see, and opens nothing.
    assert_eq!(shop.count(&stranger(), "?member_id=member-1").await, 0);
    assert_eq!(shop.count(&other_seller, "?seller_id=seller-1").await, 0);
    assert_eq!(shop.count(&other_seller, "?member_id=member-1").await, 0);
    assert_eq!(shop.count(&owner(), "?seller_id=seller-1").await, 1);
    assert_eq!(shop.count(&seller, "?member_id=member-1").await, 1);
    assert_eq!(shop.count(&owner(), "?member_id=member-2").await, 0);
    assert_eq!(shop.count(&operator(), "?member_id=member-1&seller_id=seller-1").await, 1);
    assert_eq!(shop.native.scans(), []);
    // Who orders and sells sees both (of which there are few, so that they are sorted).
    let both = Member { seller: Some(SellerId::new("seller-1")), ..person("member-2", &[Role::Member, Role::Seller]) };
    assert_eq!(shop.count(&authorization(&both), "").await, 1);
}

#[tokio::test]
async fn a_seller_learns_where_it_goes_when_it_is_paid() {
    let shop = Shop::open().await;
    let [seller, _] = sellers();
    let address = async |who: &str, order: &str| {
        let one = shop.orders.ask(who, "GET", &format!("/orders/{order}"), None).await;
        let list = shop.orders.ask(who, "GET", "/orders", None).await;
        let listed = list.items().iter().find(|found| found["id"] == order).unwrap()["address"].clone();
        assert_eq!(one.body["address"], listed);
        listed.as_str().is_some_and(|address| address.contains("Sejong"))
    };
    shop.pending("a").await;
    shop.paid("b").await;
    shop.paid("c").await;
    assert_eq!(shop.orders.ask(&owner(), "DELETE", "/orders/c", None).await.status, 200);
    for (order, shown) in [("a", false), ("b", true), ("c", false)] {
        assert_eq!(address(&seller, order).await, shown, "{order}");
        assert!(address(&owner(), order).await && address(&operator(), order).await);
    }
}

#[tokio::test]
async fn members_order_for_themselves() {
    let shop = Shop::open().await;
    let [seller, _] = sellers();
    for who in [seller, courier(), operator(), service("report", "events")] {
        shop.orders.ask(&who, "POST", "/orders", Some(placement())).await.assert_problem(403, "forbidden");
    }
    shop.orders.ask("", "POST", "/orders", Some(placement())).await.assert_problem(401, "unauthenticated");
    let mut named = placement();
    named["member_id"] = "member-1".into();
    shop.orders.ask(&stranger(), "POST", "/orders", Some(named.clone())).await.assert_problem(403, "forbidden");
    assert_eq!(shop.native.log().len(), 1, "nothing was ordered");
    for body in [placement(), named] {
        let placed = shop.orders.ask(&owner(), "POST", "/orders", Some(body)).await;
        assert_eq!((placed.status, placed.text("/member_id")), (201, "member-1"));
    }
}

#[tokio::test]
async fn an_order_is_cancelled_by_its_member_or_by_an_operator_who_says_why() {
    let shop = Shop::open().await;
    shop.paid("a").await;
    let [seller, _] = sellers();
    for (method, path) in [("POST", "/orders/a/cancel"), ("DELETE", "/orders/a")] {
        let because = || Some(json!({"reason": "No answer at the door"}));
        for (who, status) in [(String::new(), 401), (stranger(), 404), (seller.clone(), 403), (courier(), 403)] {
            for body in [None, because()] {
                assert_eq!(shop.status(&who, method, path, body).await, status, "{method} {path}");
            }
        }
        let silent = shop.orders.ask(&operator(), method, path, None).await;
        silent.assert_problem(422, "invalid");
        assert_eq!(silent.text("/errors/0/field"), "reason");
        assert_eq!(shop.native.log_of("a"), ["OrderPlaced", "PaymentCompleted"]);
    }
    let because = Some(json!({"reason": "No answer at the door"}));
    let cancelled = shop.orders.ask(&operator(), "POST", "/orders/a/cancel", because).await;
    assert_eq!((cancelled.status, cancelled.text("/reason")), (200, "No answer at the door"));
    shop.paid("b").await;
    assert_eq!(shop.status(&owner(), "DELETE", "/orders/b", None).await, 200);
    // An operator's own order needs no words.
    let own = authorization(&person("member-1", &[Role::Member, Role::Operator]));
    shop.paid("c").await;
    assert_eq!(shop.status(&own, "DELETE", "/orders/c", None).await, 200);
}

#[tokio::test]
async fn a_key_of_somebody_else_is_another_key() {
    let shop = Shop::open().await;
    let place = async |who: &str| {
        let headers = [("authorization", who), ("idempotency-key", "k")];
        shop.orders.call("POST", "/orders", &headers, Some(placement())).await
    };
    let (mine, theirs) = (place(&owner()).await, place(&stranger()).await);
    assert_eq!((mine.status, theirs.status), (201, 201));
    assert_ne!(mine.text("/id"), theirs.text("/id"));
    assert_eq!((place(&owner()).await.body, place(&stranger()).await.body), (mine.body, theirs.body));
    assert_eq!((shop.count(&owner(), "").await, shop.count(&stranger(), "").await), (1, 1));
}

#[tokio::test]
async fn an_event_says_who_made_it_happen() {
    let shop = Shop::open().await;
    let placed = shop.orders.ask(&owner(), "POST", "/orders", Some(placement())).await;
    let id = placed.text("/id");
    let because = Some(json!({"reason": "because"}));
    shop.orders.ask(&operator(), "POST", &format!("/orders/{id}/cancel"), because).await;
    let sql = "SELECT type, authtype, authid FROM event WHERE subject = ? ORDER BY seq";
    let who = shop.native.sql(sql, vec![id.into()]);
    let by = |event: &str, kind: &str, id: &str| [event, kind, id].map(Value::from).to_vec();
    assert_eq!(
        who,
        [
            by("OrderPlaced", "app_user", "member-1"),
            by("PaymentCompleted", "system", "order"),
            by("OrderCancelled", "app_user", "root"),
        ]
    );
    // What follows from an event happens by itself.
    shop.paid("a").await;
    shop.native.append("product", event("OutOfStock", "a"));
    shop.orders.kernel.catch_up().await.unwrap();
    let sql = "SELECT authtype, authid FROM event WHERE subject = 'a' AND type = 'OrderCancelled'";
    assert_eq!(shop.native.sql(sql, vec![]), [[Value::from("system"), Value::Null]]);
}
