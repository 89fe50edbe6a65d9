//! Who somebody is: signing up, in and out, and all that somebody may try who is not who they say they are.

use tests::{
    CARD, Json, Mode, Person, Shop, all_at_once, authorization, eventually, json, own, shared, signing_key, text,
    unique,
};
use token::{Claims, SigningKey, base64url};

const PASSWORD: &str = "a good password";

shared!(
    whoever_signs_out_is_out_everywhere_with_the_next_request,
    a_refresh_token_is_good_once_and_a_stolen_one_ends_the_session,
    no_token_but_a_good_one_is_taken,
    what_a_member_may_do_follows_the_log_at_once,
    a_service_may_do_what_its_scopes_say_until_it_is_dismissed,
    an_idempotency_key_is_its_actor_s,
    nobody_orders_or_sells_in_another_s_name,
    events_say_who_did_it,
    a_new_password_ends_all_other_sessions,
);

own!(
    the_first_operator_is_made_once,
    guessing_is_for_the_guesser_to_wait,
    keys_are_rotated_without_a_failed_request,
    what_is_kept_of_a_person_says_nothing_by_itself,
);

/// Somebody who signed up, with their tokens.
struct Signed {
    email: String,
    id: String,
    grant: Json,
}

impl Signed {
    fn up(shop: &Shop) -> Self {
        let email = format!("{}@example.com", unique("member"));
        let body = json!({"email": email, "password": PASSWORD, "name": "Hana"});
        let id = text(&patiently(shop, "/members", &body).is(201)["id"]);
        let grant = sign_in(shop, &email, PASSWORD).is(201);
        Self { email, id, grant }
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", text(&self.grant["access_token"]))
    }

    fn call<'a>(&self, shop: &'a Shop, method: &str, path: &str) -> tests::Call<'a> {
        shop.call(method, path).header("authorization", &self.authorization())
    }
}

/// Hashing has a budget that all tests share: whoever is told to comes back.
fn patiently(shop: &Shop, path: &str, body: &Json) -> tests::Answer {
    eventually("a hash", || {
        let answer = shop.call("POST", path).anonymous().json(body).send();
        if answer.status == 429 { Err(answer.to_string()) } else { Ok(answer) }
    })
}

fn sign_in(shop: &Shop, email: &str, password: &str) -> tests::Answer {
    patiently(shop, "/sessions", &json!({"email": email, "password": password}))
}

fn refresh(shop: &Shop, token: &Json) -> tests::Answer {
    shop.call("POST", "/sessions/refresh").anonymous().json(&json!({"refresh_token": token})).send()
}

fn whoever_signs_out_is_out_everywhere_with_the_next_request(shop: &Shop) {
    let hana = Signed::up(shop);
    let routes = ["/members/me", "/orders", "/payments", "/deliveries", "/mypages", "/notifications"];
    for route in routes {
        hana.call(shop, "GET", route).send().is(200);
    }
    let end = format!("/sessions/{}", text(&hana.grant["session_id"]));
    let other = Signed::up(shop);
    other.call(shop, "DELETE", &end).send().problem(404);
    hana.call(shop, "DELETE", &end).send().is_empty(204);
    for route in routes {
        let answer = hana.call(shop, "GET", route).send();
        answer.problem(401);
        assert!(answer.header("www-authenticate").is_some_and(|it| it.contains("invalid_token")), "{answer}");
    }
    refresh(shop, &hana.grant["refresh_token"]).problem(401);
}

fn a_refresh_token_is_good_once_and_a_stolen_one_ends_the_session(shop: &Shop) {
    let hana = Signed::up(shop);
    let first = &hana.grant["refresh_token"];
    // Whoever did not get the answer asks again, and gets the same: also ten of them at once.
    let answers = all_at_once(10, |_| refresh(shop, first).is(200));
    let second = &answers[0]["refresh_token"];
    assert!(answers.iter().all(|answer| answer["refresh_token"] == *second && second != first));
    let third = refresh(shop, second).is(200);
    // The first one was used up twice over: somebody else has it.
    refresh(shop, first).problem(401);
    refresh(shop, &third["refresh_token"]).problem(401);
    hana.call(shop, "GET", "/members/me").send().problem(401);
    for forged in ["", "x", "x.1.y", text(first).replace(".1.", ".2.").as_str(), format!("{}x", text(first)).as_str()] {
        refresh(shop, &json!(forged)).problem(401);
    }
}

