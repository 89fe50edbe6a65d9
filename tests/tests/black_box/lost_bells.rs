//! A bell that is lost loses nothing.

use tests::{CARD, Json, Mode, Shop, own, text};

own!(
    later_reads_see_everything_though_no_bell_rings,
    without_a_kit_there_is_no_delivery,
    a_catch_up_brings_all_contexts_to_the_end_of_the_log,
);

/// A shop whose bells nobody hears.
fn deaf_shop(mode: Mode) -> Shop {
    match mode {
        Mode::Redis => {
            let mut shop = Shop::start(mode).open();
            shop.lose_redis();
            shop
        }
        // Nobody is there to pass them on.
        Mode::Http => Shop::start(mode).variable("journal_url", "http://127.0.0.1:1").open(),
    }
}

fn later_reads_see_everything_though_no_bell_rings(mode: Mode) {
    let shop = deaf_shop(mode);
    let kit = shop.kit(5);
    let id = text(&shop.try_order(&kit, 2, CARD).is(201)["id"]);
    assert_eq!(shop.events(&id).types(), ["OrderPlaced", "PaymentCompleted"], "nobody else was woken up");

    // Each context sees what stands in the log as soon as it is asked.
    assert_eq!(shop.stock(&kit), 3);
    assert_eq!(shop.delivery(&id).unwrap()["status"], "requested");
    assert_eq!(shop.status(&id), "delivery_requested");
    assert_eq!(shop.told(&id).len(), 1);
    let events = shop.wait_for(&id, &tests::UNDER_WAY);
    shop.wait_for_page(&id, &events, ["delivery_requested", "completed", "requested"].map(Json::from));

    // The way back, too.
    shop.cancel(&id).is(200);
    assert_eq!(shop.payment(&id).unwrap()["status"], "cancelled");
    assert_eq!(shop.stock(&kit), 5);
    assert_eq!(shop.delivery(&id).unwrap()["status"], "cancelled");
    assert_eq!(shop.told(&id).len(), 3);

    // And a decision sees what it needs: a delivery that was asked for at once is not refused for want of a kit.
    let id = text(&shop.try_order(&kit, 1, CARD).is(201)["id"]);
    assert_eq!(shop.stock(&kit), 4);
    shop.complete(&id).is(200);
    shop.cancel(&id).problem(409);
}

fn without_a_kit_there_is_no_delivery(mode: Mode) {
    let shop = deaf_shop(mode);
    let kit = shop.kit(1);
    let order = shop.order(&kit, 1);
    // Nobody has told product yet, so nobody knows whether there is a kit.
    shop.complete(&order.id).problem(409);
    assert_eq!(shop.delivery(&order.id).unwrap()["status"], "requested");
    assert_eq!(shop.stock(&kit), 0);
    shop.complete(&order.id).is(200);

    let order = shop.order(&kit, 1);
    shop.complete(&order.id).problem(409);
    assert_eq!(shop.stock(&kit), 0, "and there was none");
    shop.complete(&order.id).problem(409);
    assert_eq!(shop.status(&order.id), "cancelled");
    shop.complete(&order.id).problem(409);
    assert_eq!(shop.delivery(&order.id).unwrap()["status"], "cancelled");
}

fn a_catch_up_brings_all_contexts_to_the_end_of_the_log(mode: Mode) {
    let shop = deaf_shop(mode);
    let (kit, scarce) = (shop.kit(5), shop.kit(0));
    let paid = text(&shop.try_order(&kit, 2, CARD).is(201)["id"]);
    let out_of_stock = text(&shop.try_order(&scarce, 1, CARD).is(201)["id"]);
    let cancelled = text(&shop.try_order(&kit, 1, CARD).is(201)["id"]);
    shop.cancel(&cancelled).is(200);

    let caught_up = shop.act("/catch-up").is(200);
    let contexts = manifest::contexts();
    for context in &contexts {
        assert_eq!(caught_up["contexts"][context]["lag"], 0, "{context}: {caught_up}");
    }
    // So nothing moves any more, although nobody was asked: the whole story stands in the log.
    let all = shop.events_after(0);
    assert!(shop.events(&paid).are(&tests::UNDER_WAY), "{:?}", shop.events(&paid).types());
    for id in [&out_of_stock, &cancelled] {
        let events = shop.events(id);
        assert!(events.has("PaymentCancelled") && events.has("DeliveryCancelled"), "{:?}", events.types());
    }
    let head = all.last().unwrap().seq();
    for context in &contexts {
        assert!(caught_up["contexts"][context]["cursor"].as_i64().unwrap() <= head, "{caught_up}");
    }
    let again = shop.act("/catch-up").is(200);
    assert_eq!(shop.events_after(head), [], "{again}");
    assert_eq!(shop.stock(&kit), 3);
    assert_eq!(shop.stock(&scarce), 0);
}
