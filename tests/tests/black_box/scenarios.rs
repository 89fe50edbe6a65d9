//! The ten things that the shop is for: the answers, the events in the log, and the row on my page.

use std::{fs, path::Path};
use tests::{CARD, Json, Shop, UNDER_WAY, eventually, json, shared, text, unique};

shared!(
    s01_a_seller_registers_a_kit,
    s02_a_member_orders_a_kit,
    s03_a_paid_order_has_its_delivery_requested,
    s04_a_paid_order_takes_its_kits_from_the_stock,
    s04_an_order_of_more_kits_than_there_are_cancels_itself,
    s05_a_completed_delivery_makes_the_order_delivered,
    s06_a_member_can_cancel_until_the_kit_is_delivered,
    s07_a_cancelled_order_cancels_its_delivery,
    s08_a_cancelled_order_gives_back_the_money_and_the_kits,
    s09_a_member_sees_all_orders_on_a_page_of_their_own,
    s10_the_seller_and_the_member_are_told_what_happens,
    an_order_can_be_deleted_too,
    an_order_of_a_declined_card_is_rejected,
    an_order_of_too_much_money_is_rejected,
    a_changed_kit_is_ordered_at_its_new_price,
    one_trace_goes_through_all_that_follows_from_a_request,
    a_card_number_is_nowhere_to_be_seen,
);

/// The events of an order that its member cancelled.
const CANCELLED: [&str; 11] = [
    "OrderPlaced",
    "PaymentCompleted",
    "StockDecreased",
    "DeliveryRequested",
    "Notified",
    "OrderCancelled",
    "PaymentCancelled",
    "DeliveryCancelled",
    "StockRestored",
    "Notified",
    "Notified",
];

const DELIVERED: [&str; 7] = [
    "OrderPlaced",
    "PaymentCompleted",
    "StockDecreased",
    "DeliveryRequested",
    "Notified",
    "DeliveryCompleted",
    "Notified",
];

fn s01_a_seller_registers_a_kit(shop: &Shop) {
    let seller = unique("seller");
    let name = format!("Bulgogi {seller}");
    let new = json!({
        "seller_id": seller, "name": name, "description": "For two.", "price": 15_900, "stock": 7,
        "image_url": "https://example.com/bulgogi.jpg",
    });
    let answer = shop.post("/products", &new);
    let kit = answer.is(201);
    let id = text(&kit["id"]);
    assert_eq!(answer.header("location"), Some(format!("/products/{id}").as_str()));
    for (field, given) in new.as_object().unwrap() {
        assert_eq!(&kit[field], given, "{field}");
    }
    assert_eq!((&kit["version"], &kit["updated_at"]), (&json!(1), &kit["created_at"]));
    assert_eq!(shop.get(&format!("/products/{id}")).is(200), kit);
    let found = shop.get(&format!("/products?q={seller}")).is(200);
    assert_eq!(found, json!({"items": [kit], "next": null}));

    let changed = shop.call("PATCH", &format!("/products/{id}")).json(&json!({"price": 14_900})).send().is(200);
    assert_eq!((&changed["price"], &changed["stock"], &changed["version"]), (&json!(14_900), &json!(7), &json!(2)));
}

fn s02_a_member_orders_a_kit(shop: &Shop) {
    let kit = shop.kit(5);
    let member = unique("member");
    let answer = shop.post("/orders", &Shop::order_body(&kit, &member, 2));
    let order = answer.is(201);
    let id = text(&order["id"]);
    assert_eq!(answer.header("location"), Some(format!("/orders/{id}").as_str()));
    assert_eq!(answer.header("x-correlation-id"), Some(id.as_str()), "the order is the key of the conversation");
    let fields = ["member_id", "product_id", "product_name", "quantity", "unit_price", "amount", "address", "reason"];
    let expected = json!([member, kit.id, "Bibimbap", 2, 12_000, 24_000, "1 Sejong-daero, Seoul", null]);
    assert_eq!(Json::from(fields.map(|field| order[field].clone()).to_vec()), expected);
    assert!(["paid", "delivery_requested"].contains(&order["status"].as_str().unwrap()), "{order}");

    let events = shop.wait_for(&id, &UNDER_WAY);
    events.assert_order(&["OrderPlaced", "PaymentCompleted"]);
    let placed = &events.one("OrderPlaced").data;
    assert_eq!((&placed["amount"], &placed["seller_id"]), (&json!(24_000), &json!(kit.seller)));
    shop.wait_for_page(&id, &events, [json!("delivery_requested"), json!("completed"), json!("requested")]);
}

