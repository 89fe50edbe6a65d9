//! What a search costs others, however many kits there are.

use rusqlite::Connection;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};
use tests::{Kit, Mode, Shop, on_our_host, run_on, say};

/// Kits that nobody asked for.
const KITS: usize = 4_000;
/// How many characters are said about each.
const ABOUT: usize = 2_000;
/// Clients of each kind.
const CLIENTS: usize = 16;
const MEASURED: Duration = Duration::from_secs(3);
/// What a search may be for: a part of all kits, of some, of one, of none; of one character, two, and more.
const TEXTS: [&str; 8] =
    ["kit", "%EA%B9%80", "%EA%B9%80%EC%B9%98", "%EC%B0%8C", "kit+2999", "nowhere", "%EC%97%86%EC%9D%8C", "z"];

#[test]
fn searches_do_not_keep_others_waiting() {
    if on_our_host() {
        let shop = Shop::start(Mode::Http).open();
        run_on(&shop, || search_beside_others(&shop));
    }
}

fn search_beside_others(shop: &Shop) {
    let kit = shop.kit(10);
    shop.order_under_way(&kit, 1);
    shop.act("/catch-up").is(200);
    multiply(shop, &kit);
    // Once, so that all kits are in the index.
    for text in TEXTS {
        shop.get(&format!("/products?q={text}")).is(200);
    }
    let found = shop.get("/products?q=kit+2999").is(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");

    let list = median(shop, "/products");
    for text in TEXTS {
        let search = median(shop, &format!("/products?q={text}"));
        say(&format!("a search for {text} takes {search:.1?}, the newest kits {list:.1?}"));
        // Generous, since others use this machine, too; to read all the texts takes many times as long.
        assert!(search < 5 * list + Duration::from_millis(10), "{text}: {search:?}; the newest kits: {list:?}");
    }
    let alone = answers_a_second(shop, 0);
    let beside = answers_a_second(shop, CLIENTS);
    say(&format!(
        "GET /orders, {CLIENTS} clients: {:.0} answers a second alone; {:.0} beside {CLIENTS} clients who search {KITS} kits {:.0} \
         times a second",
        alone.0, beside.0, beside.1
    ));
    // They have half of the machine.
    assert!(beside.0 > alone.0 / 10.0, "{} answers a second alone, {} beside searches", alone.0, beside.0);
}

/// How long this takes in the middle.
fn median(shop: &Shop, path: &str) -> Duration {
    let once = || {
        let began = Instant::now();
        shop.get(path).is(200);
        began.elapsed()
    };
    let mut times: Vec<_> = (0..21).map(|_| once()).collect();
    times.sort_unstable();
    times[10]
}

/// How many lists of orders are answered in a second, and how many searches of so many clients beside them.
fn answers_a_second(shop: &Shop, searching: usize) -> (f64, f64) {
    let (orders, searches, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    thread::scope(|scope| {
        let (orders, searches, over) = (&orders, &searches, &over);
        for number in 0..searching {
            scope.spawn(move || {
                for text in TEXTS.iter().cycle().skip(number).take_while(|_| !over.load(Relaxed)) {
                    shop.get(&format!("/products?q={text}")).is(200);
                    searches.fetch_add(1, Relaxed);
                }
            });
        }
        for _ in 0..CLIENTS {
            scope.spawn(move || {
                while began.elapsed() < MEASURED {
                    shop.get("/orders").is(200);
                    orders.fetch_add(1, Relaxed);
                }
                over.store(true, Relaxed);
            });
        }
    });
    let a_second = |count: AtomicU64| count.into_inner() as f64 / began.elapsed().as_secs_f64();
    (a_second(orders), a_second(searches))
}

/// Copies a kit's row under other names.
fn multiply(shop: &Shop, kit: &Kit) {
    let database = Connection::open(shop.database()).expect("the shop's SQLite file");
    // It need not survive a power cut.
    database.execute_batch("PRAGMA synchronous = OFF").expect("a faster connection");
    database.busy_timeout(Duration::from_secs(10)).expect("patience");
    let copy = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?1), \
        copy (id, name, about) AS (SELECT printf('019a0000-0000-7000-8000-%012x', n), 'Kit ' || n || ' 김치찌개', 'For ' || (n % 7) \
        || ' people, with rice, beef, sesame oil, garlic and spring onions; ready in ' || (n % 50) || ' minutes. ' \
        || replace(hex(zeroblob(?3 / 10)), '00', '맛있는 김 한 장 ') FROM number) \
        INSERT INTO product_row (id, kind, version, row) \
        SELECT copy.id, kind, 1, json_set(row, '$.product_id', copy.id, '$.name', name, '$.description', about, \
        '$.search', lower(name) || char(31) || lower(about)) \
        FROM copy, product_row AS it WHERE it.id = ?2 AND kind = 'product'";
    let copies = database.execute(copy, (KITS as i64, &kit.id, ABOUT as i64)).expect("copies");
    assert_eq!(copies, KITS);
}
