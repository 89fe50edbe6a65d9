//! `docs/openapi.yaml` says what there is: every answer that it lists is given. (That every answer given is listed there,
//! and looks like that, the client checks in all tests.)

use contract_tests::Api;
use std::collections::BTreeSet;
use tests::{CARD, Shop, json, shared, text};

/// Given by what an operator does, or in need of a fault; their own tests see them.
const SEEN_ELSEWHERE: [&str; 5] = ["{id}/retry", "{id}/discard", "POST /orders 409", " 503", " 410"];

shared!(every_answer_of_the_contract_is_given);

fn every_answer_of_the_contract_is_given(shop: &Shop) {
    // The kit, and what is wrong with others.
    let kit = shop.kit(5);
    let path = format!("/products/{}", kit.id);
    let patch = |path: &str, price: i64| shop.call("PATCH", path).json(&json!({"price": price}));
    shop.post("/products", &json!({"seller_id": "s", "name": "", "price": 0, "stock": -1})).problem(422);
    patch(&path, 9_000).send().is(200);
    patch(&path, 0).send().problem(422);
    patch(&path, 1).header("if-match", "\"99\"").send().problem(412);
    patch("/products/unknown", 1).send().problem(404);
    let stale = |method: &str, path: &str| shop.call(method, path).header("if-match", "\"99\"").send().problem(412);
    // An order that is delivered, one that is cancelled, one that is declined.
    let delivered = shop.order_under_way(&kit, 1);
    let delivery = text(&shop.delivery(&delivered.id).expect("a delivery")["id"]);
    let payment = text(&shop.payment(&delivered.id).expect("a payment")["id"]);
    stale("POST", &format!("/deliveries/{delivery}/complete"));
    shop.act(&format!("/deliveries/{delivery}/complete")).is(200);
    shop.act("/deliveries/unknown/complete").problem(404);
    let cancelled = shop.order_under_way(&kit, 1);
    shop.call("DELETE", &format!("/orders/{}", cancelled.id)).send().is(200);
    shop.act(&format!("/orders/{}/cancel", cancelled.id)).is(200);
    shop.try_order(&kit, 1, "4000000000000002").problem(402);
    shop.try_order(&kit, 1, "1234").problem(422);
    shop.try_order(&kit, 1, CARD).is(201);
    let called_back = text(&shop.delivery(&cancelled.id).expect("a delivery")["id"]);
    shop.act(&format!("/deliveries/{called_back}/complete")).problem(409);
    let reason = json!({"reason": ""});
    let ways = [("DELETE", ""), ("POST", "/cancel")];
    for (method, end) in ways {
        let cancel = |id: &str| shop.call(method, &format!("/orders/{id}{end}"));
        cancel("unknown").send().problem(404);
        stale(method, &format!("/orders/{}{end}", delivered.id));
        cancel(&delivered.id).send().problem(409);
        cancel(&delivered.id).json(&reason).send().problem(422);
    }
    // What is shown: all of a kind, one, and none.
    let shown = [
        ("/products/{id}", &kit.id),
        ("/orders/{id}", &delivered.id),
        ("/payments/{id}", &payment),
        ("/deliveries/{id}", &delivery),
        ("/mypages/{order_id}", &delivered.id),
        ("/{member_id}", &delivered.member),
    ];
    for (_, path, _) in Api::shop().operations().into_iter().filter(|(method, ..)| *method == "get") {
        let under = |condition: Option<(&str, &str)>, id: &str| {
            let parts = path.split('/').map(|part| if part.starts_with('{') { id } else { part });
            let call = shop.call("GET", &parts.collect::<Vec<_>>().join("/"));
            let answer = match condition {
                Some((name, value)) => call.header(name, value).send(),
                None => call.send(),
            };
            assert_eq!(answer.breach(), None, "{answer}");
            answer.status
        };
        let at = |id: &str| under(None, id);
        match shown.iter().find(|(of, _)| path.contains(of)) {
            Some((_, one)) => {
                assert_eq!((at(one), at("unknown")), (200, 404), "{path}");
                let (known, stale) = (Some(("if-none-match", "*")), Some(("if-match", "\"99\"")));
                assert_eq!((under(known, one), under(stale, one)), (304, 412), "{path}");
            }
            None => assert_eq!(at(""), 200, "{path}: if it shows one thing, which one is there?"),
        }
    }
    let log = shop.get("/events?limit=100");
    assert_eq!((log.status, log.breach()), (200, None));
    shop.act("/mypages/rebuild").is(200);
    shop.act("/catch-up").is(200);
    shop.act("/bell").is(202);
    // For operators.
    shop.get("/dead-letters?context=nobody").problem(422);
    shop.act("/dead-letters/product-0/retry").problem(404);
    shop.post("/dead-letters/product-0/discard", &json!({"reason": "none"})).problem(404);

    let documented: BTreeSet<String> = documented().into_iter().collect();
    let seen = Api::shop().seen();
    let unseen: Vec<_> = documented.difference(&seen).collect();
    assert!(unseen.is_empty(), "docs/openapi.yaml lists answers that nobody gives: {unseen:?}");
}

/// Method, path and status of every answer in the contract.
fn documented() -> Vec<String> {
    let operations = Api::shop().operations().into_iter().flat_map(|(method, path, operation)| {
        let statuses = operation["responses"].as_object().expect("responses").keys().filter(|it| *it != "default");
        statuses.map(move |status| format!("{} {path} {status}", method.to_uppercase())).collect::<Vec<_>>()
    });
    operations.filter(|it| !SEEN_ELSEWHERE.iter().any(|part| it.contains(part))).collect()
}
