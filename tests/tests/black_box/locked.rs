//! Another process holds the write lock of the database.

use tests::{Fault, Lock, Mode, Scene, Shop, own, seed, text, unique};

own!(while_the_database_is_locked_orders_are_refused_and_nothing_is_half_done, a_lock_now_and_then_costs_nothing);

fn while_the_database_is_locked_orders_are_refused_and_nothing_is_half_done(mode: Mode) {
    let shop = Shop::start(mode).open();
    let kit = shop.kit(5);
    let order = shop.order_under_way(&kit, 1);
    shop.come_to_rest().unwrap();
    let head = shop.events(&order.id).0.last().unwrap().seq();

    let lock = Lock::take(&shop);
    let (key, body) = (unique("key"), Shop::order_body(&kit, &unique("member"), 1));
    let place = || shop.call("POST", "/orders").json(&body).header("idempotency-key", &key).send();
    // Each waits for the lock for 5 s, so in the end it was held for 10 s.
    for _ in 0..2 {
        place().problem(503);
        // Whoever only reads does not need it.
        assert_eq!(shop.status(&order.id), "delivery_requested");
        assert_eq!(shop.events_after(head), []);
    }
    drop(lock);

    let id = text(&place().is(201)["id"]);
    shop.wait_for(&id, &tests::UNDER_WAY);
    assert_eq!(shop.stock(&kit), 3);
    shop.audit().assert_balanced(2);
}

fn a_lock_now_and_then_costs_nothing(mode: Mode) {
    let mut scene = Scene::open(Shop::start(mode), seed());
    scene.strike(Fault::Lock);
    scene.end().assert_balanced(10);
}
