//! `docs/openapi.yaml` says what there is: every answer that it lists is given. (That every answer given is listed there,
//! and looks like that, the client checks in all tests.)

use contract_tests::Api;
use std::collections::BTreeSet;
use tests::{CARD, Json, Person, Shop, json, shared, text, unique};

/// Given by what an operator does, or in need of a fault; their own tests see them.
const SEEN_ELSEWHERE: [&str; 8] = [
    "{id}/retry",
    "{id}/discard",
    "POST /orders 409",
    " 503",
    " 410",
    " 429",
    // Between contexts.
    "POST /bell 202",
    // Where the deployment gives no key.
    "POST /signing-keys 201",
];

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
    let courier = json!({"courier_id": "courier"});
    let assign = |id: &str| shop.call("POST", &format!("/deliveries/{id}/assign")).by(&Person::operator());
    assign(&delivery).json(&courier).send().problem(409);
    assign("unknown").json(&courier).send().problem(404);
    let cancelled = shop.order_under_way(&kit, 1);
    shop.call("DELETE", &format!("/orders/{}", cancelled.id)).send().is(200);
    shop.act(&format!("/orders/{}/cancel", cancelled.id)).is(200);
    shop.try_order(&kit, 1, "4000000000000002").problem(402);
    shop.try_order(&kit, 1, "1234").problem(422);
    shop.try_order(&kit, 1, CARD).is(201);
    let brought = shop.order_under_way(&kit, 1);
    let brought = text(&shop.delivery(&brought.id).expect("a delivery")["id"]);
    assign(&brought).json(&courier).send().is(200);
    assign(&brought).json(&courier).header("if-match", "\"99\"").send().problem(412);
    assign(&brought).json(&json!({"courier_id": "?"})).send().problem(422);
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
    let member = members(shop);
    // What is shown: all of a kind, one, and none.
    let shown = [
        ("/products/{id}", &kit.id),
        ("/orders/{id}", &delivered.id),
        ("/payments/{id}", &payment),
        ("/deliveries/{id}", &delivery),
        ("/mypages/{order_id}", &delivered.id),
        ("/members/{id}", &member),
    ];
    // These need to be somebody's; `members` asks for them.
    let own = ["/members", "/members/me", "/sessions"];
    let questions = Api::shop().operations().into_iter();
    for (_, path, _) in questions.filter(|(method, path, _)| *method == "get" && !own.contains(path)) {
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
    shop.act("/bell").problem(401);
    // For operators.
    shop.get("/dead-letters?context=nobody").problem(422);
    shop.act("/dead-letters/product-0/retry").problem(404);
    shop.post("/dead-letters/product-0/discard", &json!({"reason": "none"})).problem(404);

    let documented: BTreeSet<String> = documented().into_iter().collect();
    let seen = Api::shop().seen();
    let unseen: Vec<_> = documented.difference(&seen).collect();
    assert!(unseen.is_empty(), "docs/openapi.yaml lists answers that nobody gives: {unseen:?}");
}

