//! A payment gateway over HTTP that keeps its own books, and fails in all ways; in the end its books equal the log.

use std::time::Duration;
use tests::{
    Builder, CARD, Fault, Gateway, Kit, Ledger, Mode, Mood, Scene, Setting, Shop, TOKEN, eventually, own, seed, text,
    unique,
};

own!(
    money_is_taken_once_and_given_back_once,
    whatever_ails_the_gateway_no_money_is_kept_without_an_order,
    an_order_killed_between_charge_and_commit_is_paid_when_it_is_asked_for_again,
    an_order_killed_between_charge_and_commit_gets_its_money_back_when_nobody_asks,
    whatever_the_gateway_does_its_books_equal_the_log,
);

fn with(gateway: &Gateway, mode: Mode) -> Builder {
    Shop::start(mode)
        .variable("payment_gateway_url", gateway.url())
        .variable("payment_gateway_token", TOKEN)
        .variable("gateway_timeout_ms", 300)
        .variable("payment_timeout_ms", 600)
        .variable("pending_timeout_ms", 700)
        .variable("breaker_failures", 1_000)
}

fn assert_balanced(shop: &Shop, gateway: &Gateway, orders: usize) {
    shop.audit_with(&Ledger::default(), Some(gateway)).assert_balanced(orders);
}

fn money_is_taken_once_and_given_back_once(mode: Mode) {
    let gateway = Gateway::open(seed());
    let shop = with(&gateway, mode).open();
    let kit = shop.kit(5);
    let order = shop.order_under_way(&kit, 2);
    let account = gateway.books()[&order.id].clone();
    assert_eq!((account.charged, account.refunded, account.amount), (1, 0, 24_000));
    assert_eq!(shop.payment(&order.id).unwrap()["approval_number"].as_str(), account.approval_number.as_deref());
    shop.cancel(&order.id).is(200);
    // The refund gets there by the catch-up.
    eventually("the refund", || {
        shop.act("/catch-up").is(200);
        match gateway.books()[&order.id].refunded {
            1 => Ok(()),
            refunded => Err(refunded),
        }
    });
    shop.try_order(&kit, 1, "4000000000000002").problem(402);
    assert_balanced(&shop, &gateway, 2);
}

fn whatever_ails_the_gateway_no_money_is_kept_without_an_order(mode: Mode) {
    let gateway = Gateway::open(seed());
    let shop = with(&gateway, mode).open();
    let kit = shop.kit(50);
    for mood in [Mood::Late(Duration::from_secs(2)), Mood::Failing, Mood::FailingAfterwards] {
        gateway.is(mood);
        for _ in 0..2 {
            shop.try_order(&kit, 1, CARD).problem(503);
        }
    }
    let taken = gateway.books().values().filter(|account| account.charged == 1).count();
    assert!(taken >= 4, "it took the money and did not say so: {:?}", gateway.books());
    gateway.is(Mood::Well);
    shop.order_under_way(&kit, 1);
    assert_balanced(&shop, &gateway, 7);
    assert!(gateway.books().values().filter(|account| account.refunded == 1).count() >= taken);
    assert_eq!(shop.stock(&kit), 49);
}

/// A shop that was killed when the gateway had taken the money, and nothing was committed of it.
fn killed_in_mid_charge(mode: Mode, gateway: &Gateway) -> (Shop, Kit, impl Fn(&Shop) -> tests::Answer) {
    let mut shop = with(gateway, mode).open();
    let kit = shop.kit(5);
    let (key, body) = (unique("key"), Shop::order_body(&kit, &unique("member"), 1));
    gateway.hold_next();
    let client = shop.client().clone();
    std::thread::scope(|scope| {
        let call = client.call("POST", "/orders").json(&body).header("idempotency-key", &key);
        let ordering = scope.spawn(|| call.try_send().is_ok());
        gateway.wait_until_held();
        shop.crash();
        assert!(!ordering.join().unwrap(), "it was answered");
    });
    gateway.answer_held();
    let charged: Vec<_> = gateway.books().into_values().collect();
    assert!(matches!(&charged[..], [account] if account.charged == 1 && account.refunded == 0), "{charged:?}");
    shop.start_again();
    (shop, kit, move |shop| shop.call("POST", "/orders").json(&body).header("idempotency-key", &key).send())
}

fn an_order_killed_between_charge_and_commit_is_paid_when_it_is_asked_for_again(mode: Mode) {
    let gateway = Gateway::open(seed());
    let (shop, kit, again) = killed_in_mid_charge(mode, &gateway);
    let id = text(&again(&shop).is(201)["id"]);
    let account = gateway.books()[&id].clone();
    assert_eq!((account.charged, account.refunded), (1, 0), "the same charge");
    assert_balanced(&shop, &gateway, 1);
    assert_eq!(shop.stock(&kit), 4);
}

fn an_order_killed_between_charge_and_commit_gets_its_money_back_when_nobody_asks(mode: Mode) {
    let gateway = Gateway::open(seed());
    let (shop, kit, _) = killed_in_mid_charge(mode, &gateway);
    // The catch-up alone settles it: either way the books are equal.
    assert_balanced(&shop, &gateway, 1);
    let events = shop.events_after(0);
    let live = events.iter().any(|event| event.kind == "PaymentCompleted");
    assert_eq!(shop.stock(&kit), if live { 4 } else { 5 });
}

fn whatever_the_gateway_does_its_books_equal_the_log(mode: Mode) {
    let seed = seed();
    let setting = Setting { gateway: Some(Gateway::open(seed)), ..Setting::default() };
    let mut scene = Scene::open_with(Shop::start(mode), seed, setting);
    for fault in [Fault::Gateway, Fault::KillBeforeCommit, Fault::Gateway, Fault::KillBeforeCommit] {
        scene.strike(fault);
    }
    scene.end().assert_balanced(30);
}
