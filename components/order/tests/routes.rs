//! The routes of order, against real SQLite, with payment's real routes behind them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use axum::Router;
use kernel::testing::{App, DEADLINE, Native, Reply, event, event_with};
use order::{Orders, http::routes};
use payment::Payments;
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;

const CARD: &str = "4111111111111111";
const DECLINED: &str = "4000000000000002";
const CHARGE: &str = "POST http://payment.spin.internal/internal/charges";

struct Shop {
    /// Order's instance.
    native: Arc<Native>,
    orders: App<Orders>,
    /// Payment's instance.
    payment: Arc<Native>,
    payments: App<Payments>,
}

async fn shop() -> Shop {
    let native = Native::new();
    let payment = native.replica();
    for (name, value) in [("breaker_failures", "3"), ("breaker_cooldown_ms", "10000"), ("payment_timeout_ms", "2000")] {
        native.set_variable(name, value);
    }
    let orders = App::open(&native, routes).await;
    let payments = App::open(&payment, payment::http::routes).await;
    native.route("http://payment.spin.internal", detached(payments.router.clone()));
    native.append("product", event("ProductRegistered", ""));
    orders.kernel.catch_up().await.unwrap();
    Shop { native, orders, payment, payments }
}

/// Routes that go on to the end also when nobody waits for the answer any more.
fn detached(routes: Router) -> Router {
    Router::new().fallback(async move |request| tokio::spawn(routes.oneshot(request)).await.unwrap())
}

fn placement(card: &str) -> Json {
    json!({"member_id": "member-1", "product_id": "kit-1", "quantity": 2, "address": "1 Sejong-daero, Seoul",
        "payment": {"card_number": card, "card_owner": "Kim Mina"}})
}

impl Shop {
    async fn place(&self) -> Reply {
        self.orders.post("/orders", placement(CARD)).await
    }

    async fn place_once(&self, key: &str, card: &str) -> Reply {
        self.orders.post_once(key, "/orders", placement(card)).await
    }

    fn fault(&self, fault: &str) {
        self.payment.set_variable("sandbox_fault", fault);
    }

    fn log_of(&self, order: &str) -> Vec<String> {
        self.native.log_of(order)
    }
}

#[tokio::test]
async fn an_order_is_placed_paid_and_answered_as_what_it_has_become() {
    let shop = shop().await;
    let placed = shop.place().await;
    let id = placed.text("/id");
    assert_eq!((placed.status, placed.text("/status"), placed.header("etag")), (201, "paid", "\"2\""));
    assert_eq!((&placed.body["unit_price"], &placed.body["amount"]), (&json!(12_000), &json!(24_000)));
    assert_eq!((placed.header("location"), placed.header("x-correlation-id")), (format!("/orders/{id}").as_str(), id));
    assert_eq!(shop.orders.get(&format!("/orders/{id}")).await.body, placed.body);
    assert_eq!(shop.log_of(id), ["OrderPlaced", "PaymentCompleted"]);
    let caused = "SELECT count(*) FROM event AS paid JOIN event AS placed ON placed.id = paid.causation_id \
        WHERE placed.type = 'OrderPlaced' AND paid.type = 'PaymentCompleted' AND paid.correlation_id = placed.subject";
    assert_eq!(shop.native.integer(caused), 1);
}

