//! What an instance opens once.

use kernel::{gate::Once, platform::Platform, testing::Native};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::task::yield_now;

#[tokio::test]
async fn whoever_comes_while_it_is_opened_waits_for_it() {
    let (native, once, opened) = (Native::new(), Once::new(), AtomicUsize::new(0));
    let native = || native.clone() as Arc<dyn Platform>;
    let open = async |_| {
        yield_now().await;
        Ok::<_, String>(opened.fetch_add(1, Ordering::SeqCst))
    };
    let (a, b, c) = tokio::join!(once.get(native, open), once.get(native, open), once.get(native, open));
    assert_eq!((*a.unwrap(), *b.unwrap(), *c.unwrap()), (0, 0, 0));
}

#[tokio::test]
async fn when_opening_fails_the_next_one_tries() {
    let (native, once) = (Native::new(), Once::new());
    let native = || native.clone() as Arc<dyn Platform>;
    let fails = async |_| {
        yield_now().await;
        Err::<u8, _>("away")
    };
    let (first, second) = tokio::join!(once.get(native, fails), once.get(native, async |_| Ok::<u8, &str>(1)));
    assert_eq!((first, second), (Err("away"), Ok(1.into())));
}
