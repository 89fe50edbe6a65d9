//! Bad input, for every route: the status that the design names, as a problem, and nothing changes.

use contract_tests::Api;
use std::{collections::BTreeMap, sync::OnceLock};
use tests::{Answer, CARD, Json, Kit, Shop, json, quiet_shop, run_on, text, unique};

/// What there is to be asked for.
struct Stage {
    shop: Shop,
    kit: Kit,
    order: String,
    delivery: String,
    payment: String,
    head: i64,
}

impl Stage {
    fn set() -> Self {
        let shop = quiet_shop();
        let kit = shop.kit(50);
        let order = shop.order_under_way(&kit, 1).id;
        shop.act("/catch-up").is(200);
        Self {
            delivery: text(&shop.delivery(&order).unwrap()["id"]),
            payment: text(&shop.payment(&order).unwrap()["id"]),
            head: shop.events_after(0).last().unwrap().seq(),
            kit,
            order,
            shop,
        }
    }

    /// Routes that need a body, each with a good one.
    fn bodies(&self) -> Vec<(&'static str, String, Json)> {
        vec![
            (
                "POST",
                "/products".into(),
                json!({
                    // Whom a body names that nobody can read, too (`People`).
                    "seller_id": "somebody", "name": "Kit", "description": "d", "price": 1, "stock": 1,
                    "image_url": "https://example.com/a.jpg",
                }),
            ),
            ("PATCH", format!("/products/{}", self.kit.id), json!({"name": "Kit", "price": 1, "stock": 1})),
            ("POST", "/orders".into(), Shop::order_body(&self.kit, "somebody", 1)),
        ]
    }

    /// Routes whose body may be left out, each with the best one it takes.
    fn optional_bodies(&self) -> Vec<(&'static str, String, Json)> {
        vec![
            ("POST", format!("/orders/{}/cancel", self.order), json!({"reason": "r"})),
            ("DELETE", format!("/orders/{}", self.order), json!({"reason": "r"})),
            ("POST", format!("/deliveries/{}/complete", self.delivery), json!({})),
            ("POST", "/mypages/rebuild".into(), json!({})),
            ("POST", "/dead-letters/product-1/retry".into(), json!({})),
        ]
    }

    fn send(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.shop.call(method, path).header("content-type", "application/json").body(body).send()
    }

    /// The good body with one member changed.
    fn send_with(&self, method: &str, path: &str, good: &Json, field: &str, value: &Json) -> Answer {
        let mut body = good.clone();
        *member(&mut body, field) = value.clone();
        let mut answer = self.send(method, path, body.to_string());
        answer.what = format!("{} with {field} = {value:.80}", answer.what);
        answer
    }

    /// Nothing happened, and nothing looks different.
    fn assert_unchanged(&self) {
        self.shop.act("/catch-up").is(200);
        if self.shop.is_own() {
            let events = self.shop.events_after(self.head);
            assert!(events.is_empty(), "something happened: {events:?}");
        }
        assert_eq!(self.shop.status(&self.order), "delivery_requested");
        assert_eq!(self.shop.get(&format!("/products/{}", self.kit.id)).is(200)["version"], 2);
    }
}

/// A member of a body; `payment.card_number` is one of a member.
fn member<'a>(body: &'a mut Json, field: &str) -> &'a mut Json {
    field.split('.').fold(body, |json, name| &mut json[name])
}

fn remove(body: &mut Json, field: &str) {
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let parent = if parent.is_empty() { body } else { member(body, parent) };
    parent.as_object_mut().unwrap().remove(name);
}

/// Runs these functions on the stage that they all share: bad input changes nothing, so they do not disturb each other.
macro_rules! changes_nothing {
    ($($name:ident),+ $(,)?) => { $(
        #[test]
        fn $name() {
            let stage = STAGE.get_or_init(Stage::set);
            run_on(&stage.shop, || {
                cases::$name(stage);
                stage.assert_unchanged();
            });
        }
    )+ };
}

static STAGE: OnceLock<Stage> = OnceLock::new();

