//! What holds on the wire for every route.

use tests::{CARD, Shop, all_at_once, json, shared, text, unique};

shared!(
    a_change_of_what_somebody_else_changed_is_refused,
    of_ten_changes_of_the_same_version_one_is_made,
    every_single_resource_has_an_etag,
    what_was_done_meanwhile_is_not_undone,
    what_is_said_twice_is_not_taken,
    what_a_stranger_calls_the_cause_is_not_logged,
    the_correlation_id_comes_back,
    an_unfit_correlation_id_is_replaced,
    an_unknown_route_is_a_problem,
    private_routes_are_not_reached_from_outside,
    head_is_get_without_a_body,
);

fn a_change_of_what_somebody_else_changed_is_refused(shop: &Shop) {
    let path = format!("/products/{}", shop.kit(5).id);
    let etag = shop.get(&path).header("etag").expect("an ETag").to_owned();
    let change =
        |etag: &str, price| shop.call("PATCH", &path).json(&json!({"price": price})).header("if-match", etag).send();
    let changed = change(&etag, 1);
    changed.is(200);
    let newer = changed.header("etag").expect("an ETag").to_owned();
    assert_ne!(newer, etag);
    change(&etag, 2).problem(412);
    change("\"never-given\"", 2).problem(412);
    let read = shop.get(&path);
    assert_eq!((&read.is(200)["price"], read.header("etag")), (&json!(1), Some(newer.as_str())));
    change(&newer, 3).is(200);
    change("*", 4).is(200);
    // A change that changes nothing is none.
    let same = change("*", 4);
    assert_eq!(same.header("etag"), shop.get(&path).header("etag"));
    assert_eq!(same.is(200)["version"], 4);
}

fn of_ten_changes_of_the_same_version_one_is_made(shop: &Shop) {
    let path = format!("/products/{}", shop.kit(5).id);
    let etag = shop.get(&path).header("etag").expect("an ETag").to_owned();
    let answers = all_at_once(10, |number| {
        shop.call("PATCH", &path).json(&json!({"price": number + 1})).header("if-match", &etag).send()
    });
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.problem(412);
    }
    assert_eq!(shop.get(&path).is(200), made[0].json());
}

fn every_single_resource_has_an_etag(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order_under_way(&kit, 1);
    shop.get(&format!("/mypages/{}", order.id));
    let paths = [
        format!("/products/{}", kit.id),
        format!("/orders/{}", order.id),
        format!("/payments/{}", text(&shop.payment(&order.id).unwrap()["id"])),
        format!("/deliveries/{}", text(&shop.delivery(&order.id).unwrap()["id"])),
        format!("/mypages/{}", order.id),
    ];
    for path in paths {
        let answer = shop.get(&path);
        answer.is(200);
        let etag = answer.header("etag").unwrap_or_else(|| panic!("no ETag: {answer}"));
        assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
        for method in ["GET", "HEAD"] {
            let ask = |name: &str, value: &str| shop.call(method, &path).header(name, value).send();
            for known in [etag, "*", &format!("\"x\", W/{etag}")] {
                let same = ask("if-none-match", known);
                assert_eq!((same.status, same.header("etag"), same.body.as_str()), (304, Some(etag), ""), "{same}");
            }
            assert_eq!(ask("if-none-match", "\"x\"").status, 200);
            assert_eq!(ask("if-match", "\"x\"").status, 412);
            assert_eq!(ask("if-match", &format!("\"x\", {etag}")).status, 200);
        }
    }
}

fn what_was_done_meanwhile_is_not_undone(shop: &Shop) {
    let kit = shop.kit(5);
    for (method, end) in [("DELETE", ""), ("POST", "/cancel")] {
        let order = shop.order_under_way(&kit, 1);
        let path = format!("/orders/{}", order.id);
        let cancel = |etag: &str| shop.call(method, &format!("{path}{end}")).header("if-match", etag).send();
        let before = shop.get(&path);
        for stale in ["\"1\"", "\"x\"", &format!("W/{}", before.header("etag").expect("an ETag"))] {
            cancel(stale).problem(412);
        }
        cancel("1").problem(400);
        assert_eq!(shop.get(&path).is(200), before.is(200));
        assert_eq!(cancel(before.header("etag").expect("an ETag")).is(200)["status"], "cancelled");
    }
    let order = shop.order_under_way(&kit, 1);
    let path = format!("/deliveries/{}", text(&shop.delivery(&order.id).expect("a delivery")["id"]));
    let complete = |etag: &str| shop.call("POST", &format!("{path}/complete")).header("if-match", etag).send();
    complete("\"x\"").problem(412);
    assert_eq!(complete(shop.get(&path).header("etag").expect("an ETag")).is(200)["status"], "completed");
}

