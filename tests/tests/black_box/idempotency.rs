//! The same request twice has one effect, if it says that it is the same.

use tests::{Answer, Json, Shop, UNDER_WAY, all_at_once, json, shared, text, unique};

shared!(
    the_same_kit_twice_is_registered_once,
    the_same_order_twice_is_placed_once,
    the_same_order_ten_times_at_once_is_placed_once,
    the_same_kit_ten_times_at_once_is_registered_once,
    a_declined_order_stays_declined,
    a_key_with_another_body_is_refused,
    a_key_of_bad_input_is_still_free,
    a_key_counts_for_its_route_only,
    a_key_has_its_form,
);

fn post(shop: &Shop, path: &str, key: &str, body: &Json) -> Answer {
    shop.call("POST", path).json(body).header("idempotency-key", key).send()
}

fn kit_body(seller: &str) -> Json {
    json!({"seller_id": seller, "name": seller, "price": 12_000, "stock": 5})
}

/// Twice the same answer.
fn assert_same(first: &Answer, second: &Answer) {
    let shown = |answer: &Answer| {
        let header = |name: &str| answer.header(name).map(str::to_owned);
        (answer.status, answer.json(), header("location"), header("etag"), header("x-correlation-id"))
    };
    let ((status, body, location, etag, _), again) = (shown(first), shown(second));
    assert_eq!((status, location, etag), (again.0, again.2, again.3), "{first} {second}");
    let without_id = |mut body: Json| {
        body.as_object_mut().unwrap().remove("correlation_id");
        body
    };
    assert_eq!(without_id(body), without_id(again.1));
}

fn the_same_kit_twice_is_registered_once(shop: &Shop) {
    let (key, seller) = (unique("key"), unique("seller"));
    let first = post(shop, "/products", &key, &kit_body(&seller));
    let id = text(&first.is(201)["id"]);
    assert_same(&first, &post(shop, "/products", &key, &kit_body(&seller)));
    // The order of the members does not make another body.
    let reordered = format!(r#"{{ "stock":5, "price":12000, "name":"{seller}", "seller_id":"{seller}" }}"#);
    let call = shop.call("POST", "/products").header("content-type", "application/json; charset=utf-8");
    assert_same(&first, &call.header("idempotency-key", &key).body(reordered).send());
    // The answer is the one from then, whatever has become of the kit.
    shop.call("PATCH", &format!("/products/{id}")).json(&json!({"price": 1})).send().is(200);
    assert_same(&first, &post(shop, "/products", &key, &kit_body(&seller)));
    let found = shop.get(&format!("/products?q={seller}")).is(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

fn the_same_order_twice_is_placed_once(shop: &Shop) {
    let (kit, key, member) = (shop.kit(5), unique("key"), unique("member"));
    let body = Shop::order_body(&kit, &member, 2);
    let first = post(shop, "/orders", &key, &body);
    let id = text(&first.is(201)["id"]);
    shop.wait_for(&id, &UNDER_WAY);
    assert_same(&first, &post(shop, "/orders", &key, &body));
    shop.cancel(&id).is(200);
    assert_same(&first, &post(shop, "/orders", &key, &body));
    assert_one_order(shop, &member);
}

fn assert_one_order(shop: &Shop, member: &str) {
    let orders = shop.get(&format!("/orders?member_id={member}")).is(200);
    assert_eq!(orders["items"].as_array().unwrap().len(), 1, "{orders}");
}

fn the_same_order_ten_times_at_once_is_placed_once(shop: &Shop) {
    for _ in 0..3 {
        let (kit, key, member) = (shop.kit(50), unique("key"), unique("member"));
        let body = Shop::order_body(&kit, &member, 2);
        let answers = all_at_once(10, |_| post(shop, "/orders", &key, &body));
        let id = text(&answers[0].is(201)["id"]);
        for answer in &answers {
            assert_eq!(answer.is(201)["id"], id.as_str());
        }
        shop.wait_for(&id, &UNDER_WAY);
        assert_one_order(shop, &member);
        assert_eq!(shop.stock(&kit), 48);
        assert_same(&post(shop, "/orders", &key, &body), &post(shop, "/orders", &key, &body));
    }
}

fn the_same_kit_ten_times_at_once_is_registered_once(shop: &Shop) {
    let (key, seller) = (unique("key"), unique("seller"));
    let answers = all_at_once(10, |_| post(shop, "/products", &key, &kit_body(&seller)));
    for answer in &answers {
        assert_same(&answers[0], answer);
    }
    answers[0].is(201);
    let found = shop.get(&format!("/products?q={seller}")).is(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

fn a_declined_order_stays_declined(shop: &Shop) {
    let (kit, key, member) = (shop.kit(5), unique("key"), unique("member"));
    let mut body = Shop::order_body(&kit, &member, 2);
    body["payment"]["card_number"] = "4000000000000002".into();
    let first = post(shop, "/orders", &key, &body);
    first.problem(402);
    assert_same(&first, &post(shop, "/orders", &key, &body));
    assert_one_order(shop, &member);
}

fn a_key_with_another_body_is_refused(shop: &Shop) {
    let (key, seller) = (unique("key"), unique("seller"));
    post(shop, "/products", &key, &kit_body(&seller)).is(201);
    let mut other = kit_body(&seller);
    other["stock"] = 6.into();
    post(shop, "/products", &key, &other).problem(422);
    let found = shop.get(&format!("/products?q={seller}")).is(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);

    let (kit, key, member) = (shop.kit(5), unique("key"), unique("member"));
    post(shop, "/orders", &key, &Shop::order_body(&kit, &member, 1)).is(201);
    post(shop, "/orders", &key, &Shop::order_body(&kit, &member, 2)).problem(422);
    let mut other_card = Shop::order_body(&kit, &member, 1);
    other_card["payment"]["card_number"] = "5555555555554444".into();
    post(shop, "/orders", &key, &other_card).problem(422);
    assert_one_order(shop, &member);
}

fn a_key_of_bad_input_is_still_free(shop: &Shop) {
    let (key, seller) = (unique("key"), unique("seller"));
    let mut bad = kit_body(&seller);
    bad["price"] = 0.into();
    post(shop, "/products", &key, &bad).problem(422);
    post(shop, "/products", &key, &kit_body(&seller)).is(201);
}

fn a_key_counts_for_its_route_only(shop: &Shop) {
    let key = unique("key'); DROP TABLE event; --");
    let kit = post(shop, "/products", &key, &kit_body(&unique("seller"))).is(201);
    let kit = tests::Kit { id: text(&kit["id"]), seller: text(&kit["seller_id"]) };
    post(shop, "/orders", &key, &Shop::order_body(&kit, &unique("member"), 1)).is(201);
}

fn a_key_has_its_form(shop: &Shop) {
    let seller = unique("seller");
    for key in ["", &"k".repeat(256), "schlüssel"] {
        post(shop, "/products", key, &kit_body(&seller)).problem(400);
    }
    post(shop, "/products", &"k".repeat(255), &kit_body("same-for-all"));
    let found = shop.get(&format!("/products?q={seller}")).is(200);
    assert_eq!(found["items"], json!([]));
}
