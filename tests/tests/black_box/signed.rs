//! Contexts sign their calls to each other, with a key that stands in the shop's database.

use rusqlite::Connection;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tests::{Kit, Mode, Shop, UNDER_WAY, eventually, json, own, say, text, unique};

own!(the_key_changes_under_load_and_no_order_fails, a_secret_variable_replaces_the_key, a_strangers_bell_is_not_heard);

/// How many members order, without a pause.
const MEMBERS: usize = 4;
/// How many orders have to come through after each change of the key.
const ORDERS: usize = 20;
/// How often the key changes: in two steps, and at once.
const CHANGES: usize = 5;
/// Enough for all.
const STOCK: u32 = 100_000;

const NEW: &str = "INSERT INTO shop_key (key) VALUES (lower(hex(randomblob(32))));";
const NO_OLD: &str = "DELETE FROM shop_key WHERE id < (SELECT max(id) FROM shop_key);";

fn sql(shop: &Shop, statements: &str) {
    let database = Connection::open(shop.database()).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database.execute_batch(statements).unwrap();
}

fn the_key_changes_under_load_and_no_order_fails(mode: Mode) {
    let shop = Shop::start(mode).replicas(2).open();
    let kit = shop.kit(STOCK);
    let (orders, failures) = (Mutex::new(vec![]), Mutex::new(vec![]));
    let (placed, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let wait_for_more = || {
        let before = placed.load(Ordering::SeqCst);
        eventually("enough orders", || match placed.load(Ordering::SeqCst) - before {
            ORDERS.. => Ok(()),
            more => Err(more),
        });
    };
    let began = Instant::now();
    thread::scope(|scope| {
        for number in 0..MEMBERS {
            let client = shop.front().client(number);
            let (kit, orders, failures, placed, enough) = (&kit, &orders, &failures, &placed, &enough);
            scope.spawn(move || {
                while !enough.load(Ordering::SeqCst) {
                    let order = Shop::order_body(kit, &unique("member"), 1);
                    let answer = client.call("POST", "/orders").json(&order).send();
                    match answer.status {
                        201 => orders.lock().unwrap().push(text(&answer.json()["id"])),
                        _ => failures.lock().unwrap().push(answer.to_string()),
                    }
                    placed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for_more();
            for _ in 0..CHANGES {
                sql(&shop, NEW);
                wait_for_more();
                sql(&shop, NO_OLD);
                wait_for_more();
                sql(&shop, &format!("BEGIN IMMEDIATE; {NEW} {NO_OLD} COMMIT;"));
                wait_for_more();
            }
        }));
        enough.store(true, Ordering::SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let (orders, failures) = (orders.into_inner().unwrap(), failures.into_inner().unwrap());
    let (changes, seconds) = (2 * CHANGES, began.elapsed().as_secs_f64());
    let (good, failed) = (orders.len(), failures.len());
    say(&format!("{good} orders in {seconds:.1} s while the key changed {changes} times, {failed} failed"));
    assert_eq!(failures, [""; 0]);
    shop.act("/catch-up").is(200);
    for id in &orders {
        shop.wait_for(id, &UNDER_WAY);
    }
    assert_eq!(shop.stock(&kit), i64::from(STOCK) - orders.len() as i64);
}

/// Two keys at first, so that the second one can take over without anybody being refused.
fn a_secret_variable_replaces_the_key(mode: Mode) {
    let keys = ["0".repeat(32), "1".repeat(32)];
    let mut shop = Shop::start(mode).variable("shop_key", keys.join(" ")).open();
    sql(&shop, "DELETE FROM shop_key;");
    let kit: Kit = shop.kit(2);
    shop.order_under_way(&kit, 1);
    shop.restart_with(&[("shop_key", &keys[1])]);
    shop.order_under_way(&kit, 1);
    shop.act("/catch-up").is(200);
}

fn a_strangers_bell_is_not_heard(mode: Mode) {
    let shop = Shop::start(mode).open();
    let signature = "A".repeat(43);
    let forged = [
        String::new(),
        "Bearer x".to_owned(),
        format!("Mealkit-HMAC-SHA256 caller=order,time=1764000000,signature={signature}"),
    ];
    for authorization in forged {
        let bell = shop.call("POST", "/bell").anonymous().json(&json!({}));
        let bell = if authorization.is_empty() { bell } else { bell.header("authorization", &authorization) };
        let refused = bell.send();
        refused.problem(401);
        assert_eq!(refused.header("www-authenticate"), Some("Mealkit-HMAC-SHA256"), "{refused}");
    }
    // An operator is no context either.
    shop.act("/bell").problem(401);
}
