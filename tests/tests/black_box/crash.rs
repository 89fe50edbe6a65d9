//! What was answered stays, even if the power goes.

use std::sync::Mutex;
use tests::{Mode, Shop, eventually, own, text, unique};

own!(what_was_answered_survives_a_kill, an_order_whose_request_died_is_closed_by_the_next_catch_up);

fn what_was_answered_survives_a_kill(mode: Mode) {
    let mut shop = Shop::start(mode).open();
    let kit = shop.kit(100_000);
    let answered = Mutex::new(Vec::<(String, String)>::new());
    let unanswered = Mutex::new(Vec::<(String, String)>::new());
    let client = shop.client().clone();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let (member, key) = (unique("member"), unique("key"));
                    let call = client.call("POST", "/orders").json(&Shop::order_body(&kit, &member, 1));
                    match call.header("idempotency-key", &key).try_send() {
                        Ok(answer) => answered.lock().unwrap().push((text(&answer.is(201)["id"]), member)),
                        Err(_) => return unanswered.lock().unwrap().push((key, member)),
                    }
                }
            });
        }
        eventually("40 orders", || match answered.lock().unwrap().len() {
            40.. => Ok(()),
            orders => Err(orders),
        });
        // In the middle of four requests.
        shop.crash();
    });
    shop.start_again();
    let answered = answered.into_inner().unwrap();
    for (id, member) in &answered {
        let order = shop.get(&format!("/orders/{id}")).is(200);
        assert_eq!(order["member_id"], member.as_str());
        assert!(["paid", "delivery_requested"].contains(&order["status"].as_str().unwrap()), "{order}");
        assert_eq!(shop.payment(id).unwrap()["status"], "completed");
    }
    // Whoever got no answer asks again, with the same key, and gets one order.
    let unanswered = unanswered.into_inner().unwrap();
    for (key, member) in &unanswered {
        let call = shop.call("POST", "/orders").json(&Shop::order_body(&kit, member, 1));
        let id = text(&call.header("idempotency-key", key).send().is(201)["id"]);
        let orders = shop.get(&format!("/orders?member_id={member}")).is(200);
        assert_eq!(orders["items"].as_array().unwrap().len(), 1, "{orders}");
        assert_eq!(orders["items"][0]["id"], id.as_str());
    }
    // And what should follow by events does, though bells were lost with the process.
    shop.act("/catch-up").is(200);
    for (id, _) in &answered {
        shop.wait_for(id, &tests::UNDER_WAY);
    }
    assert_eq!(shop.stock(&kit), 100_000 - (answered.len() + unanswered.len()) as i64);
}

fn an_order_whose_request_died_is_closed_by_the_next_catch_up(mode: Mode) {
    let mut shop = Shop::start(mode)
        .variable("sandbox_fault", "slow")
        .variable("sandbox_delay_ms", 20_000)
        .variable("payment_timeout_ms", 20_000)
        .variable("pending_timeout_ms", 300)
        .open();
    let (kit, member) = (shop.kit(5), unique("member"));
    let client = shop.client().clone();
    let only = |shop: &Shop| {
        let orders = shop.get(&format!("/orders?member_id={member}")).is(200);
        match orders["items"].as_array().expect("items").as_slice() {
            [order] => Ok(order.clone()),
            _ => Err(orders),
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| client.call("POST", "/orders").json(&Shop::order_body(&kit, &member, 1)).try_send());
        let order = eventually("a pending order", || only(&shop));
        assert_eq!(order["status"], "pending");
        shop.crash();
    });
    shop.start_again();
    let order = eventually("closed", || {
        shop.act("/catch-up").is(200);
        match only(&shop) {
            Ok(order) if order["status"] == "pending" => Err(order),
            order => order,
        }
    });
    assert_eq!((&order["status"], &order["reason"]), (&"rejected".into(), &"payment_unavailable".into()));
    let id = text(&order["id"]);
    assert_eq!(shop.events(&id).types(), ["OrderPlaced", "OrderRejected"]);
    assert_eq!(shop.payment(&id), None);
    assert_eq!(shop.stock(&kit), 5);
}
