//! Bells on Redis: they say "look", and nothing that comes on their channels can do harm.

use std::collections::BTreeSet;
use tests::{Json, Mode, Shop, UNDER_WAY, all_at_once, run_own};

/// The contexts that ring.
const CHANNELS: [&str; 5] =
    ["mealkit.product", "mealkit.order", "mealkit.payment", "mealkit.delivery", "mealkit.marketing"];

#[test]
fn each_context_rings_on_its_channel_and_says_where_the_log_ends() {
    run_own(Mode::Redis, |mode| {
        let shop = Shop::start(mode).open();
        let mut bells = shop.redis().subscribe(&CHANNELS);
        let kit = shop.kit(5);
        let order = shop.order_under_way(&kit, 1);
        let events = shop.events(&order.id);
        let mut silent = BTreeSet::from(CHANNELS.map(str::to_owned));
        while !silent.is_empty() {
            let (channel, bell) = bells.message();
            let bell: Json = serde_json::from_str(&bell).expect("JSON");
            assert_eq!(bell["source"], channel.replace("mealkit.", "/mealkit/"));
            let sequence = bell["sequence"].as_i64().expect("a sequence number");
            assert!((1..=events.0.last().unwrap().seq()).contains(&sequence), "{bell}");
            silent.remove(&channel);
        }
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