fn no_token_but_a_good_one_is_taken(shop: &Shop) {
    let claims = Person::operator().claims();
    let good = authorization(&claims);
    let get = |authorization: &str| shop.call("GET", "/orders").header("authorization", authorization).send();
    get(&good).is(200);
    shop.call("GET", "/orders").anonymous().send().problem(401);
    let other_key = SigningKey::from_seed(&[8; 32]);
    let of_another_key = format!("Bearer {}", token::sign(&other_key, &claims).expect("a token"));
    let kid = SigningKey::parse(&signing_key()).expect("a key").public().kid();
    let part = |json: Json| base64url::encode(json.to_string().as_bytes());
    let payload = part(json!(claims));
    let with_header = |header: Json| format!("Bearer {}.{payload}.", part(header));
    let unsigned = with_header(json!({"alg": "none", "typ": "at+jwt", "kid": kid}));
    // Another key's signature under our key's name.
    let ours_in_name = {
        let signature = text(&json!(of_another_key.rsplit('.').next()));
        let header = part(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}));
        format!("Bearer {header}.{payload}.{signature}")
    };
    let changed = |change: &dyn Fn(&mut Claims)| {
        let mut claims = claims.clone();
        change(&mut claims);
        authorization(&claims)
    };
    for bad in [
        of_another_key,
        unsigned,
        ours_in_name,
        changed(&|it| it.exp = 1),
        changed(&|it| it.aud = "another".into()),
        changed(&|it| it.iss = "another".into()),
        format!("{good}x"),
        good.replace("Bearer ", "Basic "),
        "Bearer".into(),
        "Bearer  ".into(),
        "Bearer a.b.c".into(),
        format!("Bearer {}", "x".repeat(5_000)),
    ] {
        let answer = get(&bad);
        answer.problem(401);
        assert!(answer.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{answer}");
    }
    shop.call("GET", "/orders").header("authorization", &good).header("authorization", &good).send().problem(400);
    // It stands in the header and nowhere else.
    let token = good.trim_start_matches("Bearer ");
    shop.call("GET", &format!("/orders?access_token={token}")).anonymous().send().problem(401);
    shop.call("GET", "/orders").anonymous().header("cookie", &format!("access_token={token}")).send().problem(401);
}

fn what_a_member_may_do_follows_the_log_at_once(shop: &Shop) {
    let hana = Signed::up(shop);
    let kit = json!({"name": "Bibimbap", "price": 9_000, "stock": 3});
    let register = || hana.call(shop, "POST", "/products").json(&kit).send();
    register().problem(403);
    let roles = |roles: Json| {
        let path = format!("/members/{}/roles", hana.id);
        shop.call("PUT", &path).by(&Person::operator()).json(&json!({"roles": roles})).send().is(200)
    };
    roles(json!(["member", "seller"]));
    assert_eq!(register().is(201)["seller_id"], hana.id, "with the token of before");
    roles(json!(["member"]));
    register().problem(403);
    let path = format!("/members/{}/roles", hana.id);
    hana.call(shop, "PUT", &path).json(&json!({"roles": ["operator"]})).send().problem(403);
    // An operator who signed in long ago signs in again for this.
    let mut old = Person::operator().claims();
    old.auth_time -= 3_600;
    let long_ago = shop.call("PUT", &path).header("authorization", &authorization(&old));
    long_ago.json(&json!({"roles": ["member"]})).send().problem(401);
}

