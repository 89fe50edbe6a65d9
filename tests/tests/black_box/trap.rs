//! One request traps: those beside it on its instance may fail, but nothing is lost and nothing is half done.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};
use tests::{
    Client, Fault, Json, Mode, Scene, Setting, Shop, UNDER_WAY, eventually, json, on_our_host, own, seed, text, unique,
};

own!(a_trap_takes_down_its_instance_and_nothing_else, whatever_traps_the_books_balance);

/// How many sellers register kits, one after the other.
const SELLERS: usize = 8;
/// How many of their requests have to die with the instance before it is enough.
const VICTIMS: usize = 10;
/// A statement with this text traps.
const POISON: &str = "Fugu";

/// A seller's kit, by its name.
type Kits = BTreeMap<String, String>;

fn a_trap_takes_down_its_instance_and_nothing_else(mode: Mode) {
    if !on_our_host() {
        return;
    }
    // The delay lets many commands be under way on an instance at once.
    let shop = Shop::start(mode).argument("--trap").argument(POISON).variable("commit_delay_ms", 5).open();
    let (kit, key) = (shop.kit(10_000), unique("key"));
    let (enough, victims) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (registered, orders) = thread::scope(|scope| {
        let sellers: Vec<_> = (0..SELLERS).map(|_| scope.spawn(|| sell(shop.client(), &victims, &enough))).collect();
        // The stock of these is taken by the context that traps.
        let orders = scope.spawn(|| {
            let mut orders = vec![];
            while !enough.load(Ordering::SeqCst) {
                orders.push(shop.order(&kit, 1));
            }
            orders
        });
        eventually("enough victims", || {
            assert!(register(shop.client(), POISON, &key).is_none(), "it did not trap");
            match victims.load(Ordering::SeqCst) {
                VICTIMS.. => Ok(()),
                victims => Err(victims),
            }
        });
        enough.store(true, Ordering::SeqCst);
        let registered: Kits = sellers.into_iter().flat_map(|seller| seller.join().unwrap()).collect();
        (registered, orders.join().unwrap())
    });

    // The next requests work, all of them. The key of what trapped is still free.
    for _ in 0..SELLERS {
        register(shop.client(), &unique("Bibimbap"), &unique("key")).expect("no more traps");
    }
    register(shop.client(), "Another kit", &key).expect("the key was not taken");
    // Every kit is there once, in its table and in the log; the poisoned one in neither.
    let mut logged = BTreeMap::<String, Vec<String>>::new();
    for event in shop.events_after(0).into_iter().filter(|event| event.kind == "ProductRegistered") {
        logged.entry(text(&event.data["name"])).or_default().push(event.subject);
    }
    assert!(!logged.contains_key(POISON));
    for (name, id) in &registered {
        assert_eq!(logged[name], std::slice::from_ref(id), "{name}");
        assert_eq!(shop.get(&format!("/products?q={name}")).is(200)["items"].as_array().unwrap().len(), 1);
    }
    // What the context missed while it was trapping it has caught up with.
    let contexts = shop.act("/catch-up").is(200);
    assert_eq!(contexts["contexts"]["product"]["lag"], 0, "{contexts}");
    for order in &orders {
        shop.wait_for(&order.id, &UNDER_WAY);
    }
    assert_eq!(shop.stock(&kit), 10_000 - orders.len() as i64);
}

/// Registers kit after kit. What trapped is asked again with the same key.
fn sell(client: &Client, victims: &AtomicUsize, enough: &AtomicBool) -> Kits {
    let mut kits = Kits::new();
    while !enough.load(Ordering::SeqCst) {
        let (name, key) = (unique("Bibimbap"), unique("key"));
        let kit = eventually("registered", || {
            let kit = register(client, &name, &key);
            victims.fetch_add(usize::from(kit.is_none()), Ordering::SeqCst);
            kit.ok_or("a trap")
        });
        let again = register(client, &name, &key);
        assert!(again.is_none_or(|again| again == kit), "one key, two kits");
        kits.insert(name, text(&kit["id"]));
    }
    kits
}

/// The kit; none when that trapped.
fn register(client: &Client, name: &str, key: &str) -> Option<Json> {
    let kit = json!({"seller_id": "seller-1", "name": name, "price": 12_000, "stock": 5});
    let call = client.call("POST", "/products").header("idempotency-key", key).json(&kit);
    call.unless_trapped().map(|answer| answer.is(201))
}

fn whatever_traps_the_books_balance(mode: Mode) {
    if !on_our_host() {
        return;
    }
    let mut scene = Scene::open_with(Shop::start(mode), seed(), Setting { traps: true, ..Setting::default() });
    scene.strike(Fault::Trap);
    scene.strike(Fault::Trap);
    scene.end().assert_balanced(20);
}
