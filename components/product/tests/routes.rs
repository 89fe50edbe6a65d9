//! The routes of product, against real SQLite.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use kernel::testing::{App, Native, Reply, call, event_with};
use product::{Products, http::routes};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

async fn shop() -> (Arc<Native>, App<Products>) {
    let native = Native::new();
    let app = App::open(&native, routes).await;
    (native, app)
}

fn kit(name: &str) -> Json {
    json!({"seller_id": "seller-1", "name": name, "price": 12_000, "stock": 10})
}

async fn register(app: &App<Products>, name: &str) -> Reply {
    let reply = app.post("/products", kit(name)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply
}

/// The same for many, without the bell that rings for each.
async fn register_quietly(native: &std::sync::Arc<Native>, app: &App<Products>, name: &str) -> String {
    let reply = call(native, &app.router, "POST", "/products", &[], Some(kit(name))).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.text("/id").to_owned()
}

async fn patch(app: &App<Products>, id: &str, if_match: Option<&str>, changes: Json) -> Reply {
    let headers: Vec<_> = if_match.map(|etag| ("if-match", etag)).into_iter().collect();
    app.call("PATCH", &format!("/products/{id}"), &headers, Some(changes)).await
}

#[tokio::test]
async fn a_registered_kit_is_found_where_its_answer_says() {
    let (native, app) = shop().await;
    let made = register(&app, "Bibimbap").await;
    assert_eq!((made.header("etag"), made.text("/name"), &made.body["version"]), ("\"1\"", "Bibimbap", &json!(1)));
    assert_eq!((&made.body["description"], &made.body["image_url"]), (&Json::Null, &Json::Null));
    let found = app.get(made.header("location")).await;
    assert_eq!((found.status, found.header("etag"), &found.body), (200, "\"1\"", &made.body));
    assert_eq!(native.log(), [("ProductRegistered".to_owned(), made.text("/id").to_owned())]);
    assert_eq!(native.published().len(), 0, "nobody is there who reads it");
}

#[tokio::test]
async fn a_change_honours_if_match() {
    let (native, app) = shop().await;
    let made = register(&app, "Bibimbap").await;
    let id = made.text("/id");
    let changed = patch(&app, id, Some("\"1\""), json!({"price": 13_000, "description": "Hot"})).await;
    assert_eq!((changed.status, changed.header("etag"), &changed.body["price"]), (200, "\"2\"", &json!(13_000)));
    patch(&app, id, Some("\"1\""), json!({"price": 1})).await.assert_problem(412, "stale");
    patch(&app, id, Some("\"unknown\""), json!({"price": 1})).await.assert_problem(412, "stale");
    patch(&app, id, Some("2"), json!({"price": 1})).await.assert_problem(400, "malformed");
    let same = patch(&app, id, Some("*"), json!({"price": 13_000})).await;
    assert_eq!((same.status, same.header("etag")), (200, "\"2\""), "nothing has changed");
    let cleared = patch(&app, id, None, json!({"description": null})).await;
    assert_eq!((cleared.header("etag"), &cleared.body["description"]), ("\"3\"", &Json::Null));
    patch(&app, "nobody", None, json!({"price": 1})).await.assert_problem(404, "not-found");
    assert_eq!(native.log_of(id), ["ProductRegistered", "ProductModified", "ProductModified"]);
}

#[tokio::test]
async fn a_question_is_answered_under_its_conditions() {
    let (_, app) = shop().await;
    let path = register(&app, "Bibimbap").await.header("location").to_owned();
    for method in ["GET", "HEAD"] {
        let ask = async |conditions: &[(&str, &str)]| app.call(method, &path, conditions, None).await;
        for known in ["\"1\"", "W/\"1\"", "*", "\"0\", \"1\""] {
            let same = ask(&[("if-none-match", known)]).await;
            assert_eq!((same.status, same.header("etag"), &same.body), (304, "\"1\"", &Json::Null), "{known}");
            assert_eq!(
                (same.header("content-type"), same.header("content-length")),
                ("", ""),
                "of a body that is not there"
            );
        }
        assert_eq!(ask(&[("if-none-match", "\"0\""), ("if-none-match", "\"1\"")]).await.status, 304);
        assert_eq!(ask(&[("if-none-match", "\"2\""), ("if-match", "\"1\"")]).await.status, 200);
        ask(&[("if-match", "\"2\""), ("if-none-match", "\"1\"")]).await.assert_problem(412, "stale");
        ask(&[("if-none-match", "1")]).await.assert_problem(400, "malformed");
    }
    let list = app.call("GET", "/products", &[("if-none-match", "*"), ("if-match", "\"1\"")], None).await;
    assert_eq!((list.status, list.items().len()), (200, 1), "a list has no ETag");
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_one_kit() {
    let (native, app) = shop().await;
    let first = app.post_once("k", "/products", kit("Bibimbap")).await;
    patch(&app, first.text("/id"), None, json!({"price": 1})).await;
    let again = app.post_once("k", "/products", kit("Bibimbap")).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    for header in ["etag", "location", "content-type"] {
        assert_eq!(again.header(header), first.header(header));
    }
    app.post_once("k", "/products", kit("Bulgogi")).await.assert_problem(422, "key-reused");
    assert_eq!(native.log().len(), 2);
    assert_ne!(app.post_once("l", "/products", kit("Bibimbap")).await.text("/id"), first.text("/id"));
}

#[tokio::test]
async fn the_same_key_at_once_makes_one_kit() {
    let (native, app) = shop().await;
    let replica = App::<Products>::open(&native.replica(), routes).await;
    let (one, other) = tokio::join!(
        app.post_once("k", "/products", kit("Kimchi")),
        replica.post_once("k", "/products", kit("Kimchi"))
    );
    assert_eq!((one.status, &one.body), (201, &other.body));
    assert_eq!(native.log().len(), 1);
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_answered_when_it_comes_again() {
    let (native, app) = shop().await;
    native.lose_answer("INSERT INTO product_commit", "connection reset");
    app.post_once("k", "/products", kit("Kimchi")).await.assert_problem(500, "internal");
    let again = app.post_once("k", "/products", kit("Kimchi")).await;
    assert_eq!((again.status, native.log().len()), (201, 1));
}

#[tokio::test]
async fn a_busy_database_is_503_and_not_remembered() {
    let (native, app) = shop().await;
    native.set_patience(Duration::from_millis(20));
    let lock = native.lock();
    let busy = app.post_once("k", "/products", kit("Kimchi")).await;
    busy.assert_problem(503, "busy");
    assert_eq!(busy.header("retry-after"), "1");
    drop(lock);
    assert_eq!(native.log(), []);
    assert_eq!(app.post_once("k", "/products", kit("Kimchi")).await.status, 201);
}

#[tokio::test]
async fn the_list_is_read_page_by_page_newest_first() {
    let (native, app) = shop().await;
    let mut made: Vec<String> = vec![];
    for number in 0..25 {
        made.insert(0, register(&app, &format!("Kit {number}")).await.text("/id").to_owned());
    }
    let (mut path, mut found) = ("/products?limit=10".to_owned(), vec![]);
    let sizes = loop {
        let page = app.get(&path).await;
        found.push(page.items().iter().map(|kit| kit["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
        match page.body["next"].as_str() {
            Some(next) => path = format!("/products?limit=10&after={next}"),
            None => break found.iter().map(Vec::len).collect::<Vec<_>>(),
        }
    };
    assert_eq!((sizes, found.concat()), (vec![10, 10, 5], made));
    assert_eq!(app.get("/products").await.items().len(), 20);
    let exact = app.get("/products?limit=25").await;
    assert_eq!((exact.items().len(), &exact.body["next"]), (25, &Json::Null));
    for (query, status, kind) in [
        ("limit=0", 422, "invalid"),
        ("limit=101", 422, "invalid"),
        ("limit=x", 400, "malformed"),
        ("page=2", 400, "malformed"),
    ] {
        app.get(&format!("/products?{query}")).await.assert_problem(status, kind);
    }
    assert_eq!(native.scans(), []);
}

#[tokio::test]
async fn a_search_takes_its_text_as_it_is() {
    let (_, app) = shop().await;
    for name in ["100% Beef", "1000 Beans", "under_score", "Bulgogi 불고기"] {
        register(&app, name).await;
    }
    for (q, name) in [("0%25+b", "100% Beef"), ("R_S", "under_score"), ("%EB%B6%88", "Bulgogi 불고기")] {
        let found = app.get(&format!("/products?q={q}")).await;
        let names: Vec<_> = found.items().iter().map(|kit| kit["name"].as_str().unwrap()).collect();
        assert_eq!(names, [name]);
    }
    assert_eq!(app.get("/products?q='+OR+1=1").await.items().len(), 0);
}

/// `Ä`, `김` and a soft hyphen, as a Mac or an editor types them, and as others do.
const TYPED: &str = "A\u{308}pfel \u{1100}\u{1175}\u{11b7} So\u{ad}\u{df}e";
const KEPT: &str = "\u{c4}pfel \u{ae40} So\u{ad}\u{df}e";

/// The names of the kits that a search finds.
async fn search(app: &App<Products>, q: &str) -> Vec<String> {
    let q: String = q.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let found = app.get(&format!("/products?q={q}")).await;
    found.items().iter().map(|kit| kit["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn texts_are_kept_composed_and_found_however_they_are_typed() {
    let (_, app) = shop().await;
    let mut kit = kit(TYPED);
    kit["description"] = TYPED.into();
    let registered = app.post("/products", kit).await;
    assert_eq!((registered.text("/name"), registered.text("/description")), (KEPT, KEPT));
    register(&app, "Pears").await;
    for q in
        [TYPED, KEPT, "\u{c4}PFEL", "a\u{308}p", "\u{ae40}", "\u{1100}\u{1175}\u{11b7}", "SOSSE", "\u{ff21}\u{308}"]
    {
        assert_eq!(search(&app, q).await, [KEPT], "{}", q.escape_unicode());
    }
    assert_eq!(search(&app, "apfel").await, [""; 0]);
    assert_eq!(search(&app, "SOSSE\u{1f}").await, [KEPT], "the only way to say where a name ends");
    assert_eq!(search(&app, "SOSSEA\u{308}pfel").await, [""; 0], "not across name and description");

    let id = registered.text("/id");
    let changed = patch(&app, id, None, json!({"name": "Cafe\u{301}", "description": TYPED})).await;
    assert_eq!((changed.text("/name"), changed.text("/description")), ("Caf\u{e9}", KEPT));
    assert_eq!(search(&app, "CAFE\u{301}").await, ["Caf\u{e9}"]);
    assert_eq!(search(&app, "sosse").await, ["Caf\u{e9}"], "by its description");
    patch(&app, id, None, json!({"description": null})).await;
    assert_eq!(search(&app, "sosse").await, [""; 0]);
}

#[tokio::test]
async fn a_composed_text_is_as_long_as_it_looks() {
    let (_, app) = shop().await;
    assert_eq!(register(&app, &"\u{1100}\u{1175}\u{11b7}".repeat(200)).await.text("/name"), "\u{ae40}".repeat(200));
    app.post("/products", kit(&"\u{ae40}".repeat(201))).await.assert_problem(422, "invalid");
}

#[tokio::test]
async fn kits_of_older_builds_are_found_too_and_stay_as_they_are() {
    let (native, app) = shop().await;
    for number in 0..25 {
        register(&app, &format!("Kit {number}")).await;
    }
    let id = register(&app, "Kimchi").await.text("/id").to_owned();
    register(&app, "Pears").await;
    native.sql("UPDATE product_row SET row = json_remove(row, '$.search')", vec![]);
    native.sql(
        "UPDATE product_row SET row = json_set(row, '$.name', ?) WHERE id = ?",
        vec![TYPED.into(), id.as_str().into()],
    );
    let etag = app.get(&format!("/products/{id}")).await.header("etag").to_owned();

    let page = app.get("/products?limit=10&q=KIT").await;
    assert_eq!((page.items().len(), page.items()[0]["name"].as_str()), (10, Some("Kit 24")));
    assert_eq!(search(&app, "\u{e4}PFEL \u{ae40}").await, [TYPED]);
    assert_eq!(search(&app, "no such kit").await, [""; 0]);
    assert_eq!(native.integer("SELECT count(*) FROM product_row WHERE row ->> 'search' IS NULL"), 0);
    assert_eq!(app.get(&format!("/products/{id}")).await.header("etag"), etag);
    assert_eq!(native.scans(), []);
}

/// Names of up to eight of these characters, each name as good as any other.
fn names(count: u64) -> Vec<String> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    let mut name = || (0..=below(8)).map(|_| ALPHABET[below(ALPHABET.len() as u64) as usize]).collect::<String>();
    (0..count).map(|_| name()).filter(|name| !name.trim().is_empty()).collect()
}

const ALPHABET: [char; 7] = ['a', 'b', '김', '치', '"', '%', ' '];

#[tokio::test]
async fn a_search_finds_what_has_the_text_somewhere_and_nothing_else() {
    let (native, app) = shop().await;
    let mut kits = vec![];
    for name in names(40) {
        kits.push((register_quietly(&native, &app, &name).await, name));
    }
    // Some have another name by now.
    for ((id, name), other) in kits.iter_mut().zip(names(60).split_off(45)) {
        patch(&app, id, None, json!({"name": other})).await;
        *name = other;
    }
    let mut texts: Vec<String> = ALPHABET.iter().map(char::to_string).collect();
    for c in ALPHABET {
        texts.extend(ALPHABET.map(|d| format!("{c}{d}")));
    }
    texts.extend(names(80).split_off(40));
    texts.extend(kits.iter().map(|(_, name)| name.clone()));
    // What no text has: other letters, what stands between characters in the index, and the end of a text in C.
    texts.extend(
        ["z", "az", "\u{7f}", "a\u{7f}b", "\u{7f}a\u{7f}", "\0", "a\0", "\0ab", "OR", "a* b"].map(str::to_owned),
    );
    texts.push("ab".repeat(3_000));
    for text in texts {
        let newest_first = kits.iter().rev().map(|(_, name)| name.clone());
        let expected: Vec<_> = newest_first.filter(|name| name.contains(&text)).collect();
        let mut found = vec![];
        let mut after = String::new();
        loop {
            let q: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let page = app.get(&format!("/products?limit=7&q={q}{after}")).await;
            assert_eq!(page.status, 200, "{text}: {page:?}");
            found.extend(page.items().iter().map(|kit| kit["name"].as_str().unwrap().to_owned()));
            match page.text("/next") {
                "" => break,
                next => after = format!("&after={next}"),
            }
        }
        assert_eq!(found, expected, "{text}");
    }
}

#[tokio::test]
async fn a_search_goes_on_behind_any_id() {
    let (_, app) = shop().await;
    for number in 0..5 {
        register(&app, &format!("Kit {number}")).await;
    }
    let kits = app.get("/products").await;
    let [third, oldest] = [2, 4].map(|place| kits.items()[place]["id"].as_str().unwrap().to_owned());
    let behind = async |after: &str| app.get(&format!("/products?q=kit&after={after}")).await.items().len();
    assert_eq!((behind(&third).await, behind(&oldest).await), (2, 0));
    assert_eq!(behind("00000000-0000-7000-8000-000000000000").await, 0, "before all of them");
    assert_eq!(behind("ffffffff-ffff-7fff-bfff-ffffffffffff").await, 5, "behind all of them");
}

#[tokio::test]
async fn kits_of_the_version_before_are_found() {
    let (native, app) = shop().await;
    for number in 0..120 {
        register_quietly(&native, &app, &format!("Kit {number}")).await;
    }
    // As that version left them: with a text in the row, and no index.
    for table in ["product_text", "product_trigram"] {
        native.sql(&format!("DELETE FROM {table}"), vec![]);
    }
    native.sql("UPDATE schema_version SET version = 3 WHERE name = 'product'", vec![]);
    let app = App::open(&native.replica(), routes).await;
    assert_eq!(native.integer("SELECT count(*) FROM product_text WHERE text IS NULL"), 120);
    let page = app.get("/products?limit=100&q=kit").await;
    assert_eq!((page.items().len(), page.items()[0]["name"].as_str()), (100, Some("Kit 119")), "newest first");
    assert_eq!(
        search(&app, "t 7").await,
        ["Kit 79", "Kit 78", "Kit 77", "Kit 76", "Kit 75", "Kit 74", "Kit 73", "Kit 72", "Kit 71", "Kit 70", "Kit 7"]
    );
    assert_eq!(native.integer("SELECT count(*) FROM product_text WHERE text IS NULL"), 0);
}

#[tokio::test]
async fn a_name_shows_something() {
    let (native, app) = shop().await;
    for name in [" ", "\u{3164}", "\u{115f}", "\u{200b}\u{2060}", "\u{feff}", "\u{ad}", "\u{200e} \u{e0100}"] {
        app.post("/products", kit(name)).await.assert_problem(422, "invalid");
    }
    assert_eq!(native.log(), []);
    register(&app, "\u{200e}\u{ae40}").await;
}

#[tokio::test]
async fn bad_input_is_named_field_by_field_and_changes_nothing() {
    let (native, app) = shop().await;
    let bad = json!({"name": " ", "price": 0, "stock": -1, "image_url": "ftp://x"});
    let refused = app.post("/products", bad).await;
    refused.assert_problem(422, "invalid");
    let fields: BTreeSet<_> = refused.body["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str()).collect();
    assert_eq!(fields, ["image_url", "name", "price", "stock"].map(Some).into());
    for body in [json!([]), json!({"name": 1}), json!({"unknown": 1}), json!({}), json!("text"), Json::Null] {
        app.post("/products", body).await.assert_problem(400, "malformed");
    }
    let large = json!({"name": "x".repeat(70_000)});
    app.post("/products", large).await.assert_problem(413, "too-large");
    let text = [("content-type", "text/plain")];
    app.call("POST", "/products", &text, Some(kit("x"))).await.assert_problem(415, "not-json");
    let wrong = app.call("DELETE", "/products", &[], None).await;
    wrong.assert_problem(405, "method-not-allowed");
    assert!(wrong.header("allow").contains("GET") && wrong.header("allow").contains("POST"), "{wrong:?}");
    app.get("/products/a/b").await.assert_problem(404, "not-found");
    app.get("/products/%ff").await.assert_problem(400, "malformed");
    assert_eq!(native.log(), []);
}

#[tokio::test]
async fn an_answer_carries_the_callers_correlation_id() {
    let (native, app) = shop().await;
    let headers = [
        ("x-correlation-id", "conversation-7"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let made = app.call("POST", "/products", &headers, Some(kit("Kimchi"))).await;
    assert_eq!(made.header("x-correlation-id"), "conversation-7");
    let sql = "SELECT count(*) FROM event WHERE correlation_id = 'conversation-7' \
        AND traceparent LIKE '00-0af7651916cd43dd8448eb211c80319c-%-01' AND traceparent NOT LIKE '%b7ad6b7169203331%'";
    assert_eq!(native.integer(sql), 1);
    assert!(!app.get("/products").await.header("x-correlation-id").is_empty());
}

#[tokio::test]
async fn what_is_said_twice_or_by_a_stranger_is_not_taken() {
    let (native, app) = shop().await;
    let register = async |headers: &[(&str, &str)]| app.call("POST", "/products", headers, Some(kit("Kimchi"))).await;
    for twice in [("idempotency-key", "k"), ("content-type", "application/json")] {
        register(&[twice, twice]).await.assert_problem(400, "malformed");
    }
    assert_eq!(native.log(), []);
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let conversation = ("x-correlation-id", "conversation-7");
    let made = register(&[parent, parent, conversation, conversation, ("x-causation-id", "conversation-7")]).await;
    assert_eq!(made.status, 201);
    let sql = "SELECT count(*) FROM event WHERE correlation_id <> 'conversation-7' AND causation_id <> 'conversation-7' \
        AND traceparent NOT LIKE '%0af7651916cd43dd8448eb211c80319c%'";
    assert_eq!(native.integer(sql), 1);
}

#[tokio::test]
async fn paid_orders_take_from_the_stock_and_cancelled_ones_give_back() {
    let (native, app) = shop().await;
    let made = register(&app, "Kimchi").await;
    let id = made.text("/id");
    let about = json!({"product_id": id, "quantity": 8});
    for order in ["one", "two"] {
        native.append("payment", event_with("PaymentCompleted", order, about.clone()));
    }
    let path = format!("/products/{id}");
    assert_eq!(app.get(&path).await.body["stock"], json!(2));
    assert_eq!(native.log_of("two"), ["PaymentCompleted", "OutOfStock"]);
    for order in ["one", "one", "two"] {
        native.append("payment", event_with("PaymentCancelled", order, about.clone()));
    }
    assert_eq!(app.get(&path).await.body["stock"], json!(10));
    assert_eq!(native.log_of("one").last().unwrap(), "StockRestored");
    assert_eq!(native.scans(), []);
}
