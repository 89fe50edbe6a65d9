//! Waiting for what is to come, and doing many things at once.

use std::{
    fmt::Display,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// How long something may take that follows by events.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until it is so; fails the test, saying what there is instead, if it never is.
pub fn eventually<T, E: Display>(what: &str, ask: impl FnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, ask)
}

/// The same with a deadline.
pub fn within<T, E: Display>(patience: Duration, what: &str, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(instead) => assert!(Instant::now() < deadline, "after {patience:?} not yet {what}, but: {instead}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Does something so many times at the same moment, each in a thread of its own.
pub fn all_at_once<T: Send>(times: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(times);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..times)
            .map(|number| {
                let (start, act) = (&start, &act);
                scope.spawn(move || {
                    start.wait();
                    act(number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Looks again and again, for so long: what must not happen does not.
pub fn throughout(time: Duration, mut look: impl FnMut()) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        look();
        thread::sleep(Duration::from_millis(10));
    }
    look();
}
