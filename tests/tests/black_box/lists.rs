//! Lists come in pages.

use std::collections::BTreeSet;
use tests::{Json, Shop, UNDER_WAY, json, shared, text, unique};

shared!(
    a_list_has_20_items_unless_it_is_asked_for_more,
    kits_come_in_pages,
    a_members_orders_come_in_pages,
    payments_and_deliveries_come_in_pages,
    events_come_in_pages,
    kits_are_found_by_what_is_in_their_name,
    kits_are_found_however_they_are_typed,
);

/// All items, page by page.
fn walk(shop: &Shop, path: &str, limit: usize) -> Vec<Json> {
    let sign = if path.contains('?') { '&' } else { '?' };
    let (mut items, mut after) = (vec![], String::new());
    loop {
        let page = shop.get(&format!("{path}{sign}limit={limit}{after}")).is(200);
        let mut members: Vec<&String> = page.as_object().expect("a page").keys().collect();
        members.sort();
        assert_eq!(members, ["items", "next"]);
        let page_items = page["items"].as_array().expect("items");
        assert!(page_items.len() <= limit, "more than {limit}: {page}");
        items.extend(page_items.clone());
        match &page["next"] {
            Json::Null => return items,
            next => {
                assert_eq!(page_items.len(), limit, "there is more, so the page is full");
                let next = next.as_str().map_or_else(|| next.to_string(), str::to_owned);
                after = format!("&after={next}");
            }
        }
    }
}

/// Page by page there is the same as at once, whatever the size of the pages.
fn assert_pages(shop: &Shop, path: &str, length: usize) -> Vec<Json> {
    let all = walk(shop, path, 100);
    assert_eq!(all.len(), length, "{path}");
    for limit in [1, 2, length, length + 1] {
        assert_eq!(walk(shop, path, limit), all, "{path} with pages of {limit}");
    }
    all
}

fn a_list_has_20_items_unless_it_is_asked_for_more(shop: &Shop) {
    let seller = unique("seller");
    for _ in 0..21 {
        shop.post("/products", &json!({"seller_id": "s", "name": seller, "price": 1, "stock": 1})).is(201);
    }
    let page = shop.get(&format!("/products?q={seller}")).is(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 20);
    let rest = shop.get(&format!("/products?q={seller}&after={}", text(&page["next"]))).is(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Json::Null));
}

fn kits_come_in_pages(shop: &Shop) {
    let seller = unique("seller");
    for number in 0..5 {
        shop.post("/products", &json!({"seller_id": "s", "name": seller, "price": number + 1, "stock": 1})).is(201);
    }
    let kits = assert_pages(shop, &format!("/products?q={seller}"), 5);
    assert_eq!(kits.iter().map(|kit| &kit["price"]).collect::<Vec<_>>(), [5, 4, 3, 2, 1], "the newest first");
}

fn a_members_orders_come_in_pages(shop: &Shop) {
    let (kit, member) = (shop.kit(50), unique("member"));
    let ids: Vec<String> =
        (1..=5).map(|n| text(&shop.post("/orders", &Shop::order_body(&kit, &member, n)).is(201)["id"])).collect();
    for id in &ids {
        let events = shop.wait_for(id, &UNDER_WAY);
        shop.wait_for_page(id, &events, ["delivery_requested", "completed", "requested"].map(Json::from));
    }
    let newest_first: Vec<&String> = ids.iter().rev().collect();
    let orders = assert_pages(shop, &format!("/orders?member_id={member}"), 5);
    assert_eq!(
        orders.iter().map(|order| text(&order["id"])).collect::<Vec<_>>().iter().collect::<Vec<_>>(),
        newest_first
    );
    assert_pages(shop, &format!("/mypages?member_id={member}"), 5);
    assert_pages(shop, &format!("/notifications?recipient=seller:{}", kit.seller), 5);
}

fn payments_and_deliveries_come_in_pages(shop: &Shop) {
    let kit = shop.kit(50);
    let ids: BTreeSet<String> = (0..5).map(|_| shop.order_under_way(&kit, 1).id).collect();
    for path in ["/payments", "/deliveries", "/orders", "/mypages"] {
        // Others go on ordering meanwhile: what was there when we began must be there once, the newest first.
        let id = if path == "/orders" { "id" } else { "order_id" };
        let found: Vec<String> = walk(shop, path, 7).iter().map(|item| text(&item[id])).collect();
        assert!(found.is_sorted_by(|a, b| a > b), "{path}: twice, or not the newest first");
        assert!(found.iter().filter(|id| ids.contains(*id)).count() == 5, "{path}: not all");
    }
}

fn events_come_in_pages(shop: &Shop) {
    let order = shop.order_under_way(&shop.kit(5), 1);
    let events = assert_pages(shop, &format!("/events?order_id={}", order.id), UNDER_WAY.len());
    let sequence =
        |event: &Json| event["sequence"].as_str().map_or_else(|| event["sequence"].to_string(), str::to_owned);
    let behind = shop.get(&format!("/events?order_id={}&after={}", order.id, sequence(&events[1]))).is(200);
    assert_eq!(behind["items"], json!(events[2..]));
}

fn kits_are_found_by_what_is_in_their_name(shop: &Shop) {
    let mark = unique("x");
    let register = |name: String, description: &str| {
        let kit = json!({"seller_id": "s", "name": name, "description": description, "price": 1, "stock": 1});
        text(&shop.post("/products", &kit).is(201)["id"])
    };
    let percent = register(format!("100% {mark}"), "plain");
    let plain = register(format!("1000 {mark}"), "with_underscore");
    let found = |q: &str| -> Vec<String> {
        let page = shop.get(&format!("/products?limit=100&q={q}")).is(200);
        page["items"].as_array().unwrap().iter().map(|kit| text(&kit["id"])).collect()
    };
    assert_eq!(found(&mark), [plain.clone(), percent.clone()]);
    assert_eq!(found(&format!("0%25%20{mark}")), [percent]);
    assert_eq!(found(&format!("1000%20{}", mark.to_uppercase())), [plain], "upper and lower case are the same");
    assert!(found("no%20such%20kit%20anywhere").is_empty());
}

fn kits_are_found_however_they_are_typed(shop: &Shop) {
    let mark = unique("x");
    let kit = |name: &str| json!({"seller_id": "s", "name": format!("{name} {mark}"), "price": 1, "stock": 1});
    let kept = format!("\u{c4}pfel \u{ae40} {mark}");
    let made = shop.post("/products", &kit("A\u{308}pfel \u{1100}\u{1175}\u{11b7}"));
    assert_eq!(made.is(201)["name"], kept);
    for q in ["\u{c4}PFEL \u{ae40}", "a\u{308}pfel \u{1100}\u{1175}\u{11b7}"] {
        let q: String = format!("{q} {mark}").bytes().map(|byte| format!("%{byte:02x}")).collect();
        let page = shop.get(&format!("/products?q={q}")).is(200);
        assert_eq!(
            page["items"].as_array().map(|items| items.iter().map(|kit| &kit["name"]).collect()),
            Some(vec![&json!(kept)])
        );
    }
    shop.post("/products", &json!({"seller_id": "s", "name": "\u{3164}\u{200b}", "price": 1, "stock": 1})).problem(422);
}