changes_nothing!(
    a_wrong_method_is_405_with_allow,
    what_is_not_declared_as_json_is_415,
    what_is_encoded_is_415,
    malformed_json_is_400,
    a_body_of_1_mb_is_413,
    a_wrong_type_or_a_missing_field_is_400,
    what_is_against_the_rules_is_422,
    an_unknown_id_is_404,
    a_wrong_query_is_400_or_422,
    a_wrong_if_match_is_400_or_412,
);

mod cases {
    use super::*;

    const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

    pub(super) fn a_wrong_method_is_405_with_allow(stage: &Stage) {
        for (path, methods) in routes() {
            for method in METHODS {
                if methods.contains(&method) {
                    continue;
                }
                let answer = stage.shop.call(method, &path).send();
                answer.problem(405);
                let allow = answer.header("allow").unwrap_or_else(|| panic!("no Allow: {answer}"));
                let mut allowed: Vec<&str> =
                    allow.split(',').map(str::trim).filter(|allowed| *allowed != "HEAD").collect();
                allowed.sort_unstable();
                assert_eq!(allowed, methods, "{answer}");
            }
        }
    }

    /// Every route there is, with its methods in order. Whether the thing exists does not matter.
    fn routes() -> BTreeMap<String, Vec<&'static str>> {
        let mut routes: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (method, path, _) in Api::shop().operations() {
            let parts = path.split('/').map(|part| if part.starts_with('{') { "unknown" } else { part });
            let method = METHODS.into_iter().find(|it| it.eq_ignore_ascii_case(method)).unwrap();
            routes.entry(parts.collect::<Vec<_>>().join("/")).or_default().push(method);
        }
        routes.values_mut().for_each(|methods| methods.sort_unstable());
        routes
    }

    pub(super) fn what_is_not_declared_as_json_is_415(stage: &Stage) {
        for (method, path, good) in stage.bodies() {
            stage.shop.call(method, &path).body(good.to_string()).send().problem(415);
        }
        for (method, path, good) in stage.bodies().into_iter().chain(stage.optional_bodies()) {
            for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", ""] {
                let call = stage.shop.call(method, &path).header("content-type", content_type);
                call.body(good.to_string()).send().problem(415);
            }
        }
    }

    /// By every route that is no mere reading, also where a body is not read; whatever is in it.
    pub(super) fn what_is_encoded_is_415(stage: &Stage) {
        let ways = stage.bodies().into_iter().chain(stage.optional_bodies());
        let unread = ["/bell", "/catch-up", "/dead-letters/product-1/discard"];
        let unread = unread.map(|path| ("POST", path.to_owned(), json!({"reason": "r"})));
        for (method, path, good) in ways.chain(unread) {
            let send = |codings: &[&str], body: String| {
                let call = stage.shop.call(method, &path).header("content-type", "application/json");
                codings.iter().fold(call, |call, coding| call.header("content-encoding", coding)).body(body).send()
            };
            let large = " ".repeat(1 << 20);
            for body in [good.to_string(), String::new(), "\u{1f}\u{8b}".into(), large] {
                for codings in [&["gzip"][..], &["GZip"], &["br"], &["identity, gzip"], &["identity", "zstd"], &["x"]] {
                    let answer = send(codings, body.clone());
                    answer.problem(415);
                    assert_eq!(answer.header("accept-encoding"), Some("identity"), "{answer}");
                }
            }
            // A coding that leaves everything as it is: what is wrong is the JSON.
            for codings in [&["identity"][..], &["Identity , identity"], &["identity", "IDENTITY"], &[""]] {
                if stage.bodies().iter().any(|(_, it, _)| *it == path) {
                    send(codings, "{".into()).problem(400);
                }
            }
        }
    }

    pub(super) fn malformed_json_is_400(stage: &Stage) {
        for (method, path, _) in stage.bodies() {
            stage.send(method, &path, "").problem(400);
        }
        for (method, path, good) in stage.bodies().into_iter().chain(stage.optional_bodies()) {
            let (json, good) = (&good, good.to_string());
            let deep = "[".repeat(30_000);
            let deep_inside = format!("{{\"reason\":{}", "{\"a\":".repeat(10_000));
            let bad: [&[u8]; 14] = [
                b"{",
                b"}",
                b" ",
                b"null",
                b"1",
                b"[]",
                b"\"text\"",
                b"{'name': 1}",
                b"{\"name\": \"\xff\xfe\"}",
                b"\xff",
                b"{\"name\": \"\\ud800\"}",
                b"{\"name\": NaN}",
                deep.as_bytes(),
                deep_inside.as_bytes(),
            ];
            for body in bad {
                stage.send(method, &path, body).problem(400);
            }
            // The values in their order, without their names.
            let values: Vec<&Json> = json.as_object().unwrap().values().collect();
            stage.send(method, &path, json!(values).to_string()).problem(400);
            stage.send(method, &path, format!("{good} {good}")).problem(400);
            stage.send(method, &path, &good[..good.len() - 1]).problem(400);
            let unknown =
                if good == "{}" { "{\"unknown\":1}".into() } else { good.replacen('{', "{\"unknown\":1,", 1) };
            stage.send(method, &path, unknown).problem(400);
        }
        for (method, path, good) in stage.bodies() {
            // A good text with a byte in it that is no UTF-8.
            let mut bytes = good.to_string().into_bytes();
            let place = bytes.windows(3).position(|window| window == b"Kit" || window == b"mem").unwrap();
            bytes[place] = 0xC3;
            stage.send(method, &path, bytes).problem(400);
            let twice = good.to_string().replacen('{', &format!("{{{},", &first_member(&good)), 1);
            stage.send(method, &path, twice).problem(400);
        }
        let mut card = Shop::order_body(&stage.kit, "member", 1);
        card["payment"]["cvc"] = 123.into();
        stage.send("POST", "/orders", card.to_string()).problem(400);
    }

    fn first_member(body: &Json) -> String {
        let (name, value) = body.as_object().unwrap().iter().next().unwrap();
        format!("{}:{value}", json!(name))
    }

    pub(super) fn a_body_of_1_mb_is_413(stage: &Stage) {
        for (method, path, good) in stage.bodies().into_iter().chain(stage.optional_bodies()) {
            let large = good.to_string() + &" ".repeat(1 << 20);
            stage.send(method, &path, large).problem(413);
            stage.send(method, &path, " ".repeat(65_537)).problem(413);
        }
        stage.send("POST", "/nowhere", "x".repeat(1 << 20));
        // As much as is allowed.
        let good = json!({"price": 12_000}).to_string();
        let padded = good.clone() + &" ".repeat(65_536 - good.len());
        stage.send("PATCH", &format!("/products/{}", stage.kit.id), padded).is(200);
    }

    pub(super) fn a_wrong_type_or_a_missing_field_is_400(stage: &Stage) {
        let (texts, integers) = (["name"], ["price", "stock"]);
        let no_text = [json!(1), json!(true), json!([]), json!({}), json!(["a"])];
        let no_integer =
            [json!("1"), json!(true), json!([]), json!({}), json!(1.5), json!(0.1), json!(""), json!("1.0")];
        let (method, path, good) = stage.bodies().swap_remove(0);
        for field in texts.iter().chain(&["seller_id", "description", "image_url"]) {
            for value in &no_text {
                stage.send_with(method, &path, &good, field, value).problem(400);
            }
        }
        for field in integers {
            for value in &no_integer {
                stage.send_with(method, &path, &good, field, value).problem(400);
            }
        }
        for field in texts.iter().chain(&integers) {
            stage.send_with(method, &path, &good, field, &Json::Null).problem(400);
            assert_missing(stage, method, &path, &good, field);
        }

        let (method, path, good) = stage.bodies().swap_remove(1);
        for value in no_text.iter().chain(&[Json::Null]) {
            stage.send_with(method, &path, &good, "name", value).problem(400);
        }
        for field in integers {
            for value in no_integer.iter().chain(&[Json::Null]) {
                stage.send_with(method, &path, &good, field, value).problem(400);
            }
        }
        for field in ["seller_id", "id", "version"] {
            stage.send_with(method, &path, &good, field, &json!("x")).problem(400);
        }

        let (method, path, good) = stage.bodies().swap_remove(2);
        for value in no_text.iter().chain(&[Json::Null]) {
            stage.send_with(method, &path, &good, "member_id", value).problem(400);
        }
        for field in ["product_id", "address", "payment.card_number", "payment.card_owner"] {
            for value in no_text.iter().chain(&[Json::Null]) {
                stage.send_with(method, &path, &good, field, value).problem(400);
            }
            assert_missing(stage, method, &path, &good, field);
        }
        for value in no_integer.iter().chain(&[Json::Null]) {
            stage.send_with(method, &path, &good, "quantity", value).problem(400);
        }
        for value in [Json::Null, json!(1), json!("card"), json!([1, 2]), json!([CARD, "Kim Minji"])] {
            stage.send_with(method, &path, &good, "payment", &value).problem(400);
        }
        assert_missing(stage, method, &path, &good, "quantity");
        assert_missing(stage, method, &path, &good, "payment");
        // Prices are the catalogue's, never the client's.
        for field in ["amount", "unit_price", "price", "status", "id"] {
            stage.send_with(method, &path, &good, field, &json!(1)).problem(400);
        }
        for value in no_text {
            stage
                .send("POST", &format!("/orders/{}/cancel", stage.order), json!({"reason": value}).to_string())
                .problem(400);
        }
    }

    fn assert_missing(stage: &Stage, method: &str, path: &str, good: &Json, field: &str) {
        let mut body = good.clone();
        remove(&mut body, field);
        stage.send(method, path, body.to_string()).problem(400);
    }

    /// What is absurd is told which field it is, and what it may be.
    fn assert_invalid(answer: &Answer, field: &str) {
        let problem = answer.problem(422);
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {answer}"));
        let error =
            errors.iter().find(|error| error["field"] == field).unwrap_or_else(|| panic!("no {field}: {answer}"));
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    }

    pub(super) fn what_is_against_the_rules_is_422(stage: &Stage) {
        let (long, many) = ("x".repeat(10_000), "가".repeat(10_000));
        // Whatever else a text is, it is none with the number of a card in it.
        let cards = [
            CARD,
            "Hana Kim 4111 1111 1111 1111",
            "４１１１-１１１１-１１１１-１１１１",
            "4\u{200b}111\u{a0}1111 1111 1111 12/27",
        ];
        let cards = cards.map(Json::from);
        let no_names = [json!(""), json!("   "), json!(long), json!(many), json!("a\u{0}b"), json!("\u{7}")];
        let no_names: Vec<_> = no_names.iter().chain(&cards).collect();
        let no_ids =
            [json!(""), json!(" "), json!(long), json!("a b"), json!("' OR 1=1 --"), json!("\u{0}"), json!("가")];
        let huge = ["9007199254740993000", "9223372036854775808", "18446744073709551616", "1e30", "-1e30"];
        let numbers = |rest: &[i64]| {
            let huge = huge.iter().map(|text| serde_json::from_str(text).unwrap());
            rest.iter().map(|number| json!(number)).chain(huge).collect::<Vec<Json>>()
        };

        for (method, path, good) in stage.bodies().into_iter().take(2) {
            for value in &no_names {
                assert_invalid(&stage.send_with(method, &path, &good, "name", value), "name");
            }
            for value in numbers(&[0, -1, i64::MIN, i64::MAX, 1_000_000_000_000]) {
                assert_invalid(&stage.send_with(method, &path, &good, "price", &value), "price");
            }
            for value in numbers(&[-1, i64::MIN, i64::MAX, 4_294_967_296, -4_294_967_295]) {
                assert_invalid(&stage.send_with(method, &path, &good, "stock", &value), "stock");
            }
            for value in [json!("javascript:alert(1)"), json!("x"), json!(""), json!("https://a b"), json!(long)] {
                assert_invalid(&stage.send_with(method, &path, &good, "image_url", &value), "image_url");
            }
            for value in [json!(long), json!("\u{1}")].iter().chain(&cards) {
                assert_invalid(&stage.send_with(method, &path, &good, "description", value), "description");
            }
            // A number as it stands in the text, too large for any type.
            let price = good.to_string().replacen("\"price\":1", &format!("\"price\":1{}", "0".repeat(300)), 1);
            stage.send(method, &path, price).problem(422);
            let price = good.to_string().replacen("\"price\":1", "\"price\":1e999", 1);
            let answer = stage.send(method, &path, price);
            assert!([400, 422].contains(&answer.status), "{answer}");
        }
        let (method, path, good) = stage.bodies().swap_remove(2);
        for value in &no_ids {
            assert_invalid(&stage.send_with(method, &path, &good, "product_id", value), "product_id");
        }
        for value in [json!("no-such-product"), json!(uuid()), json!(stage.order)] {
            assert_invalid(&stage.send_with(method, &path, &good, "product_id", &value), "product_id");
        }
        for value in numbers(&[0, -1, 100, i64::MIN, i64::MAX, 4_294_967_297]) {
            assert_invalid(&stage.send_with(method, &path, &good, "quantity", &value), "quantity");
        }
        for value in &no_names {
            assert_invalid(&stage.send_with(method, &path, &good, "address", value), "address");
            assert_invalid(&stage.send_with(method, &path, &good, "payment.card_owner", value), "payment.card_owner");
        }
        for value in [
            "",
            " ",
            "4111111111111112",
            "411111111111",
            "411111111111111a",
            "abcd",
            "４１１１１１１１１１１１１１１１",
            "-4111111111111111\u{0}",
            "0",
            long.as_str(),
        ] {
            let answer = stage.send_with(method, &path, &good, "payment.card_number", &json!(value));
            assert_invalid(&answer, "payment.card_number");
            assert!(!answer.body.contains("411111111111"), "the card number comes back: {answer}");
        }
        // All that is wrong is told at once.
        let all = json!({
            "product_id": "", "quantity": 0, "address": "",
            "payment": {"card_number": "", "card_owner": ""},
        });
        let problem = stage.send("POST", "/orders", all.to_string()).problem(422);
        assert!(problem["errors"].as_array().unwrap().len() >= 5, "{problem}");

        let cancel = format!("/orders/{}/cancel", stage.order);
        for value in [json!(""), json!(long), json!("\u{0}")].iter().chain(&cards) {
            assert_invalid(&stage.send("POST", &cancel, json!({"reason": value}).to_string()), "reason");
        }
    }

    fn uuid() -> String {
        uuid::Uuid::now_v7().to_string()
    }

    pub(super) fn an_unknown_id_is_404(stage: &Stage) {
        let long = "x".repeat(4_000);
        let uuid = uuid();
        let ids = [
            uuid.as_str(),
            "nope",
            "0",
            "-1",
            "null",
            "%20",
            "%00",
            "%27%20OR%201%3D1%20--",
            "%2e%2e%2fproducts",
            "%F0%9F%8D%9C",
            "*",
            long.as_str(),
        ];
        for id in ids {
            for path in ["products", "orders", "payments", "deliveries", "mypages"] {
                stage.shop.get(&format!("/{path}/{id}")).problem(404);
            }
            stage.send("PATCH", &format!("/products/{id}"), "{\"price\":1}").problem(404);
            stage.shop.act(&format!("/orders/{id}/cancel")).problem(404);
            stage.shop.call("DELETE", &format!("/orders/{id}")).send().problem(404);
            stage.shop.act(&format!("/deliveries/{id}/complete")).problem(404);
        }
        // The id of something else.
        stage.shop.get(&format!("/products/{}", stage.order)).problem(404);
        stage.shop.get(&format!("/orders/{}", stage.kit.id)).problem(404);
        stage.shop.get(&format!("/payments/{}", stage.delivery)).problem(404);
        stage.shop.get(&format!("/deliveries/{}", stage.payment)).problem(404);
        stage.send("PATCH", &format!("/products/{}", stage.order), "{\"price\":1}").problem(404);
        stage.shop.act(&format!("/orders/{}/cancel", stage.kit.id)).problem(404);
        // Escapes that are no UTF-8.
        for path in ["products", "orders", "payments", "deliveries", "mypages"] {
            stage.shop.get(&format!("/{path}/%FF")).problem(400);
        }
    }

    pub(super) fn a_wrong_query_is_400_or_422(stage: &Stage) {
        let lists = [
            ("/products", "q="),
            ("/orders", "member_id="),
            ("/payments", "order_id="),
            ("/deliveries", "order_id="),
            ("/mypages", "member_id="),
            ("/notifications", "recipient=member:"),
            ("/notifications", "order_id="),
            ("/events", "order_id="),
        ];
        for (path, filter) in lists {
            let ask = |query: &str| stage.shop.get(&format!("{path}?{query}"));
            for limit in ["0", "-1", "101", "9223372036854775807", "99999999999999999999", "1e3", "0.0"] {
                ask(&format!("limit={limit}")).problem(422);
            }
            for limit in ["", "abc", "1.5", "1e-1", "%20", "1%00", "0x10", "01", "%2B1", "NaN"] {
                ask(&format!("limit={limit}")).problem(400);
            }
            for unknown in ["unknown=1", "Limit=1", "limit=1&unknown=", "offset=1", "sort=price"] {
                ask(unknown).problem(400);
            }
            ask("limit=1&limit=2").problem(400);
            ask(&format!("{filter}a&{filter}b")).problem(400);
            // What is no UTF-8 is read as a replacement character (that is how forms work), and finds nothing.
            assert_eq!(ask(&format!("{filter}%FF%FE")).is(200), json!({"items": [], "next": null}));
            // No such thing: nothing is found, and nothing is more than nothing.
            for nothing in ["%27%20OR%20%271%27%3D%271", "nobody-at-all", "%00", "%25", "_"] {
                let page = ask(&format!("{filter}{nothing}")).is(200);
                if (path, nothing) != ("/products", "%25") {
                    assert_eq!(page, json!({"items": [], "next": null}), "{path}?{filter}{nothing}");
                }
            }
            for after in
                ["", "abc", "%00", "-1", "%FF", "99999999999999999999", "%27%3B%20DROP%20TABLE%20event%3B%20--"]
            {
                ask(&format!("after={after}")).problem(400);
            }
        }
        for recipient in ["", "hana", "member", "member:", ":hana", "Member:hana", "operator:hana", "%FF%FE", "%00"] {
            stage.shop.get(&format!("/notifications?recipient={recipient}")).problem(400);
        }
        for after in ["abc", "1.5", "99999999999999999999"] {
            stage.shop.get(&format!("/events?after={after}")).problem(400);
        }
    }

    pub(super) fn a_wrong_if_match_is_400_or_412(stage: &Stage) {
        let path = format!("/products/{}", stage.kit.id);
        let change = |etag: &str| {
            let call = stage.shop.call("PATCH", &path).header("if-match", etag);
            call.json(&json!({"price": 77})).send()
        };
        for etag in ["1", "abc", "\"", "\"1", "w/\"1\"", "*, \"1\"", "\"' OR 1=1\""] {
            change(etag).problem(400);
        }
        for etag in
            ["W/\"2\"", "", "\"98\", \"99\"", "\"0\"", "\"1\"", "\"99\"", "\"-1\"", "\"\"", "\"99999999999999999999\""]
        {
            change(etag).problem(412);
        }
    }
}

