//! `docs/openapi.yaml` is what schemathesis reads to make up requests, good ones and bad ones: what it says is accepted
//! has to be, what it says is not has not, and no answer may be another than it says.

use contract_tests::Api;
use deploy_tests::Tool;
use std::fs;
use tests::{Json, Kit, Mode, Person, Shop, UNDER_WAY, eventually, json, run_on, text};
use token::Role;

/// Orders, with all that comes of them, so that one is left when another is cancelled.
const ORDERS: usize = 8;
/// Orders with an event that some contexts cannot work off.
const POISONED: usize = 8;

#[test]
fn what_the_contract_says_is_what_a_fuzzer_finds() {
    let Some(tool) = Tool::schemathesis() else { return };
    let shop = Shop::start(Mode::Http).variable("retry_backoff_ms", 1).variable("retry_limit", 1).open();
    run_on(&shop, || attack(&shop, &tool));
}

/// Whoever asks: all that is there is theirs, so that nothing is refused for being somebody else's.
fn fuzzer() -> Person {
    Person { id: "fuzzer".into(), roles: Role::ALL.to_vec(), seller: Some("seller".into()) }
}

/// What is not attacked: what only contexts may call, and what has a password in it, which takes one that fits. The
/// contract's walk goes there.
fn is_left_out(operation: &Json) -> bool {
    operation["tags"][0] == "member" || operation["operationId"] == "ring"
}

fn attack(shop: &Shop, tool: &Tool) {
    let kit = json!({"seller_id": "seller", "name": "Bibimbap", "price": 1, "stock": 1_000_000});
    let kit = Kit { id: text(&shop.post("/products", &kit).is(201)["id"]), seller: "seller".into() };
    let [config, har] = ["schemathesis.toml", "requests.har"].map(|name| shop.folder().join(name));
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/black_box");
    let attack = include_str!("schemathesis.toml").replace("HERE", here);
    fs::write(&config, format!("{attack}\n{}", stage(shop, &kit))).unwrap();
    let mut command = tool.command();
    command.arg("--config-file").arg(config).args(["run", "docs/openapi.yaml", "--checks", "all"]);
    command.args(["--exclude-tag", "member", "--exclude-operation-id", "ring"]);
    command.args(["--url", shop.client().url()]).arg("--report-har-path").arg(&har).env("KIT", &kit.id);
    command.env("AUTHORIZATION", fuzzer().authorization());
    let output = command.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_all_was_reached(&serde_json::from_slice(&fs::read(har).unwrap()).unwrap());
}

/// Every operation did what it is for: no attack came to nothing for want of the thing it was about.
fn assert_all_was_reached(har: &Json) {
    let done: Vec<_> = har["log"]["entries"].as_array().unwrap().iter().filter_map(done).collect();
    let operations = Api::shop().operations().into_iter();
    for (method, template, _) in operations.filter(|(.., operation)| !is_left_out(operation)) {
        let is_it = |path: &str| {
            let (parts, wanted): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
            parts.len() == wanted.len() && wanted.iter().zip(parts).all(|(it, part)| it.starts_with('{') || *it == part)
        };
        let reached = done.iter().any(|(by, path)| by.eq_ignore_ascii_case(method) && is_it(path));
        assert!(reached, "no {method} {template} succeeded, of {} requests that did", done.len());
    }
}

/// Method and path of a request that succeeded.
fn done(entry: &Json) -> Option<(String, String)> {
    let uri: http::Uri = text(&entry["request"]["url"]).parse().ok()?;
    let succeeded = entry["response"]["status"].as_u64().is_some_and(|status| (200..300).contains(&status));
    succeeded.then(|| (text(&entry["request"]["method"]), uri.path().to_owned()))
}

/// Puts something of every kind into the shop. Returns the dictionaries of what there is.
fn stage(shop: &Shop, kit: &Kit) -> String {
    let order = || {
        let id = text(&shop.post("/orders", &Shop::order_body(kit, "fuzzer", 1)).is(201)["id"]);
        shop.wait_for(&id, &UNDER_WAY);
        id
    };
    let orders: Vec<_> = (0..ORDERS).map(|_| order()).collect();
    let id = |thing: Option<Json>| text(&thing.unwrap()["id"]);
    let deliveries = orders.iter().map(|order| id(shop.delivery(order))).collect();
    let payments = orders.iter().map(|order| id(shop.payment(order))).collect();
    for _ in 0..POISONED {
        let order = order();
        // An event as the contract has it, and too large a number for any stock.
        let data = json!({"order_id": order, "product_id": kit.id, "quantity": 1_u64 << 40, "stock": 0});
        shop.poison(&order, "StockDecreased", &data.to_string());
    }
    let letters = eventually("dead letters of all contexts that follow the type", || {
        shop.act("/catch-up").is(200);
        let page = shop.get("/dead-letters?status=dead&limit=100").is(200);
        let letters: Vec<_> = page["items"].as_array().unwrap().iter().map(|letter| text(&letter["id"])).collect();
        if letters.len() >= 2 * POISONED { Ok(letters) } else { Err(page) }
    });
    let cards = ["4111111111111111", "4111 1111-1111 1111", "4000000000000002"].map(str::to_owned).to_vec();
    let dictionaries = [
        ("kits", vec![kit.id.clone()]),
        ("orders", orders),
        ("deliveries", deliveries),
        ("payments", payments),
        ("letters", letters),
        ("cards", cards),
    ];
    dictionaries.map(|(name, values)| format!("[dictionaries.{name}]\nvalues = {values:?}\n")).concat()
}
