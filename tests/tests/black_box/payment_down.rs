//! Without payment, no order: whatever ails the payment, no order is left open and no money is kept.

use std::time::Duration;
use tests::{CARD, Events, Json, Kit, Mode, Shop, all_at_once, eventually, json, own, text, throughout, unique};

own!(
    a_failing_payment_leaves_nothing_behind,
    an_unreachable_gateway_leaves_nothing_behind,
    a_payment_that_is_not_there_leaves_nothing_behind,
    a_payment_that_comes_too_late_is_refused,
    a_payment_in_the_last_moment_counts_or_is_refused,
    without_the_condition_an_order_may_be_both_paid_and_rejected,
    a_slow_payment_within_its_time_is_a_payment,
    an_order_cancelled_while_it_is_paid_keeps_no_money,
    an_order_refused_for_want_of_payment_can_be_placed_again_with_its_key,
);

fn a_failing_payment_leaves_nothing_behind(mode: Mode) {
    refused(&Shop::start(mode).variable("sandbox_fault", "failing").open());
}

fn an_unreachable_gateway_leaves_nothing_behind(mode: Mode) {
    refused(&Shop::start(mode).variable("sandbox_fault", "unreachable").open());
}

fn a_payment_that_is_not_there_leaves_nothing_behind(mode: Mode) {
    let shop = Shop::start(mode).variable("payment_url", "http://127.0.0.1:1").open();
    refused(&shop);
    // Whoever asks all contexts to catch up is told that one did not answer.
    let problem = shop.act("/catch-up").problem(503);
    assert!(problem.to_string().contains("payment"), "which one? {problem}");
}

/// Orders, is refused, and looks for what might have been left behind.
fn refused(shop: &Shop) {
    let kit = shop.kit(5);
    let answer = shop.try_order(&kit, 1, CARD);
    let id = text(&answer.problem(503)["correlation_id"]);
    let retry_after = answer.header("retry-after").expect("when to come back").parse::<u64>().expect("seconds");
    assert!((1..=60).contains(&retry_after), "{answer}");
    let events = assert_rejected(shop, &id);
    shop.wait_for_page(&id, &events, [json!("rejected"), Json::Null, Json::Null]);
    assert_eq!(shop.delivery(&id), None);
    assert_eq!(shop.stock(&kit), 5);
    shop.cancel(&id).problem(409);
    assert_rejected(shop, &id);
}

fn assert_rejected(shop: &Shop, id: &str) -> Events {
    let order = shop.get(&format!("/orders/{id}")).is(200);
    assert_eq!((&order["status"], &order["reason"]), (&json!("rejected"), &json!("payment_unavailable")));
    let events = shop.events(id);
    assert_eq!(events.types(), ["OrderPlaced", "OrderRejected"]);
    events.assert_well_formed(id);
    assert_eq!(shop.payment(id), None);
    events
}

fn a_payment_that_comes_too_late_is_refused(mode: Mode) {
    let shop = Shop::start(mode)
        .variable("sandbox_fault", "slow")
        .variable("sandbox_delay_ms", 800)
        .variable("payment_timeout_ms", 200)
        .open();
    let kit = shop.kit(5);
    let id = text(&shop.try_order(&kit, 1, CARD).problem(503)["correlation_id"]);
    // The gateway says yes in 600 ms. From now on until well after that there must be no live payment.
    throughout(Duration::from_millis(1_500), || {
        assert_eq!(shop.status(&id), "rejected");
        assert!(!holds_money(&shop, &id), "{:?}", shop.events(&id).types());
    });
    assert_eq!(shop.stock(&kit), 5);
    assert_eq!(shop.delivery(&id), None);
}

fn a_payment_in_the_last_moment_counts_or_is_refused(mode: Mode) {
    let shop = shop_of_last_moments(mode);
    let kit = shop.kit(100);
    let orders = orders_in_the_last_moment(&shop, &kit);
    throughout(Duration::from_millis(600), || {
        for (id, paid) in &orders {
            let events = shop.events(id);
            assert_eq!(shop.status(id) != "rejected", *paid, "{:?}", events.types());
            assert_eq!(holds_money(&shop, id), *paid, "{:?}", events.types());
            assert!(!is_contradictory(&events), "{:?}", events.types());
        }
    });
    let paid = orders.iter().filter(|(_, paid)| *paid).count();
    eprintln!("{paid} of {} were paid in the last moment", orders.len());
    eventually("all paid kits are taken", || match shop.stock(&kit) {
        stock if stock == 100 - paid as i64 => Ok(()),
        stock => Err(stock),
    });
}

/// How often the counter-proof may be tried.
const ROUNDS: usize = 15;