tests::shared!(
    an_integer_may_be_written_as_any_number_is,
    sql_in_a_text_is_a_text,
    what_looks_odd_but_is_allowed_is_kept_as_it_is
);

fn an_integer_may_be_written_as_any_number_is(shop: &Shop) {
    let send = |method: &str, path: &str, body: &str| {
        shop.call(method, path).header("content-type", "application/json").body(body).send()
    };
    let kit =
        send("POST", "/products", "{\"seller_id\":\"s\",\"name\":\"Kit\",\"price\":1.29e4,\"stock\":10.0}").is(201);
    assert_eq!((&kit["price"], &kit["stock"]), (&json!(12_900), &json!(10)));
    let path = format!("/products/{}", text(&kit["id"]));
    let kit = send("PATCH", &path, "{\"price\":900E-2,\"stock\":0.7e1}").is(200);
    assert_eq!((&kit["price"], &kit["stock"]), (&json!(9), &json!(7)));
    for fraction in ["1.5", "1.00000000000000001", "98.999999999999999999999", "1e-1"] {
        send("PATCH", &path, &format!("{{\"price\":{fraction}}}")).problem(400);
    }
    let kit = Kit { id: text(&kit["id"]), seller: "s".into() };
    let order = Shop::order_body(&kit, &unique("member"), 1).to_string();
    let order = send("POST", "/orders", &order.replace("\"quantity\":1", "\"quantity\":2.0")).is(201);
    assert_eq!((&order["quantity"], &order["amount"]), (&json!(2), &json!(18)));
    for limit in ["1", "1.0", "1e0", "10e-1"] {
        let page = shop.get(&format!("/products?limit={limit}")).is(200);
        assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{limit}");
    }
}

