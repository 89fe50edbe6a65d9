//! My page can be built anew from the log, at any time.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tests::{CARD, Json, Mode, Shop, all_at_once, json, own, text};

own!(my_page_rebuilt_is_the_same_and_answers_meanwhile, ten_rebuilds_at_once_come_to_an_end);

fn my_page_rebuilt_is_the_same_and_answers_meanwhile(mode: Mode) {
    let shop = Shop::start(mode).open();
    let (kit, scarce) = (shop.kit(500), shop.kit(0));
    let mut orders = vec![];
    for number in 0..40 {
        let id = match number % 4 {
            0 => shop.order(&kit, 1).id,
            1 => text(&shop.try_order(&kit, 1, "4000000000000002").problem(402)["correlation_id"]),
            2 => shop.order(&scarce, 1).id,
            _ => shop.order_under_way(&kit, 1).id,
        };
        match number % 8 {
            3 => drop(shop.complete(&id).is(200)),
            7 => drop(shop.cancel(&id).is(200)),
            _ => {}
        }
        orders.push(id);
    }
    shop.act("/catch-up").is(200);
    let before: Vec<Json> = orders.iter().map(|id| shop.get(&format!("/mypages/{id}")).is(200)).collect();
    let listed = pages(&shop);
    assert_eq!(listed.len(), orders.len());

    let (done, reads) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (shop, orders, before, done, reads) = (&shop, &orders, &before, &done, &reads);
            scope.spawn(move || {
                for number in (reader..).step_by(7) {
                    let place = number % orders.len();
                    let page = shop.get(&format!("/mypages/{}", orders[place]));
                    assert_eq!(page.is(200), before[place], "while it is rebuilt");
                    reads.fetch_add(1, Ordering::SeqCst);
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        // Stops the readers, also when the rebuild fails.
        let _stop = Stop(&done);
        for _ in 0..5 {
            shop.act("/mypages/rebuild").is(200);
        }
    });
    assert!(reads.load(Ordering::SeqCst) >= 2, "it was read meanwhile");
    let after: Vec<Json> = orders.iter().map(|id| shop.get(&format!("/mypages/{id}")).is(200)).collect();
    assert_eq!(after, before);
    assert_eq!(pages(&shop), listed);

    // It goes on from there; and what happens during a rebuild is in it, too.
    std::thread::scope(|scope| {
        let rebuild = scope.spawn(|| shop.act("/mypages/rebuild").is(200));
        let id = text(&shop.try_order(&kit, 1, CARD).is(201)["id"]);
        let events = shop.wait_for(&id, &tests::UNDER_WAY);
        rebuild.join().unwrap();
        shop.wait_for_page(&id, &events, [json!("delivery_requested"), json!("completed"), json!("requested")]);
    });
    assert_eq!(pages(&shop).len(), orders.len() + 1);
}

fn ten_rebuilds_at_once_come_to_an_end(mode: Mode) {
    let shop = Shop::start(mode).open();
    let kit = shop.kit(500);
    all_at_once(10, |_| (0..10).for_each(|_| drop(shop.order(&kit, 1))));
    shop.act("/catch-up").is(200);
    let before = pages(&shop);
    assert_eq!(before.len(), 100);
    for answer in all_at_once(10, |_| shop.act("/mypages/rebuild")) {
        // One at a time is enough; but whoever is sent away is told so, soon.
        assert!([200, 503].contains(&answer.status), "{answer}");
    }
    assert_eq!(pages(&shop), before);
    shop.act("/mypages/rebuild").is(200);
    assert_eq!(pages(&shop), before);
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn pages(shop: &Shop) -> Vec<Json> {
    shop.get("/mypages?limit=100").is(200)["items"].as_array().expect("items").clone()
}