fn what_is_said_twice_is_not_taken(shop: &Shop) {
    let kit = json!({"seller_id": unique("seller"), "name": "n", "price": 1, "stock": 1});
    let register = || shop.call("POST", "/products").json(&kit);
    register().header("idempotency-key", "a").header("idempotency-key", "a").send().problem(400);
    register().header("content-type", "application/json").send().problem(400);
    let trace = |lines: usize| {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let call = (0..lines).fold(register(), |call, _| call.header("traceparent", parent));
        let made = text(&call.send().is(201)["id"]);
        shop.events(&made).one("ProductRegistered").trace_id() == &parent[3..35]
    };
    assert_eq!((trace(1), trace(2)), (true, false));
    let path = format!("/products/{}", shop.kit(1).id);
    let lines = |first: &str, second: &str| {
        let call = shop.call("PATCH", &path).json(&json!({"price": 2}));
        call.header("if-match", first).header("if-match", second).send().status
    };
    assert_eq!((lines("\"x\"", "\"y\""), lines("\"x\"", "\"1\"")), (412, 200));
}

fn what_a_stranger_calls_the_cause_is_not_logged(shop: &Shop) {
    let cause = unique("cause");
    let kit = json!({"seller_id": unique("seller"), "name": "n", "price": 1, "stock": 1});
    let made = shop.call("POST", "/products").json(&kit).header("x-causation-id", &cause).send();
    let events = shop.events(&text(&made.is(201)["id"]));
    assert_ne!(events.one("ProductRegistered").causationid, cause);
}

fn the_correlation_id_comes_back(shop: &Shop) {
    let (kit, id) = (shop.kit(5), unique("conversation"));
    let ask = |method: &str, path: &str| shop.call(method, path).header("x-correlation-id", &id);
    let answers = [
        ask("GET", "/products").send(),
        ask("POST", "/products").json(&json!({"seller_id": "s", "name": "n", "price": 1, "stock": 1})).send(),
        ask("POST", "/products").json(&json!({})).send(),
        ask("POST", "/products").body("").send(),
        ask("PUT", "/products").send(),
        ask("GET", "/products/unknown").send(),
        ask("GET", "/nowhere").send(),
        ask("POST", "/orders").json(&Shop::order_body(&kit, &unique("member"), 1)).send(),
        ask("GET", "/events").send(),
        ask("GET", "/payments").send(),
        ask("GET", "/deliveries").send(),
        ask("GET", "/mypages").send(),
        ask("GET", "/notifications").send(),
        ask("POST", "/catch-up").send(),
    ];
    for answer in &answers {
        assert_eq!(answer.header("x-correlation-id"), Some(id.as_str()), "{answer}");
        if answer.status >= 400 {
            answer.problem(answer.status);
        }
    }
    // Nobody gave one: each request has its own, and what is about an order has the order's.
    let own = |path: &str| shop.get(path).header("x-correlation-id").unwrap().to_owned();
    assert_ne!(own("/products"), own("/products"));
    let order = text(&shop.try_order(&kit, 1, CARD).is(201)["id"]);
    assert_eq!(own(&format!("/orders/{order}")), order);
}

fn an_unfit_correlation_id_is_replaced(shop: &Shop) {
    for unfit in ["", "with a space", &"x".repeat(5_000)] {
        let answer = shop.call("GET", "/products/unknown").header("x-correlation-id", unfit).send();
        answer.problem(404);
        assert_ne!(answer.header("x-correlation-id"), Some(unfit));
    }
    for broken in ["", "00-zz-zz-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        shop.call("GET", "/products").header("traceparent", broken).send().is(200);
    }
}

fn an_unknown_route_is_a_problem(shop: &Shop) {
    let kit = shop.kit(1).id;
    let paths =
        ["/nowhere", "/product", "/productsx", "/products/", "/orders/x/y", "/events/1", "/catch-up/now", "/%20"];
    for path in paths.map(str::to_owned).into_iter().chain([format!("/products/{kit}/stock")]) {
        for method in ["GET", "POST", "DELETE"] {
            shop.call(method, &path).send().problem(404);
        }
    }
}

fn private_routes_are_not_reached_from_outside(shop: &Shop) {
    let charge = json!({
        "order_id": unique("order"), "member_id": "m", "seller_id": "s", "product_id": "p", "product_name": "n",
        "quantity": 1, "amount": 1, "address": "a", "card_number": CARD, "card_owner": "o",
    });
    let ways = [
        "/internal/charges",
        "/payments/internal/charges",
        "/payments/../internal/charges",
        "/payments/%2e%2e/internal/charges",
        "/payments//internal/charges",
        "//internal/charges",
    ];
    for path in ways {
        shop.post(path, &charge).problem(404);
        let body = charge.to_string();
        let answer = shop.client().raw(&format!(
            "POST {path} HTTP/1.1\r\nhost: payment.spin.internal\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ));
        assert!(answer.starts_with("HTTP/1.1 4"), "{path} at a forged host: {answer}");
    }
    assert_eq!(shop.payment(&text(&charge["order_id"])), None);
    for context in ["products", "orders", "payments", "deliveries", "mypages", "notifications"] {
        shop.act(&format!("/{context}/internal/catch-up")).problem(404);
        shop.act(&format!("/{context}/../internal/catch-up")).problem(404);
    }
    shop.act("/internal/catch-up").problem(404);
}

fn head_is_get_without_a_body(shop: &Shop) {
    let path = format!("/products/{}", shop.kit(1).id);
    let (head, get) = (shop.call("HEAD", &path).send(), shop.get(&path));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("etag"), get.header("etag"));
}