/// What members, and operators about them, are answered. Returns one who stays.
fn members(shop: &Shop) -> String {
    let email = format!("{}@example.com", unique("hana"));
    let sign_up = |email: &str, name: &str| {
        let body = json!({"email": email, "password": "a good password", "name": name});
        shop.call("POST", "/members").anonymous().json(&body)
    };
    let member = text(&sign_up(&email, "Hana").send().is(201)["id"]);
    sign_up(&email, "Another").send().problem(409);
    sign_up("nobody", "Nobody").send().problem(422);
    let code =
        json!({"email": "x@example.com", "password": "a good password", "name": "X", "first_operator": "guessed"});
    shop.call("POST", "/members").anonymous().json(&code).send().problem(403);
    let other = format!("{}@example.com", unique("other"));
    sign_up(&other, "Other").send().is(201);
    let sign_in = |password: &str| {
        let body = json!({"email": email, "password": password});
        shop.call("POST", "/sessions").anonymous().json(&body).send()
    };
    sign_in("a wrong password").problem(401);
    let grant = sign_in("a good password").is(201);
    let bearer = |grant: &Json| format!("Bearer {}", text(&grant["access_token"]));
    let as_member =
        |grant: &Json, method: &str, path: &str| shop.call(method, path).header("authorization", &bearer(grant));
    let me = as_member(&grant, "GET", "/members/me").send();
    assert_eq!(me.is(200)["email"], email);
    as_member(&grant, "GET", "/members/me").header("if-none-match", "*").send().is_empty(304);
    as_member(&grant, "GET", "/members/me").header("if-match", "\"99\"").send().problem(412);
    let change = |body: &Json| as_member(&grant, "PATCH", "/members/me").json(body);
    change(&json!({"name": "Hana Kim"})).send().is(200);
    change(&json!({"name": ""})).send().problem(422);
    change(&json!({"name": "Hana"})).header("if-match", "\"99\"").send().problem(412);
    change(&json!({"email": other, "current_password": "a good password"})).send().problem(409);
    as_member(&grant, "GET", "/sessions").send().is(200);
    let again = shop.call("POST", "/sessions/refresh").anonymous();
    let again = again.json(&json!({"refresh_token": grant["refresh_token"]})).send().is(200);
    let forged = json!({"refresh_token": "forged"});
    shop.call("POST", "/sessions/refresh").anonymous().json(&forged).send().problem(401);
    as_member(&again, "DELETE", "/sessions/unknown").send().problem(404);

    let operator = |method: &str, path: &str| shop.call(method, path).by(&Person::operator());
    operator("GET", &format!("/members?email={email}")).send().is(200);
    let roles =
        |id: &str, roles: &Json| operator("PUT", &format!("/members/{id}/roles")).json(&json!({"roles": roles}));
    roles(&member, &json!(["member", "seller"])).send().is(200);
    roles(&member, &json!(["king"])).send().problem(422);
    roles("unknown", &json!(["member"])).send().problem(404);
    roles(&member, &json!(["member"])).header("if-match", "\"99\"").send().problem(412);
    operator("POST", "/services").json(&json!({"name": "x", "scopes": []})).send().problem(422);
    let service = operator("POST", "/services").json(&json!({"name": "Follower", "scopes": ["events"]})).send().is(201);
    operator("DELETE", &format!("/services/{}", text(&service["id"]))).send().is_empty(204);
    operator("DELETE", "/services/unknown").send().problem(404);
    operator("POST", "/signing-keys").send().problem(409);

    let close = |grant: &Json, password: &str| {
        as_member(grant, "DELETE", "/members/me").json(&json!({"current_password": password}))
    };
    close(&again, "a wrong password").send().problem(422);
    close(&again, "a good password").header("if-match", "\"99\"").send().problem(412);
    let kit = shop.kit(1);
    let order = Shop::order_body(&kit, &member, 1);
    let order = shop.call("POST", "/orders").header("authorization", &bearer(&again)).json(&order).send().is(201);
    assert_eq!(close(&again, "a good password").send().problem(409)["orders"], json!([order["id"]]));
    as_member(&again, "DELETE", &format!("/orders/{}", text(&order["id"]))).send().is(200);
    let stays = text(&sign_up(&format!("{}@example.com", unique("stays")), "Stays").send().is(201)["id"]);
    close(&again, "a good password").send().is_empty(204);
    as_member(&again, "GET", "/members/me").send().problem(401);
    let session = shop.call("POST", "/sessions").anonymous();
    let session = session.json(&json!({"email": other, "password": "a good password"})).send().is(201);
    let end = format!("/sessions/{}", text(&session["session_id"]));
    as_member(&session, "DELETE", &end).send().is_empty(204);
    as_member(&session, "GET", "/members/me").send().problem(401);
    stays
}

/// Method, path and status of every answer in the contract.
fn documented() -> Vec<String> {
    let operations = Api::shop().operations().into_iter().flat_map(|(method, path, operation)| {
        let statuses = operation["responses"].as_object().expect("responses").keys().filter(|it| *it != "default");
        statuses.map(move |status| format!("{} {path} {status}", method.to_uppercase())).collect::<Vec<_>>()
    });
    operations.filter(|it| !SEEN_ELSEWHERE.iter().any(|part| it.contains(part))).collect()
}