fn s03_a_paid_order_has_its_delivery_requested(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order(&kit, 1);
    let payment = shop.payment(&order.id).expect("a payment");
    let shown = ["order_id", "member_id", "amount", "status", "card", "card_owner", "reason"];
    let expected = json!([order.id, order.member, 12_000, "completed", "**** 1111", "Kim Minji", null]);
    assert_eq!(Json::from(shown.map(|field| payment[field].clone()).to_vec()), expected);
    assert!(payment["approval_number"].as_str().is_some_and(|number| !number.is_empty()), "{payment}");
    assert_eq!(shop.get(&format!("/payments/{}", text(&payment["id"]))).is(200), payment);

    let events = shop.wait_for(&order.id, &UNDER_WAY);
    events.assert_order(&["OrderPlaced", "PaymentCompleted", "DeliveryRequested"]);
    events.assert_caused(&[("PaymentCompleted", "OrderPlaced"), ("DeliveryRequested", "PaymentCompleted")]);
    let delivery = shop.delivery(&order.id).expect("a delivery");
    let shown = ["order_id", "member_id", "address", "status"];
    let expected = json!([order.id, order.member, "1 Sejong-daero, Seoul", "requested"]);
    assert_eq!(Json::from(shown.map(|field| delivery[field].clone()).to_vec()), expected);
    assert_eq!(shop.get(&format!("/deliveries/{}", text(&delivery["id"]))).is(200), delivery);
    assert_eq!(shop.status(&order.id), "delivery_requested");
    shop.wait_for_page(&order.id, &events, [json!("delivery_requested"), json!("completed"), json!("requested")]);
}

fn s04_a_paid_order_takes_its_kits_from_the_stock(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order(&kit, 3);
    let events = shop.wait_for(&order.id, &UNDER_WAY);
    events.assert_order(&["OrderPlaced", "PaymentCompleted", "StockDecreased"]);
    events.assert_caused(&[("StockDecreased", "PaymentCompleted")]);
    assert_eq!(
        events.one("StockDecreased").data,
        json!({"order_id": order.id, "product_id": kit.id, "quantity": 3, "stock": 2})
    );
    assert_eq!(shop.stock(&kit), 2);
}

fn s04_an_order_of_more_kits_than_there_are_cancels_itself(shop: &Shop) {
    let kit = shop.kit(2);
    let order = shop.order(&kit, 3);
    let events = shop.wait_for(
        &order.id,
        &[
            "OrderPlaced",
            "PaymentCompleted",
            "OutOfStock",
            "DeliveryRequested",
            "OrderCancelled",
            "PaymentCancelled",
            "DeliveryCancelled",
            "Notified",
            "Notified",
            "Notified",
            "Notified",
        ],
    );
    events.assert_order(&["OrderPlaced", "PaymentCompleted", "OutOfStock", "OrderCancelled", "PaymentCancelled"]);
    events.assert_order(&["DeliveryRequested", "DeliveryCancelled"]);
    events.assert_caused(&[
        ("OutOfStock", "PaymentCompleted"),
        ("OrderCancelled", "OutOfStock"),
        ("PaymentCancelled", "OrderCancelled"),
        ("DeliveryCancelled", "OrderCancelled"),
    ]);
    assert_eq!(shop.stock(&kit), 2);
    let shown = shop.get(&format!("/orders/{}", order.id)).is(200);
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("cancelled"), &json!("out_of_stock")));
    assert_eq!(shop.payment(&order.id).unwrap()["status"], "cancelled");
    assert_eq!(shop.delivery(&order.id).unwrap()["status"], "cancelled");
    shop.wait_for_page(&order.id, &events, [json!("cancelled"), json!("cancelled"), json!("cancelled")]);
    let of_member = |kind: &str| ("member".to_owned(), order.member.clone(), kind.to_owned());
    assert!(shop.told(&order.id).contains(&of_member("OutOfStock")));
}