fn sql_in_a_text_is_a_text(shop: &Shop) {
    let sql = "'); DROP TABLE event; DELETE FROM product_product; -- \" ] } $.a %_";
    let kit = json!({"seller_id": "s", "name": sql, "description": sql, "price": 1, "stock": 5});
    let kit = shop.post("/products", &kit).is(201);
    assert_eq!((&kit["name"], &kit["description"]), (&json!(sql), &json!(sql)));
    let kit = Kit { id: text(&kit["id"]), seller: "s".into() };
    let mut body = Shop::order_body(&kit, &unique("member"), 1);
    body["address"] = sql.into();
    body["payment"]["card_owner"] = sql.into();
    let order = shop.post("/orders", &body).is(201);
    assert_eq!((&order["product_name"], &order["address"]), (&json!(sql), &json!(sql)));
    let id = text(&order["id"]);
    shop.wait_for(&id, &tests::UNDER_WAY);
    assert_eq!(shop.delivery(&id).unwrap()["address"], sql);
    assert_eq!(shop.payment(&id).unwrap()["card_owner"], sql);
    let cancelled = shop.post(&format!("/orders/{id}/cancel"), &json!({"reason": sql})).is(200);
    assert_eq!(cancelled["reason"], sql);
    let found = shop.get("/products?q=%27%29%3B%20DROP%20TABLE%20event%3B&limit=100").is(200);
    assert!(found["items"].as_array().unwrap().iter().any(|found| found["id"] == kit.id.as_str()), "{found}");
}

fn what_looks_odd_but_is_allowed_is_kept_as_it_is(shop: &Shop) {
    for name in ["비빔밥 🍜", "é", "<script>alert(1)</script>", "\\u0041", "null", "1e5", "\u{202e}x", "{}"] {
        let body = json!({"seller_id": "a.b-c_d:e@f", "name": name, "price": 1, "stock": 0});
        let kit = shop.post("/products", &body).is(201);
        assert_eq!(kit["name"], name);
        assert_eq!(shop.get(&format!("/products/{}", text(&kit["id"]))).is(200), kit);
        let kit = Kit { id: text(&kit["id"]), seller: "s".into() };
        assert_eq!(shop.try_order(&kit, 1, CARD).is(201)["product_name"], name);
    }
    // But for what is typed in pieces, which is the same text.
    let body = json!({"seller_id": "s", "name": "e\u{301}", "price": 1, "stock": 0});
    assert_eq!(shop.post("/products", &body).is(201)["name"], "é");
}
