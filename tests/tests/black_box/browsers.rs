//! What browsers may do: pages of the shop's own, of friends, and of anybody else.

use tests::{Answer, Mode, Shop, json, own, shared, text, unique};

const FRIEND: &str = "https://pages.example";
const STRANGER: &str = "https://evil.example";

shared!(
    a_page_of_another_site_changes_nothing,
    a_page_of_the_shop_s_own_may_do_all,
    no_page_is_a_friend_unless_it_is_named,
);
own!(a_friend_s_page_sees_what_it_is_answered);

fn a_page_of_another_site_changes_nothing(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order_under_way(&kit, 1).id;
    let member = unique("member");
    let changes = [
        ("POST", "/orders".to_owned(), Shop::order_body(&kit, &member, 1)),
        ("PATCH", format!("/products/{}", kit.id), json!({"price": 1})),
        ("POST", format!("/orders/{order}/cancel"), json!({})),
        ("DELETE", format!("/orders/{order}"), json!({})),
        ("POST", "/catch-up".to_owned(), json!({})),
        ("POST", "/bell".to_owned(), json!({})),
        ("POST", "/nowhere".to_owned(), json!({})),
    ];
    let port = shop.client().url().rsplit(':').next().unwrap();
    let strangers = [
        ("origin", STRANGER.to_owned()),
        ("origin", "null".to_owned()),
        // Another server on the same machine.
        ("origin", "http://127.0.0.1:1".to_owned()),
        ("origin", format!("http://localhost.evil.example:{port}")),
        ("sec-fetch-site", "cross-site".to_owned()),
    ];
    for (method, path, body) in &changes {
        for (name, value) in &strangers {
            let answer = shop.call(method, path).header(name, value).json(body).send();
            assert_eq!(answer.problem(403)["type"], "/problems/cross-site", "{answer}");
            assert_eq!(allowed_origin(&answer), None, "{answer}");
        }
    }
    assert_eq!(shop.status(&order), "delivery_requested");
    assert_eq!(shop.get(&format!("/orders?member_id={member}")).is(200)["items"], json!([]));
    assert_ne!(shop.get(&format!("/products/{}", kit.id)).is(200)["price"], 1);
    // To look is no change, and what is seen the browser does not give to the page.
    let seen = shop.call("GET", &format!("/orders/{order}")).header("origin", STRANGER).send();
    assert_eq!((seen.status, allowed_origin(&seen)), (200, None));
}

fn a_page_of_the_shop_s_own_may_do_all(shop: &Shop) {
    let kit = shop.kit(5);
    let own = shop.client().url().to_owned();
    for site in ["same-origin", "none"] {
        let call = shop.call("PATCH", &format!("/products/{}", kit.id)).header("sec-fetch-site", site);
        call.header("origin", &own).json(&json!({"price": 7})).send().is(200);
    }
}

fn no_page_is_a_friend_unless_it_is_named(shop: &Shop) {
    let asked =
        shop.call("OPTIONS", "/orders").header("origin", FRIEND).header("access-control-request-method", "POST");
    let asked = asked.send();
    asked.problem(405);
    assert_eq!((allowed_origin(&asked), asked.header("vary")), (None, None), "{asked}");
    shop.call("POST", "/orders").header("origin", FRIEND).json(&json!({})).send().problem(403);
}

fn a_friend_s_page_sees_what_it_is_answered(mode: Mode) {
    let shop = Shop::start(mode).variable("allowed_origins", format!("http://localhost:5173, {FRIEND}/")).open();
    let kit = shop.kit(5);
    let asks = |origin: &str| {
        let call =
            shop.call("OPTIONS", "/orders").header("origin", origin).header("access-control-request-method", "POST");
        call.header("access-control-request-headers", "content-type,idempotency-key").exchange().unwrap()
    };
    for friend in [FRIEND, "http://localhost:5173"] {
        let told = asks(friend);
        assert_eq!((told.status, allowed_origin(&told), told.header("vary")), (204, Some(friend), Some("Origin")));
        let may = |name: &str| told.header(name).unwrap().to_ascii_lowercase();
        assert!(may("access-control-allow-methods").contains("post"));
        assert!(may("access-control-allow-headers").contains("content-type"));
        assert!(may("access-control-allow-headers").contains("idempotency-key"));

        let call = shop.call("POST", "/orders").header("origin", friend).header("sec-fetch-site", "cross-site");
        let placed = call.json(&Shop::order_body(&kit, "member", 1)).send();
        placed.is(201);
        assert_eq!((allowed_origin(&placed), placed.header("vary")), (Some(friend), Some("Origin")));
        let exposed = placed.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
        for name in ["etag", "location", "x-correlation-id", "retry-after"] {
            assert!(exposed.contains(name), "{name}: {exposed}");
        }
        assert_eq!(placed.header("access-control-allow-credentials"), None);
        // A page is also told what is wrong.
        let wrong = shop.call("POST", "/orders").header("origin", friend).json(&json!({})).send();
        wrong.problem(400);
        assert_eq!(allowed_origin(&wrong), Some(friend));
    }
    let told = asks(STRANGER);
    assert_eq!((told.status, allowed_origin(&told), told.header("vary")), (405, None, Some("Origin")));
    let refused = shop.call("POST", "/orders").header("origin", STRANGER).json(&json!({})).send();
    assert_eq!(text(&refused.problem(403)["type"]), "/problems/cross-site");
    assert_eq!(allowed_origin(&refused), None);
}

fn allowed_origin(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}