fn s05_a_completed_delivery_makes_the_order_delivered(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order_under_way(&kit, 1);
    let delivery = shop.complete(&order.id).is(200);
    assert_eq!(delivery["status"], "completed");
    assert_eq!(shop.complete(&order.id).is(200), delivery, "again: it is completed already");
    assert_eq!(shop.status(&order.id), "delivered");

    let events = shop.wait_for(&order.id, &DELIVERED);
    events.assert_order(&["OrderPlaced", "PaymentCompleted", "StockDecreased", "DeliveryCompleted"]);
    shop.wait_for_page(&order.id, &events, [json!("delivered"), json!("completed"), json!("completed")]);
    assert_eq!(shop.stock(&kit), 4);
}

fn s06_a_member_can_cancel_until_the_kit_is_delivered(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order(&kit, 1);
    let cancel = format!("/orders/{}/cancel", order.id);
    let cancelled = shop.post(&cancel, &json!({"reason": "I cook myself."})).is(200);
    assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("cancelled"), &json!("I cook myself.")));
    let again = shop.post(&cancel, &json!({"reason": "Really."})).is(200);
    assert_eq!(again["reason"], "I cook myself.", "it is cancelled already");
    let events = shop.wait_for(&order.id, &CANCELLED);
    assert_eq!(events.one("OrderCancelled").data["reason"], "I cook myself.");
    shop.wait_for_page(&order.id, &events, [json!("cancelled"), json!("cancelled"), json!("cancelled")]);

    let order = shop.order_under_way(&kit, 1);
    shop.complete(&order.id).is(200);
    shop.cancel(&order.id).problem(409);
    assert_eq!(shop.status(&order.id), "delivered");
    shop.wait_for(&order.id, &DELIVERED);
}

fn s07_a_cancelled_order_cancels_its_delivery(shop: &Shop) {
    let order = shop.order_under_way(&shop.kit(5), 1);
    shop.cancel(&order.id).is(200);
    let events = shop.wait_for(&order.id, &CANCELLED);
    events.assert_order(&["DeliveryRequested", "OrderCancelled", "DeliveryCancelled"]);
    events.assert_caused(&[("DeliveryCancelled", "OrderCancelled")]);
    assert_eq!(shop.delivery(&order.id).unwrap()["status"], "cancelled");
    shop.complete(&order.id).problem(409);
    shop.wait_for(&order.id, &CANCELLED);
}

fn s08_a_cancelled_order_gives_back_the_money_and_the_kits(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order_under_way(&kit, 3);
    assert_eq!(shop.stock(&kit), 2);
    shop.cancel(&order.id).is(200);
    let events = shop.wait_for(&order.id, &CANCELLED);
    events.assert_order(&["PaymentCompleted", "OrderCancelled", "PaymentCancelled", "StockRestored"]);
    events.assert_caused(&[("PaymentCancelled", "OrderCancelled"), ("StockRestored", "PaymentCancelled")]);
    let payment = shop.payment(&order.id).unwrap();
    assert_eq!((&payment["status"], &payment["amount"]), (&json!("cancelled"), &json!(36_000)));
    assert_eq!(events.one("PaymentCancelled").data["amount"], 36_000);
    assert_eq!(shop.stock(&kit), 5);
    shop.wait_for_page(&order.id, &events, [json!("cancelled"), json!("cancelled"), json!("cancelled")]);
}

