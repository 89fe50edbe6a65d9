//! The circuit breaker between order and payment.

use std::time::{Duration, Instant};
use tests::{Answer, CARD, Kit, Mode, Shop, eventually, own, text};

own!(the_breaker_opens_tries_and_closes);

/// An order that asks payment takes at least this long, while payment is slow.
const TIMEOUT: Duration = Duration::from_millis(800);
/// One that does not takes less than this, on a busy machine too.
const AT_ONCE: Duration = Duration::from_millis(500);

fn the_breaker_opens_tries_and_closes(mode: Mode) {
    let mut shop = Shop::start(mode)
        .variable("sandbox_fault", "slow")
        .variable("sandbox_delay_ms", 3_000)
        .variable("payment_timeout_ms", TIMEOUT.as_millis())
        .variable("breaker_failures", 3)
        .variable("breaker_cooldown_ms", 2_000)
        .open();
    let kit = shop.kit(50);

    // Closed: each order waits for its payment.
    for _ in 0..3 {
        let (answer, took) = order(&shop, &kit);
        answer.problem(503);
        assert!(took >= TIMEOUT, "payment was not asked: {took:?}");
    }
    // Open: no call is made.
    let (answer, took) = order(&shop, &kit);
    let id = text(&answer.problem(503)["correlation_id"]);
    assert!(took < AT_ONCE, "payment was asked: {took:?}");
    let retry_after: u64 = answer.header("retry-after").expect("when to come back").parse().expect("seconds");
    assert!((1..=2).contains(&retry_after), "{retry_after}");
    assert_eq!(shop.events(&id).types(), ["OrderPlaced", "OrderRejected"]);

    // Half-open: one order tries, and finds it as it was.
    let tried = eventually("an order that tries", || match order(&shop, &kit) {
        (answer, took) if took >= TIMEOUT => Ok(answer),
        (answer, took) => Err(format!("{answer} in {took:?}")),
    });
    tried.problem(503);
    // Open again.
    let (answer, took) = order(&shop, &kit);
    answer.problem(503);
    assert!(took < AT_ONCE, "payment was asked: {took:?}");

    // Its state outlives the instances: payment is well again, but nobody has tried yet.
    shop.restart_with(&[("sandbox_fault", "none"), ("breaker_cooldown_ms", "600000")]);
    order(&shop, &kit).0.problem(503);
    // Half-open, and the try succeeds: closed.
    shop.restart_with(&[("breaker_cooldown_ms", "1")]);
    order(&shop, &kit).0.is(201);
    // Closed for whoever comes next.
    shop.restart_with(&[("breaker_cooldown_ms", "600000")]);
    order(&shop, &kit).0.is(201);
    eventually("only what was paid was taken", || match shop.stock(&kit) {
        48 => Ok(()),
        stock => Err(stock),
    });
}

fn order(shop: &Shop, kit: &Kit) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = shop.try_order(kit, 1, CARD);
    (answer, began.elapsed())
}
