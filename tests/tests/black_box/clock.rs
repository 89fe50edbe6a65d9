//! The clock jumps back an hour, and stays there: what comes first is said by the log, not by the time.

use tests::{Clock, Mode, Scene, Shop, own, say, seed};

own!(though_the_clock_jumps_back_the_books_balance);

fn though_the_clock_jumps_back_the_books_balance(mode: Mode) {
    let Some(clock) = Clock::find() else {
        return say("skipped: libfaketime (the Debian package `faketime`) is not installed");
    };
    let mut scene = Scene::open_with(Shop::start(mode), seed(), Some(clock), std::time::Duration::from_millis(50));
    let mut chance = scene.chance().fork();
    scene.goes_on(&mut chance);
    scene.clock.as_ref().unwrap().set(-1);
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