fn a_service_may_do_what_its_scopes_say_until_it_is_dismissed(shop: &Shop) {
    let operator = |method: &str, path: &str| shop.call(method, path).by(&Person::operator());
    let service = json!({"name": "Prometheus", "scopes": ["metrics"], "days": 1});
    let service = operator("POST", "/services").json(&service).send().is(201);
    let bearer = format!("Bearer {}", text(&service["token"]));
    let get = |path: &str| shop.call("GET", path).header("authorization", &bearer).send();
    assert_eq!(get("/metrics").status, 200);
    get("/events").problem(403);
    get("/orders").problem(403);
    get("/members/me").problem(403);
    operator("DELETE", &format!("/services/{}", text(&service["id"]))).send().is_empty(204);
    get("/metrics").problem(401);
}

fn an_idempotency_key_is_its_actor_s(shop: &Shop) {
    let kit = shop.kit(5);
    let key = unique("key");
    let order = |member: &str| {
        let call = shop.call("POST", "/orders").header("idempotency-key", &key);
        call.json(&Shop::order_body(&kit, member, 1)).send().is(201)
    };
    let (hana, mina) = (unique("hana"), unique("mina"));
    let first = order(&hana);
    assert_eq!(order(&hana)["id"], first["id"]);
    let other = order(&mina);
    assert_ne!(other["id"], first["id"]);
    assert_eq!(other["member_id"], mina);
}

fn nobody_orders_or_sells_in_another_s_name(shop: &Shop) {
    let kit = shop.kit(5);
    let hana = Person::member(&unique("hana"));
    let order = Shop::order_body(&kit, &unique("mina"), 1);
    shop.call("POST", "/orders").by(&hana).json(&order).send().problem(403);
    let seller = Person::seller(&unique("seller"));
    let product = json!({"seller_id": kit.seller, "name": "Bibimbap", "price": 1, "stock": 1});
    shop.call("POST", "/products").by(&seller).json(&product).send().problem(403);
    let path = format!("/products/{}", kit.id);
    shop.call("PATCH", &path).by(&seller).json(&json!({"price": 1})).send().problem(404);
    shop.call("PATCH", &path).by(&hana).json(&json!({"price": 1})).send().problem(403);
    shop.call("PATCH", &path).by(&Person::seller(&kit.seller)).json(&json!({"price": 12_500})).send().is(200);
}

fn events_say_who_did_it(shop: &Shop) {
    let kit = shop.kit(5);
    let order = shop.order_under_way(&kit, 1);
    let events = shop.events(&order.id);
    let who = |kind: &str| {
        let event = events.one(kind);
        (event.authtype.clone(), event.authid.clone())
    };
    assert_eq!(who("OrderPlaced"), ("app_user".into(), Some(order.member.clone())));
    assert_eq!(who("PaymentCompleted"), ("system".into(), Some("order".into())));
    assert_eq!(who("StockDecreased"), ("system".into(), None));
}

fn a_new_password_ends_all_other_sessions(shop: &Shop) {
    let hana = Signed::up(shop);
    let elsewhere = sign_in(shop, &hana.email, PASSWORD).is(201);
    let change = json!({"password": "another password", "current_password": PASSWORD});
    let changed = eventually("a hash", || {
        let answer = hana.call(shop, "PATCH", "/members/me").json(&change).send();
        if answer.status == 429 { Err(answer.to_string()) } else { Ok(answer) }
    });
    changed.is(200);
    hana.call(shop, "GET", "/members/me").send().is(200);
    let bearer = format!("Bearer {}", text(&elsewhere["access_token"]));
    shop.call("GET", "/members/me").header("authorization", &bearer).send().problem(401);
    sign_in(shop, &hana.email, PASSWORD).problem(401);
    sign_in(shop, &hana.email, "another password").is(201);
}

fn the_first_operator_is_made_once(mode: Mode) {
    let shop = Shop::start(mode).variable("first_operator", "sesame").open();
    let sign_up = |code: &str| {
        let email = format!("{}@example.com", unique("operator"));
        let body = json!({"email": email, "password": PASSWORD, "name": "Op", "first_operator": code});
        shop.call("POST", "/members").anonymous().json(&body).send()
    };
    sign_up("guessed").problem(403);
    sign_up("").problem(403);
    let answers = all_at_once(4, |_| sign_up("sesame"));
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1, "{answers:?}");
    sign_up("sesame").problem(403);
}