fn s09_a_member_sees_all_orders_on_a_page_of_their_own(shop: &Shop) {
    let (kit, member) = (shop.kit(9), unique("member"));
    let order = |quantity| text(&shop.post("/orders", &Shop::order_body(&kit, &member, quantity)).is(201)["id"]);
    let ids = [order(1), order(2), order(3)];
    for id in &ids {
        shop.wait_for(id, &UNDER_WAY);
    }
    shop.cancel(&ids[0]).is(200);
    shop.complete(&ids[1]).is(200);
    let events =
        [shop.wait_for(&ids[0], &CANCELLED), shop.wait_for(&ids[1], &DELIVERED), shop.wait_for(&ids[2], &UNDER_WAY)];
    let statuses = [
        ["cancelled", "cancelled", "cancelled"],
        ["delivered", "completed", "completed"],
        ["delivery_requested", "completed", "requested"],
    ];
    let mut pages: Vec<Json> = vec![];
    for ((id, events), statuses) in ids.iter().zip(&events).zip(statuses) {
        pages.push(shop.wait_for_page(id, events, statuses.map(Json::from)));
    }
    for (page, quantity) in pages.iter().zip(1..) {
        let shown = ["member_id", "product_id", "product_name", "quantity", "amount", "address", "card"];
        let expected =
            json!([member, kit.id, "Bibimbap", quantity, 12_000 * quantity, "1 Sejong-daero, Seoul", "**** 1111"]);
        assert_eq!(Json::from(shown.map(|field| page[field].clone()).to_vec()), expected);
    }
    let mut listed = shop.get(&format!("/mypages?member_id={member}")).is(200)["items"].as_array().unwrap().clone();
    listed.sort_by_key(|page| page["quantity"].as_i64());
    assert_eq!(listed, pages);
    let nobody = shop.get(&format!("/mypages?member_id={}", unique("nobody"))).is(200);
    assert_eq!(nobody, json!({"items": [], "next": null}));
}

fn s10_the_seller_and_the_member_are_told_what_happens(shop: &Shop) {
    let kit = shop.kit(5);
    let of_seller = |kind: &str| ("seller".to_owned(), kit.seller.clone(), kind.to_owned());

    let order = shop.order_under_way(&kit, 1);
    let of_member = |kind: &str| ("member".to_owned(), order.member.clone(), kind.to_owned());
    assert_eq!(shop.told(&order.id), [of_seller("PaymentCompleted")]);
    shop.complete(&order.id).is(200);
    shop.wait_for(&order.id, &DELIVERED);
    assert_eq!(shop.told(&order.id), [of_member("DeliveryCompleted"), of_seller("PaymentCompleted")]);

    let order = shop.order_under_way(&kit, 1);
    let of_member = |kind: &str| ("member".to_owned(), order.member.clone(), kind.to_owned());
    shop.cancel(&order.id).is(200);
    shop.wait_for(&order.id, &CANCELLED);
    assert_eq!(
        shop.told(&order.id),
        [of_member("DeliveryCancelled"), of_member("PaymentCancelled"), of_seller("PaymentCompleted")]
    );
    let of_recipient = |recipient: &str| {
        let page = shop.get(&format!("/notifications?recipient={recipient}")).is(200);
        page["items"].as_array().unwrap().len()
    };
    let [member, seller] = [&order.member, &kit.seller];
    let [of_member, of_seller] = [format!("member:{member}"), format!("seller:{seller}")];
    assert_eq!((of_recipient(&of_member), of_recipient(&of_seller)), (2, 2));
    let [of_namesake, of_other] = [format!("seller:{member}"), format!("member:{seller}")];
    assert_eq!((of_recipient(&of_namesake), of_recipient(&of_other)), (0, 0));
    shop.get(&format!("/notifications?recipient={member}")).problem(400);
}

fn an_order_can_be_deleted_too(shop: &Shop) {
    let order = shop.order(&shop.kit(5), 1);
    let deleted = shop.call("DELETE", &format!("/orders/{}", order.id)).send().is(200);
    assert_eq!(deleted["status"], "cancelled");
    shop.wait_for(&order.id, &CANCELLED);
}

fn an_order_of_a_declined_card_is_rejected(shop: &Shop) {
    declined(shop, 12_000, "4000000000000002", "card_declined", "**** 0002");
}

fn an_order_of_too_much_money_is_rejected(shop: &Shop) {
    declined(shop, 10_000_001, CARD, "limit_exceeded", "**** 1111");
    let kit = shop.kit_for(10_000_000, 1);
    shop.try_order(&kit, 1, CARD).is(201);
}