/// The counter-proof: it would be noticed.
fn without_the_condition_an_order_may_be_both_paid_and_rejected(mode: Mode) {
    let shop = shop_of_last_moments(mode);
    let kit = shop.kit(100);
    shop.get("/orders").is(200);
    shop.get("/payments").is(200);
    shop.remove_condition("order");
    shop.remove_condition("payment");
    // Both have to decide within the same milliseconds: that takes some rounds more or fewer.
    let noticed = (0..ROUNDS).any(|_| {
        let orders = orders_in_the_last_moment(&shop, &kit);
        shop.act("/catch-up");
        orders.iter().any(|(id, _)| is_contradictory(&shop.events(id)))
    });
    assert!(noticed, "no order is both");
}

/// Here payment answers just when order gives it up, and both take their time to commit what they decided.
fn shop_of_last_moments(mode: Mode) -> Shop {
    Shop::start(mode)
        .variable("sandbox_fault", "slow")
        .variable("sandbox_delay_ms", 300)
        // Payment commits its intent first.
        .variable("payment_timeout_ms", 318)
        .variable("commit_delay_ms", 10)
        .variable("breaker_failures", 1_000)
        .open()
}

/// Twenty orders, each with whether it was paid.
fn orders_in_the_last_moment(shop: &Shop, kit: &Kit) -> Vec<(String, bool)> {
    let orders = all_at_once(4, |_| {
        let order = |_| match shop.try_order(kit, 1, CARD) {
            answer if answer.status == 201 => (text(&answer.json()["id"]), true),
            answer => (text(&answer.problem(503)["correlation_id"]), false),
        };
        (0..5).map(order).collect::<Vec<_>>()
    });
    orders.concat()
}

/// Whether both won, the payment and the rejection for want of it.
fn is_contradictory(events: &Events) -> bool {
    events.has("PaymentCompleted") && events.has("OrderRejected")
}

/// Whether there is a payment that was not given back; and the log must say the same as the payment.
fn holds_money(shop: &Shop, id: &str) -> bool {
    let status = shop.payment(id).map(|payment| text(&payment["status"]));
    let events = shop.events(id);
    let charged = events.has("PaymentCompleted") && !events.has("PaymentCancelled");
    assert_eq!(status.as_deref() == Some("completed"), charged, "{status:?} {:?}", events.types());
    charged
}

fn a_slow_payment_within_its_time_is_a_payment(mode: Mode) {
    let shop = Shop::start(mode).variable("sandbox_fault", "slow").variable("sandbox_delay_ms", 300).open();
    shop.order_under_way(&shop.kit(1), 1);
}

fn an_order_cancelled_while_it_is_paid_keeps_no_money(mode: Mode) {
    let shop = Shop::start(mode).variable("sandbox_fault", "slow").variable("sandbox_delay_ms", 800).open();
    let (kit, member, key) = (shop.kit(5), unique("member"), unique("key"));
    let body = Shop::order_body(&kit, &member, 1);
    let order = || shop.call("POST", "/orders").header("idempotency-key", &key).json(&body).send();
    let id = std::thread::scope(|scope| {
        let ordering = scope.spawn(order);
        let id = eventually("a pending order", || {
            let orders = shop.get(&format!("/orders?member_id={member}")).is(200);
            orders["items"][0]["id"].as_str().map(str::to_owned).ok_or(orders)
        });
        assert_eq!(shop.status(&id), "pending");
        shop.cancel(&id).is(200);
        for answer in [ordering.join().unwrap(), order()] {
            assert_eq!(answer.problem(409)["order_id"], id.as_str(), "it is not the order, paid");
        }
        id
    });
    shop.act("/catch-up").is(200);
    throughout(Duration::from_millis(300), || {
        assert_eq!(shop.status(&id), "cancelled");
        assert!(!holds_money(&shop, &id), "{:?}", shop.events(&id).types());
    });
    assert_eq!(shop.stock(&kit), 5);
    assert!(shop.delivery(&id).is_none_or(|delivery| delivery["status"] == "cancelled"));
}

fn an_order_refused_for_want_of_payment_can_be_placed_again_with_its_key(mode: Mode) {
    let mut shop = Shop::start(mode).variable("sandbox_fault", "failing").open();
    let (kit, key) = (shop.kit(5), unique("key"));
    let body = Shop::order_body(&kit, &unique("member"), 1);
    let refused =
        shop.call("POST", "/orders").json(&body).header("idempotency-key", &key).send().problem(503)["correlation_id"]
            .clone();
    shop.restart_with(&[("sandbox_fault", "none")]);
    let again = || shop.call("POST", "/orders").json(&body).header("idempotency-key", &key).send();
    let order = again().is(201);
    assert_ne!(order["id"], refused);
    assert_eq!(again().is(201), order);
    shop.wait_for(&text(&order["id"]), &tests::UNDER_WAY);
    assert_rejected(&shop, &text(&refused));
    assert_eq!(shop.stock(&kit), 4);
}