fn guessing_is_for_the_guesser_to_wait(mode: Mode) {
    let shop = Shop::start(mode).open();
    let hana = Signed::up(&shop);
    let guess = |number: usize| {
        let body = json!({"email": hana.email, "password": format!("guess number {number}")});
        shop.call("POST", "/sessions").anonymous().json(&body).send()
    };
    let answers = all_at_once(100, guess);
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!(tried + refused.len(), 100);
    assert!((1..=6).contains(&tried), "{tried} of 100 guesses at once were looked at");
    assert!(refused.iter().all(|answer| answer.header("retry-after").is_some()));
    // Whoever knows it waits, too, but not for long; and nobody else does.
    eventually("hana is let in again", || {
        let answer = sign_in(&shop, &hana.email, PASSWORD);
        if answer.status == 201 { Ok(()) } else { Err(answer.to_string()) }
    });
}

fn keys_are_rotated_without_a_failed_request(mode: Mode) {
    let mut shop = Shop::start(mode).variable("signing_key", "").variable("first_operator", "sesame").open();
    let email = format!("{}@example.com", unique("operator"));
    let body = json!({"email": email, "password": PASSWORD, "name": "Op", "first_operator": "sesame"});
    patiently(&shop, "/members", &body).is(201);
    let before = sign_in(&shop, &email, PASSWORD).is(201);
    let call = |shop: &Shop, grant: &Json, method: &str, path: &str| {
        shop.call(method, path).header("authorization", &format!("Bearer {}", text(&grant["access_token"]))).send()
    };
    let keys = |shop: &Shop| shop.get("/.well-known/jwks.json").is(200)["keys"].as_array().expect("keys").len();
    assert_eq!(keys(&shop), 1);
    call(&shop, &before, "POST", "/signing-keys").is(201);
    assert_eq!(keys(&shop), 2);
    call(&shop, &before, "GET", "/events").is(200);
    let after = sign_in(&shop, &email, PASSWORD).is(201);
    call(&shop, &after, "GET", "/events").is(200);
    let kid = |grant: &Json| text(&grant["access_token"]).split('.').next().map(str::to_owned);
    assert_ne!(kid(&before), kid(&after), "the new key signs");
    // Given by the deployment from now on; what was signed before is good all the same.
    shop.restart_with(&[("signing_key", &base64url::encode(&[9; 32]))]);
    call(&shop, &before, "GET", "/events").is(200);
    call(&shop, &after, "GET", "/events").is(200);
    let given = sign_in(&shop, &email, PASSWORD).is(201);
    call(&shop, &given, "GET", "/events").is(200);
}

fn what_is_kept_of_a_person_says_nothing_by_itself(mode: Mode) {
    let shop = Shop::start(mode).open();
    let hana = Signed::up(&shop);
    let name = "Hana";
    let mut secrets = vec![hana.email.clone(), PASSWORD.to_owned(), text(&hana.grant["refresh_token"])];
    secrets.push(text(&hana.grant["access_token"]));
    let kit = shop.kit(1);
    let order = json!({"product_id": kit.id, "quantity": 1, "address": "1 Sejong-daero, Seoul",
        "payment": {"card_number": CARD, "card_owner": "Kim Minji"}});
    hana.call(&shop, "POST", "/orders").json(&order).send().is(201);
    let output = shop.output();
    let mut kept = vec![output];
    for file in std::fs::read_dir(shop.database().parent().expect("a folder")).expect("the files") {
        let bytes = std::fs::read(file.expect("a file").path()).unwrap_or_default();
        kept.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    secrets.push(format!("\"{name}\""));
    for secret in secrets {
        assert!(kept.iter().all(|kept| !kept.contains(&secret)), "`{secret}` is kept somewhere");
    }
}