fn declined(shop: &Shop, price: u64, card: &str, reason: &str, shown: &str) {
    let kit = shop.kit_for(price, 5);
    let answer = shop.try_order(&kit, 1, card);
    let problem = answer.problem(402);
    assert!(problem.to_string().contains(reason), "the reason is missing: {problem}");
    let id = text(&problem["correlation_id"]);
    let events = shop.wait_for(&id, &["OrderPlaced", "PaymentDeclined", "OrderRejected"]);
    events.assert_order(&["OrderPlaced", "PaymentDeclined", "OrderRejected"]);
    events.assert_caused(&[("PaymentDeclined", "OrderPlaced"), ("OrderRejected", "PaymentDeclined")]);
    assert_eq!(events.one("OrderRejected").data["reason"], reason);
    let order = shop.get(&format!("/orders/{id}")).is(200);
    assert_eq!((&order["status"], &order["reason"]), (&json!("rejected"), &json!(reason)));
    let payment = shop.payment(&id).expect("what was declined");
    assert_eq!(
        (&payment["status"], &payment["reason"], &payment["card"], &payment["approval_number"]),
        (&json!("declined"), &json!(reason), &json!(shown), &Json::Null)
    );
    shop.cancel(&id).problem(409);
    let page = shop.wait_for_page(&id, &events, [json!("rejected"), json!("declined"), Json::Null]);
    assert_eq!(page["order_id"], id.as_str());
    // What will not come cannot be waited for. But all who might have done something have read the log by now.
    shop.act("/catch-up").is(200);
    assert_eq!(shop.delivery(&id), None);
    assert_eq!(shop.stock(&kit), 5);
    assert_eq!(shop.told(&id), []);
    assert_eq!(shop.events(&id), events);
}

fn a_changed_kit_is_ordered_at_its_new_price(shop: &Shop) {
    let kit = shop.kit(5);
    let change = json!({"price": 9_000, "name": "Japchae"});
    shop.call("PATCH", &format!("/products/{}", kit.id)).json(&change).send().is(200);
    let order = shop.try_order(&kit, 2, CARD).is(201);
    assert_eq!(
        (&order["product_name"], &order["unit_price"], &order["amount"]),
        (&json!("Japchae"), &json!(9_000), &json!(18_000))
    );
}

fn one_trace_goes_through_all_that_follows_from_a_request(shop: &Shop) {
    let kit = shop.kit(5);
    let trace = uuid::Uuid::now_v7().simple().to_string();
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let conversation = unique("conversation");
    let answer = shop
        .call("POST", "/orders")
        .json(&Shop::order_body(&kit, &unique("member"), 1))
        .header("traceparent", &parent)
        .header("x-correlation-id", &conversation)
        .send();
    let id = text(&answer.is(201)["id"]);
    assert_eq!(answer.header("x-correlation-id"), Some(conversation.as_str()));
    let events = shop.wait_for(&id, &UNDER_WAY);
    assert!(events.0.iter().all(|event| event.trace_id() == trace), "{events:?}");
    assert!(events.0.iter().all(|event| event.traceparent != parent), "each has a span of its own: {events:?}");
    let notified = events.one("Notified");
    assert_eq!(notified.causationid, events.one("PaymentCompleted").id);
}

fn a_card_number_is_nowhere_to_be_seen(shop: &Shop) {
    let card = "5105105105105100";
    let id = text(&shop.try_order(&shop.kit(1), 1, card).is(201)["id"]);
    shop.wait_for(&id, &UNDER_WAY);
    let payment = shop.payment(&id).unwrap();
    eventually("on my page", || match shop.get(&format!("/mypages/{id}")) {
        page if page.status == 200 && page.json()["card"] == "**** 5100" => Ok(()),
        page => Err(page.to_string()),
    });
    let shown = [
        payment.to_string(),
        format!("{:?}", shop.events(&id)),
        shop.get(&format!("/orders/{id}")).body,
        shop.get(&format!("/mypages/{id}")).body,
        shop.get(&format!("/notifications?order_id={id}")).body,
    ];
    for text in shown {
        assert!(!text.contains("510510510510"), "{text}");
    }
    if shop.is_own() {
        // On a libSQL server the rows are elsewhere.
        let has_rows = std::env::var_os("MEALKIT_LIBSQL_URL").is_none();
        assert!(!has_rows || is_anywhere(shop.folder(), b"**** 5100"));
        assert!(!is_anywhere(shop.folder(), card.as_bytes()), "in a file of the shop");
    }
}

/// Whether a text is in one of the files in a folder: the database, the logs.
fn is_anywhere(folder: &Path, text: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_anywhere(&path, text);
        }
        fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text))
    })
}