#[tokio::test]
async fn a_declined_payment_is_402_and_stays_so_under_its_key() {
    let shop = shop().await;
    let declined = shop.place_once("k", DECLINED).await;
    declined.assert_problem(402, "payment-declined");
    let id = declined.text("/order_id");
    assert_eq!(declined.text("/reason"), "card_declined");
    assert_eq!(shop.log_of(id), ["OrderPlaced", "PaymentDeclined", "OrderRejected"]);
    let again = shop.place_once("k", DECLINED).await;
    assert_eq!((again.status, &again.body, &again.headers), (402, &declined.body, &declined.headers));
    assert_eq!(shop.native.calls(CHARGE), 1);
    shop.place_once("k", CARD).await.assert_problem(422, "key-reused");
    assert_eq!(shop.orders.get(&format!("/orders/{id}")).await.text("/status"), "rejected");
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_one_charge() {
    let shop = shop().await;
    let first = shop.place_once("k", CARD).await;
    let id = first.text("/id");
    shop.native.append("delivery", event("DeliveryRequested", id));
    let again = shop.place_once("k", CARD).await;
    assert_eq!((again.status, &again.body, &again.headers), (201, &first.body, &first.headers));
    assert_eq!(shop.log_of(id), ["OrderPlaced", "PaymentCompleted", "DeliveryRequested"]);
}

#[tokio::test]
async fn the_same_key_at_once_makes_one_order() {
    let shop = shop().await;
    let replica = App::<Orders>::open(&shop.native.replica(), routes).await;
    let place = |app| App::<Orders>::post_once(app, "k", "/orders", placement(CARD));
    let (one, two, three) = tokio::join!(place(&shop.orders), place(&replica), place(&shop.orders));
    assert_eq!((one.status, two.status, three.status), (201, 201, 201));
    assert_eq!((&one.body, &one.body), (&two.body, &three.body));
    assert_eq!(shop.log_of(one.text("/id")), ["OrderPlaced", "PaymentCompleted"]);
    assert_eq!(shop.native.log().len(), 3);
}

#[tokio::test]
async fn the_same_key_at_once_gets_the_same_answer_though_the_order_moved_on() {
    let shop = shop().await;
    // It moves on before the first request has its answer, and the second one comes.
    let held = shop.native.hold_answer(CHARGE);
    let moves_on = async {
        held.reached().await;
        let (_, id) = shop.native.log().pop().unwrap();
        shop.native.append("delivery", event("DeliveryRequested", &id));
        let other = shop.place_once("k", CARD).await;
        held.release();
        other
    };
    let (one, other) = tokio::join!(shop.place_once("k", CARD), moves_on);
    shop.native.append("delivery", event("DeliveryCompleted", one.text("/id")));
    let late = shop.place_once("k", CARD).await;
    assert_eq!((one.status, one.text("/status"), one.header("etag")), (201, "paid", "\"2\""));
    for again in [other, late] {
        assert_eq!((again.status, again.header("etag"), &again.body), (201, "\"2\"", &one.body));
        assert_eq!(again.header("location"), one.header("location"));
    }
    let paid = shop.log_of(one.text("/id")).into_iter().filter(|event| event == "PaymentCompleted");
    assert_eq!(paid.count(), 1);
}

#[tokio::test]
async fn what_is_to_be_charged_stands_in_the_log_before_payment_is_asked() {
    let shop = shop().await;
    let held = shop.native.hold(CHARGE);
    let look = async {
        held.reached().await;
        let log = shop.native.log();
        held.release();
        log
    };
    let (placed, log) = tokio::join!(shop.place(), look);
    let (event_type, order) = log.last().unwrap();
    assert_eq!((event_type.as_str(), order.as_str()), ("OrderPlaced", placed.text("/id")));
    let intent = "SELECT count(*) FROM event WHERE type = 'OrderPlaced' AND data ->> 'card' = '**** 1111'";
    assert_eq!(shop.native.integer(intent), 1, "with what is known of the card");
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_takes_too_long_rejects_the_order_and_is_not_charged_later() {
    let shop = shop().await;
    shop.fault("slow");
    let late = shop.place().await;
    late.assert_problem(503, "payment-unavailable");
    let id = late.text("/order_id");
    assert_eq!((late.header("retry-after"), late.header("x-correlation-id")), ("1", id));
    // The gateway says yes at last.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(shop.log_of(id), ["OrderPlaced", "OrderRejected"]);
    assert_eq!(shop.payments.get("/payments").await.items().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_payment_whose_answer_is_lost_is_settled_by_the_log() {
    let shop = shop().await;
    let _held = shop.native.hold_answer(CHARGE);
    let placed = shop.place().await;
    assert_eq!((placed.status, placed.text("/status")), (201, "paid"));
    assert_eq!(shop.log_of(placed.text("/id")), ["OrderPlaced", "PaymentCompleted"]);
}

#[tokio::test]
async fn a_payment_that_completes_while_the_order_is_being_rejected_wins() {
    let shop = shop().await;
    shop.native.fail(CHARGE, "ConnectionTerminated");
    let placed = shop.native.hold_answer("INSERT INTO order_commit");
    let pay = async {
        placed.reached().await;
        let rejecting = shop.native.hold("INSERT INTO order_commit");
        placed.release();
        rejecting.reached().await;
        let (_, order) = shop.native.log().pop().unwrap();
        shop.native.append("payment", event("PaymentCompleted", &order));
        rejecting.release();
    };
    let (answer, ()) = tokio::join!(shop.place(), pay);
    assert_eq!((answer.status, answer.text("/status")), (201, "paid"), "{:?}", shop.native.log());
    assert_eq!(shop.log_of(answer.text("/id")), ["OrderPlaced", "PaymentCompleted"]);
}

#[tokio::test]
async fn a_refusal_for_want_of_payment_is_not_remembered_under_its_key() {
    let shop = shop().await;
    shop.fault("failing");
    let refused = shop.place_once("k", CARD).await;
    refused.assert_problem(503, "payment-unavailable");
    shop.fault("none");
    let placed = shop.place_once("k", CARD).await;
    assert_eq!((placed.status, placed.text("/status")), (201, "paid"));
    assert_ne!(placed.text("/id"), refused.text("/order_id"));
    assert_eq!(shop.place_once("k", CARD).await.body, placed.body);
    assert_eq!(shop.log_of(refused.text("/order_id")), ["OrderPlaced", "OrderRejected"]);
}

#[tokio::test]
async fn the_breaker_opens_tries_and_closes() {
    let shop = shop().await;
    shop.fault("unreachable");
    for _ in 0..3 {
        shop.place().await.assert_problem(503, "payment-unavailable");
    }
    assert_eq!(shop.native.calls(CHARGE), 3);
    shop.fault("none");
    shop.native.advance(Duration::from_secs(4));
    let open = shop.place().await;
    open.assert_problem(503, "payment-unavailable");
    assert_eq!((open.header("retry-after"), shop.native.calls(CHARGE)), ("6", 3), "no call is made");
    shop.fault("failing");
    shop.native.advance(Duration::from_secs(6));
    assert_eq!(shop.place().await.header("retry-after"), "10", "the try failed");
    assert_eq!(shop.place().await.status, 503);
    assert_eq!(shop.native.calls(CHARGE), 4);
    shop.fault("none");
    shop.native.advance(Duration::from_secs(10));
    assert_eq!((shop.place().await.status, shop.place().await.status), (201, 201));
    assert_eq!(shop.native.calls(CHARGE), 6);
    shop.orders.get("/orders").await;
    let open = "SELECT count(*) FROM order_row WHERE row ->> 'status' = 'pending'";
    assert_eq!(shop.native.integer(open), 0);
    assert_eq!(shop.payments.get("/payments").await.items().len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_counts_as_a_closed_breaker() {
    let shop = shop().await;
    shop.native.fail_always("order/breaker", "store is gone");
    assert_eq!(shop.place().await.status, 201);
}

/// Places an order under the key `k`, by a request that dies while it waits for the payment. Returns its id.
async fn place_and_die(shop: &Arc<Shop>) -> String {
    let held = shop.native.hold(CHARGE);
    let dying = tokio::spawn({
        let shop = shop.clone();
        async move { shop.place_once("k", CARD).await }
    });
    held.reached().await;
    dying.abort();
    let (_, id) = shop.native.log().pop().unwrap();
    id
}

#[tokio::test]
async fn an_order_whose_request_died_is_taken_up_again_under_its_key_or_rejected_in_the_end() {
    for again in [true, false] {
        let shop = Arc::new(shop().await);
        let id = place_and_die(&shop).await;
        if again {
            let placed = shop.place_once("k", CARD).await;
            assert_eq!((placed.status, placed.text("/id")), (201, id.as_str()));
            assert_eq!(shop.log_of(&id), ["OrderPlaced", "PaymentCompleted"]);
        } else {
            for (seconds, status) in [(29, "pending"), (2, "rejected")] {
                shop.native.advance(Duration::from_secs(seconds));
                assert_eq!(shop.orders.post("/internal/settle", json!({})).await.status, 200);
                assert_eq!(shop.orders.get(&format!("/orders/{id}")).await.text("/status"), status);
            }
            assert_eq!(shop.native.scans(), []);
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_leaves_no_order_open() {
    let shop = Arc::new(shop().await);
    shop.native.advance(Duration::from_secs(3_600));
    let id = place_and_die(&shop).await;
    shop.native.set_back(Duration::from_secs(3_600));
    assert_eq!(shop.orders.post("/internal/settle", json!({})).await.status, 200);
    assert_eq!(shop.orders.get(&format!("/orders/{id}")).await.text("/status"), "rejected");
}

#[tokio::test]
async fn an_order_can_be_cancelled_until_it_is_delivered() {
    let shop = shop().await;
    let placed = shop.place().await;
    let path = format!("/orders/{}", placed.text("/id"));
    let cancelled = shop.orders.post(&format!("{path}/cancel"), json!({"reason": "Not hungry"})).await;
    assert_eq!(
        (cancelled.status, cancelled.text("/status"), cancelled.text("/reason")),
        (200, "cancelled", "Not hungry")
    );
    let again = shop.orders.call("DELETE", &path, &[], None).await;
    assert_eq!((again.status, &again.body), (200, &cancelled.body));
    assert_eq!(shop.payments.get("/payments").await.items()[0]["status"], json!("cancelled"));

    let delivered = shop.place().await;
    shop.native.append("delivery", event("DeliveryCompleted", delivered.text("/id")));
    let path = format!("/orders/{}", delivered.text("/id"));
    shop.orders.call("DELETE", &path, &[], None).await.assert_problem(409, "delivered");
    let rejected = shop.orders.post("/orders", placement(DECLINED)).await;
    let path = format!("/orders/{}/cancel", rejected.text("/order_id"));
    shop.orders.call("POST", &path, &[], None).await.assert_problem(409, "rejected");
    shop.orders.call("POST", "/orders/nobody/cancel", &[], None).await.assert_problem(404, "not-found");
    shop.orders.post(&path, json!({"why": "x"})).await.assert_problem(400, "malformed");
    shop.orders.post(&path, json!({"reason": " "})).await.assert_problem(422, "invalid");
}

#[tokio::test]
async fn an_order_cancelled_while_it_is_being_paid_is_not_answered_as_paid() {
    let shop = shop().await;
    let held = shop.native.hold(CHARGE);
    let is_cancelled = async {
        held.reached().await;
        let (_, id) = shop.native.log().pop().unwrap();
        let cancelled = shop.orders.call("DELETE", &format!("/orders/{id}"), &[], None).await;
        held.release();
        cancelled.text("/id").to_owned()
    };
    let (answer, id) = tokio::join!(shop.place_once("k", CARD), is_cancelled);
    for answer in [answer, shop.place_once("k", CARD).await] {
        answer.assert_problem(409, "cancelled");
        assert_eq!((answer.text("/order_id"), answer.text("/correlation_id")), (id.as_str(), id.as_str()));
    }
    assert!(!shop.log_of(&id).contains(&"PaymentCompleted".into()), "{:?}", shop.log_of(&id));
}

#[tokio::test]
async fn a_cancellation_that_races_a_completed_delivery_loses() {
    let shop = shop().await;
    let placed = shop.place().await;
    let id = placed.text("/id");
    let held = shop.native.hold("INSERT INTO order_commit");
    let deliver = async {
        held.reached().await;
        shop.native.append("delivery", event("DeliveryCompleted", id));
        held.release();
    };
    let path = format!("/orders/{id}");
    let (answer, ()) = tokio::join!(shop.orders.call("DELETE", &path, &[], None), deliver);
    answer.assert_problem(409, "delivered");
    assert!(!shop.log_of(id).contains(&"OrderCancelled".to_owned()));
}

#[tokio::test]
async fn events_of_others_move_the_order_on() {
    let shop = shop().await;
    let placed = shop.place().await;
    let id = placed.text("/id");
    for (event_type, status) in [
        ("DeliveryRequested", "delivery_requested"),
        ("OutOfStock", "cancelled"),
        ("DeliveryCancelled", "cancelled"),
        ("DeliveryRequested", "cancelled"),
    ] {
        shop.native.append("another", event(event_type, id));
        let order = shop.orders.get(&format!("/orders/{id}")).await;
        assert_eq!(order.text("/status"), status, "after {event_type}");
    }
    shop.native.append("product", event_with("ProductModified", "", json!({"name": "Bulgogi", "price": 15_000})));
    let next = shop.place().await;
    assert_eq!((next.text("/product_name"), &next.body["amount"]), ("Bulgogi", &json!(30_000)));
    assert_eq!(placed.text("/product_name"), "Bibimbap");
}

#[tokio::test]
async fn only_the_order_that_is_meant_is_cancelled() {
    let shop = shop().await;
    for (method, end) in [("DELETE", ""), ("POST", "/cancel")] {
        let placed = shop.place().await;
        let path = format!("/orders/{}", placed.text("/id"));
        let path = path.as_str();
        let cancel = async |conditions: &[(&str, &str)]| {
            shop.orders.call(method, &format!("{path}{end}"), conditions, None).await
        };
        let before = shop.native.log();
        for stale in ["\"1\"", "W/\"2\"", "\"1\", \"3\"", ""] {
            cancel(&[("if-match", stale)]).await.assert_problem(412, "stale");
        }
        cancel(&[("if-none-match", "*")]).await.assert_problem(412, "stale");
        cancel(&[("if-match", "\"2\""), ("if-match", "2")]).await.assert_problem(400, "malformed");
        assert_eq!((shop.native.log(), shop.orders.get(path).await.header("etag")), (before, "\"2\""));
        let cancelled = cancel(&[("if-match", "\"1\""), ("if-match", "\"2\"")]).await;
        assert_eq!((cancelled.status, cancelled.header("etag")), (200, "\"3\""));
    }
    let unknown = shop.orders.call("DELETE", "/orders/unknown", &[("if-match", "*")], None).await;
    unknown.assert_problem(404, "not-found");
}

#[tokio::test]
async fn an_order_is_placed_unless_the_list_should_be_another() {
    let shop = shop().await;
    let place = async |name, value| shop.orders.call("POST", "/orders", &[(name, value)], Some(placement(CARD))).await;
    let before = shop.native.log();
    place("if-match", "\"1\"").await.assert_problem(412, "stale");
    place("if-none-match", "*").await.assert_problem(412, "stale");
    assert_eq!(shop.native.log(), before);
    assert_eq!(place("if-match", "*").await.status, 201);
}

#[tokio::test]
async fn a_members_orders_are_read_page_by_page() {
    let shop = shop().await;
    let mut made: Vec<Json> = vec![];
    for _ in 0..3 {
        made.insert(0, shop.place().await.body["id"].clone());
    }
    let first = shop.orders.get("/orders?member_id=member-1&limit=2").await;
    let next = shop.orders.get(&format!("/orders?member_id=member-1&after={}", first.text("/next"))).await;
    let found: Vec<Json> = first.items().iter().chain(next.items()).map(|order| order["id"].clone()).collect();
    assert_eq!((found, &next.body["next"]), (made, &Json::Null));
    assert_eq!(shop.orders.get("/orders?member_id=member-2").await.items().len(), 0);
    assert_eq!(shop.orders.get("/orders").await.items().len(), 3);
    assert_eq!((shop.native.scans(), shop.payment.scans()), (vec![], vec![]));
}

#[tokio::test]
async fn bad_input_is_refused_before_anything_happens() {
    let shop = shop().await;
    let before = shop.native.log();
    let with = |pointer: &str, value: Json| {
        let mut body = placement(CARD);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (pointer, value, status) in [
        ("/quantity", json!(0), 422),
        ("/quantity", json!(100), 422),
        ("/quantity", json!(1e300), 422),
        ("/quantity", json!(1.5), 400),
        ("/quantity", json!("2"), 400),
        ("/product_id", json!("nobody"), 422),
        ("/address", json!("\u{0}"), 422),
        ("/payment", json!(null), 400),
        ("/payment/card_number", json!("4111111111111112"), 422),
        ("/payment/card_number", json!(4_111_111_111_111_111_u64), 400),
        ("/payment", json!(CARD), 400),
        ("/payment", json!({"card_number": CARD, "card_owner": "Kim Mina", "cvc": "123"}), 400),
    ] {
        let refused = shop.orders.post("/orders", with(pointer, value.clone())).await;
        refused.assert_problem(status, if status == 400 { "malformed" } else { "invalid" });
        assert!(!refused.body.to_string().contains("411111111111111"), "{pointer} {value}: {refused:?}");
    }
    let number = [("idempotency-key", "")];
    shop.orders.call("POST", "/orders", &number, Some(placement(CARD))).await.assert_problem(400, "malformed");
    assert_eq!(shop.native.log(), before);
}

#[tokio::test]
async fn a_card_number_is_kept_nowhere() {
    let shop = shop().await;
    let spaced = "4111 1111-1111 1111";
    let mut answers = vec![shop.place_once("a", CARD).await, shop.place_once("b", DECLINED).await];
    answers.push(shop.place_once("c", spaced).await);
    shop.fault("failing");
    answers.push(shop.place_once("d", CARD).await);
    shop.fault("none");
    answers.push(shop.orders.get("/orders").await);
    answers.push(shop.payments.get("/payments").await);
    assert!(answers.iter().all(|answer| [200, 201, 402, 503].contains(&answer.status)), "{answers:?}");
    let kept = format!("{} {answers:?}", shop.native.everything());
    for number in [CARD, DECLINED, spaced] {
        assert!(!kept.contains(number), "{number} is in {kept}");
    }
    assert!(kept.contains("**** 1111"));
}

#[tokio::test]
async fn a_busy_database_is_503_and_can_be_tried_again() {
    let shop = shop().await;
    shop.native.set_patience(Duration::from_millis(20));
    let lock = shop.native.lock();
    shop.place_once("k", CARD).await.assert_problem(503, "busy");
    drop(lock);
    let placed = tokio::time::timeout(DEADLINE, shop.place_once("k", CARD)).await.unwrap();
    assert_eq!((placed.status, shop.native.calls(CHARGE)), (201, 1));
}
