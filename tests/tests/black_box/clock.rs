//! The clock jumps back an hour, and stays there: what comes first is said by the log, not by the time.

use tests::{Clock, Mode, Scene, Setting, Shop, eventually, own, say, seed};

own!(though_the_clock_jumps_back_the_books_balance, an_order_that_was_left_open_in_the_future_is_closed_all_the_same);

fn though_the_clock_jumps_back_the_books_balance(mode: Mode) {
    let Some(clock) = Clock::find() else {
        return say("skipped: libfaketime (the Debian package `faketime`) is not installed");
    };
    let mut scene = Scene::open_with(Shop::start(mode), seed(), Setting { clock: Some(clock), ..Setting::default() });
    let mut chance = scene.chance().fork();
    scene.goes_on(&mut chance);
    scene.setting.clock.as_ref().unwrap().set(-1);
    // Whoever was in the middle of something is left behind in the future.
    scene.shop.crash();
    scene.shop.start_again();
    scene.goes_on(&mut chance);
    scene.goes_on(&mut chance);
    let times: Vec<String> = scene.shop.events_after(0).into_iter().map(|event| event.time).collect();
    let hour = |time: &String| time[11..13].parse::<u32>().unwrap();
    let jumps = times.windows(2).filter(|pair| (hour(&pair[1]) + 1) % 24 == hour(&pair[0])).count();
    assert!(jumps >= 1, "the clock did not jump for the components: {times:?}");
    scene.end().assert_balanced(20);
}

fn an_order_that_was_left_open_in_the_future_is_closed_all_the_same(mode: Mode) {
    let Some(clock) = Clock::find() else {
        return say("skipped: libfaketime (the Debian package `faketime`) is not installed");
    };
    let mut builder = Shop::start(mode)
        .variable("sandbox_fault", "slow")
        .variable("sandbox_delay_ms", 20_000)
        .variable("payment_timeout_ms", 20_000)
        .variable("pending_timeout_ms", 300);
    for (name, value) in clock.environment() {
        builder = builder.environment(name, value);
    }
    let mut shop = builder.open();
    let kit = shop.kit(5);
    let client = shop.client().clone();
    std::thread::scope(|scope| {
        scope.spawn(|| client.call("POST", "/orders").json(&Shop::order_body(&kit, "somebody", 1)).try_send());
        eventually("a pending order", || match shop.events_after(0).last() {
            Some(event) if event.kind == "OrderPlaced" => Ok(()),
            last => Err(format!("{last:?}")),
        });
        shop.crash();
    });
    clock.set(-1);
    shop.start_again();
    eventually("closed", || {
        shop.act("/catch-up").is(200);
        match shop.events_after(0).last() {
            Some(event) if event.kind == "OrderRejected" => Ok(()),
            last => Err(format!("{last:?}")),
        }
    });
    assert_eq!(shop.stock(&kit), 5);
}
