//! Events that cannot be worked off: they stop their own order's line, and no other.

use tests::{Event, Events, Json, Mode, Shop, UNDER_WAY, eventually, json, own, text};

own!(a_poisoned_order_waits_and_all_others_go_on, a_letter_that_works_after_all_is_resolved);

fn shop(mode: Mode) -> Shop {
    Shop::start(mode).variable("retry_backoff_ms", 20).variable("retry_limit", 3).open()
}

/// The open letters of a context.
fn letters(shop: &Shop, context: &str) -> Vec<Json> {
    shop.get(&format!("/dead-letters?context={context}")).is(200)["items"].as_array().unwrap().clone()
}

/// Waits until a context has only this one letter, and it is dead.
fn dead_letter(shop: &Shop, context: &str) -> Json {
    eventually("dead", || {
        shop.act("/catch-up").is(200);
        match letters(shop, context).as_slice() {
            [letter] if letter["status"] == "dead" => Ok(letter.clone()),
            letters => Err(json!(letters)),
        }
    })
}

fn a_poisoned_order_waits_and_all_others_go_on(mode: Mode) {
    let shop = shop(mode);
    let kit = shop.kit(50);
    let order = shop.order_under_way(&kit, 1);
    shop.come_to_rest().unwrap();
    // Nobody in the shop writes such a thing: a payment without anything in it.
    let sequence = shop.poison(&order.id, "OrderCancelled", "{}");

    // It is tried so often, and then it is dead; whoever looks at it sees why.
    for context in ["payment", "delivery", "customer-center"] {
        let letter = dead_letter(&shop, context);
        assert_eq!(letter["id"], format!("{context}-{sequence}"));
        assert_eq!((&letter["subject"], &letter["tries"]), (&json!(order.id), &json!(3)), "{letter}");
        assert!(letter["error"].as_str().is_some_and(|error| !error.is_empty()), "{letter}");
    }
    // Others go on, in all contexts, and no cursor stands still.
    let other = shop.order_under_way(&kit, 1);
    shop.cancel(&other.id).is(200);
    let rest = shop.act("/catch-up").is(200);
    for (context, at) in rest["contexts"].as_object().unwrap() {
        assert_eq!(at["lag"], 0, "{context}: {rest}");
    }
    assert_eq!(shop.payment(&other.id).unwrap()["status"], "cancelled");

    // What is to be done to the order waits, and whoever asks for it is told so.
    let delivery = text(&shop.delivery(&order.id).unwrap()["id"]);
    let refused = shop.act(&format!("/deliveries/{delivery}/complete"));
    assert!(refused.problem(503)["type"].as_str().unwrap().ends_with("delayed"), "{refused}");
    let page = shop.get(&format!("/mypages/{}", order.id)).is(200);
    let delayed: Vec<_> = page["timeline"].as_array().unwrap().iter().filter(|line| line["delayed"] == true).collect();
    assert!(delayed.iter().any(|line| line["seq"] == sequence), "{page}");

    // Somebody decides that it has no effect, and says why.
    for context in ["payment", "delivery", "customer-center"] {
        let path = format!("/dead-letters/{context}-{sequence}/discard");
        shop.act(&path).problem(422);
        let letter = shop.post(&path, &json!({"reason": "nobody cancelled"})).is(200);
        assert_eq!((&letter["status"], &letter["reason"]), (&json!("discarded"), &json!("nobody cancelled")));
        shop.post(&path, &json!({"reason": "again"})).problem(409);
    }
    shop.act("/dead-letters/payment-999999/retry").problem(404);
    shop.complete(&order.id).is(200);
    let rest = shop.act("/catch-up").is(200);
    assert_eq!(shop.status(&order.id), "delivered", "{rest}");
    let events = shop.events(&order.id);
    assert_eq!(events.all("HandlingDelayed").len(), events.all("HandlingResumed").len(), "{:?}", events.types());
    assert!(!events.all("HandlingDelayed").is_empty(), "{:?}", events.types());
    let page = shop.get(&format!("/mypages/{}", order.id)).is(200);
    assert!(page["timeline"].as_array().unwrap().iter().all(|line| line.get("delayed").is_none()), "{page}");
}

fn a_letter_that_works_after_all_is_resolved(mode: Mode) {
    let shop = shop(mode);
    let kit = shop.kit(50);
    let order = shop.order_under_way(&kit, 2);
    shop.come_to_rest().unwrap();
    // The database refuses what should follow from it, for this order only.
    shop.refuse_rows("delivery", &order.id);
    shop.cancel(&order.id).is(200);
    let letter = dead_letter(&shop, "delivery");
    let id = text(&letter["id"]);
    assert_eq!(shop.delivery(&order.id).unwrap()["status"], "requested");
    // Everybody else has done their part, and so has delivery for others.
    assert_eq!((shop.status(&order.id), shop.stock(&kit)), ("cancelled".into(), 50));
    shop.order_under_way(&kit, 1);

    assert_eq!(shop.act(&format!("/dead-letters/{id}/retry")).is(200)["status"], "dead", "it fails again");
    shop.accept_rows("delivery");
    assert_eq!(shop.act(&format!("/dead-letters/{id}/retry")).is(200)["status"], "resolved");
    assert_eq!(shop.delivery(&order.id).unwrap()["status"], "cancelled");
    let events =
        Events(shop.events(&order.id).0.into_iter().filter(|event: &Event| event.kind != "Notified").collect());
    events.assert_order(&["OrderCancelled", "HandlingDelayed", "HandlingResumed"]);
    assert_eq!(letters(&shop, "delivery"), Vec::<Json>::new());
    shop.audit().assert_balanced(2);
    assert!(events.has(UNDER_WAY[0]));
}
