//! Gives each test its shop, or says why it is skipped.

use crate::{Mode, Shop};
use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Runs a test on the shop of this mode that all such tests share.
pub fn run_shared(mode: Mode, test: fn(&Shop)) {
    if skipped(mode) {
        return;
    }
    let shop = match std::env::var("MEALKIT_URL") {
        // One app needs no two runs.
        Ok(_) if mode == Mode::Redis => {
            return say("skipped: the app at MEALKIT_URL is tested once, not once per mode");
        }
        Ok(url) => Arc::new(Shop::at(&url)),
        Err(_) => shared(mode),
    };
    run_on(&shop, || test(&shop));
}

/// Runs a test that starts its own shops.
pub fn run_own(mode: Mode, test: fn(Mode)) {
    if skipped(mode) {
        return;
    }
    if std::env::var_os("MEALKIT_URL").is_some() {
        return say("skipped: it has to start its own app, but MEALKIT_URL names one");
    }
    test(mode);
}

/// Whether the app runs on `mealkit-host`, which can be asked for faults; says what is skipped on any other.
pub fn on_our_host() -> bool {
    let other = std::env::var_os("MEALKIT_HOST").filter(|host| !host.to_string_lossy().ends_with("mealkit-host"));
    if let Some(other) = &other {
        say(&format!("skipped: {} cannot play this fault, only mealkit-host can", other.display()));
    }
    other.is_none()
}

/// A shop where nobody does anything but what the caller does; the one at `MEALKIT_URL`, if it is given.
pub fn quiet_shop() -> Shop {
    match std::env::var("MEALKIT_URL") {
        Ok(url) => Shop::at(&url),
        Err(_) => Shop::start(Mode::Http).open(),
    }
}

/// Runs a test on this shop.
pub fn run_on(shop: &Shop, test: impl FnOnce()) {
    let _witness = Witness(shop);
    test();
}

fn skipped(mode: Mode) -> bool {
    let skipped = mode == Mode::Redis && std::env::var_os("MEALKIT_NO_REDIS").is_some();
    if skipped {
        say("skipped: it needs a Redis, and MEALKIT_NO_REDIS is set");
    }
    skipped
}

/// Says something about a test. Not by `eprintln`: the test runner keeps that to itself when the test passes.
pub fn say(what: &str) {
    let test = thread::current();
    let _ = writeln!(std::io::stderr(), "{}: {what}", test.name().unwrap_or("a test"));
}

fn shared(mode: Mode) -> Arc<Shop> {
    static WITH_REDIS: Mutex<Option<Arc<Shop>>> = Mutex::new(None);
    static OVER_HTTP: Mutex<Option<Arc<Shop>>> = Mutex::new(None);
    let shop = match mode {
        Mode::Redis => &WITH_REDIS,
        Mode::Http => &OVER_HTTP,
    };
    let mut shop = shop.lock().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        let shop = Shop::start(mode);
        // Those of both modes share the database then, as replicas do.
        Arc::new(std::env::var("MEALKIT_LIBSQL_URL").iter().fold(shop, |shop, url| shop.libsql(url)).open())
    };
    shop.get_or_insert_with(start).clone()
}

/// A shop of its own tells its last words when it is dropped; a shared one lives on.
struct Witness<'a>(&'a Shop);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.print_last_words();
        }
    }
}
