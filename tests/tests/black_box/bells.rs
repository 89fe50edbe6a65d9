//! Bells on Redis: they say "look", and nothing that comes on their channels can do harm.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tests::{Json, Mode, Shop, UNDER_WAY, all_at_once, run_own};

/// The contexts that ring.
const CHANNELS: [&str; 5] =
    ["mealkit.product", "mealkit.order", "mealkit.payment", "mealkit.delivery", "mealkit.marketing"];

/// How often a context may ring, and with what a bell comes late: `kernel::bell::PACE`.
const PACE: Duration = Duration::from_millis(100);

#[test]
fn bells_are_few_however_much_happens_and_say_where_the_log_ends() {
    run_own(Mode::Redis, |mode| {
        let shop = Shop::start(mode).open();
        let mut bells = shop.redis().subscribe(&CHANNELS);
        let (kit, began) = (shop.kit(1_000), Instant::now());
        let orders = all_at_once(16, |_| (0..10).map(|_| shop.order(&kit, 1)).collect::<Vec<_>>()).concat();
        for order in &orders {
            shop.wait_for(&order.id, &UNDER_WAY);
        }
        let mut heard: BTreeMap<String, u128> = BTreeMap::new();
        let mut newest = 0;
        // Nothing is left over from the burst: it is quiet soon after it.
        while let Some((channel, bell)) = bells.try_message(10 * PACE) {
            let bell: Json = serde_json::from_str(&bell).expect("JSON");
            assert_eq!(bell["source"], channel.replace("mealkit.", "/mealkit/"));
            newest = newest.max(bell["sequence"].as_i64().expect("a sequence number"));
            *heard.entry(channel).or_default() += 1;
        }
        let most = began.elapsed().as_millis() / PACE.as_millis() + 2;
        assert!(heard.values().all(|times| *times <= most), "{heard:?}, of {most} each");
        assert!(heard.contains_key("mealkit.payment"), "somebody has to wake up: {heard:?}");
        let head = orders.iter().map(|order| shop.events(&order.id).0.last().unwrap().seq()).max().unwrap();
        assert!((1..=head).contains(&newest), "{newest} of {head}");
    });
}

#[test]
fn bells_rung_too_often_or_garbled_do_no_harm() {
    run_own(Mode::Redis, |mode| {
        let shop = Shop::start(mode).open();
        let kit = shop.kit(50);
        let garbage: [&[u8]; 6] =
            [b"", b"\xff\xfe\x00", b"{", b"null", br#"{"source":"/mealkit/order","sequence":-1}"#, &[b'x'; 100_000]];
        let orders = all_at_once(4, |ringer| {
            let orders: Vec<_> = (0..5).map(|_| shop.order(&kit, 1)).collect();
            for message in garbage {
                for channel in CHANNELS.iter().cycle().skip(ringer).take(CHANNELS.len()) {
                    shop.redis().publish(channel, message);
                }
            }
            orders
        });
        for order in orders.concat() {
            shop.wait_for(&order.id, &UNDER_WAY);
        }
        assert_eq!(shop.stock(&kit), 30);
        // Whoever was woken up for nothing still wakes up.
        shop.order_under_way(&kit, 1);
    });
}
