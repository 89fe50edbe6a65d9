//! Two and three whole apps on the same files and the same Redis.

use std::time::{Duration, Instant};
use tests::{Fault, Mode, Scene, Setting, Shop, own, say, seed, within};

own!(one_app_keeps_the_books, two_apps_keep_the_same_books, three_apps_keep_the_same_books);

/// How many orders are placed as fast as it goes.
const ORDERS: usize = 100;

fn one_app_keeps_the_books(mode: Mode) {
    apps(mode, 1);
}

fn two_apps_keep_the_same_books(mode: Mode) {
    apps(mode, 2);
}

fn three_apps_keep_the_same_books(mode: Mode) {
    apps(mode, 3);
}

fn apps(mode: Mode, replicas: usize) {
    let mut scene = Scene::open_with(
        Shop::start(mode).replicas(replicas),
        seed(),
        Setting { pace: Duration::ZERO, ..Setting::default() },
    );
    let (began, before) = (Instant::now(), scene.load.placed());
    within(Duration::from_secs(60), "enough orders", || match scene.load.placed() - before {
        ORDERS.. => Ok(()),
        orders => Err(orders),
    });
    let rate = ORDERS as f64 / began.elapsed().as_secs_f64();
    say(&format!("{replicas} apps: {rate:.0} orders/s by 6 people who also cancel, take deliveries and read"));
    if replicas > 1 {
        scene.strike(Fault::KillOne);
    }
    scene.end().assert_balanced(ORDERS);
}
