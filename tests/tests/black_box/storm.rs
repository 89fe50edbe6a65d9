//! All faults mixed, in the quick form. `cargo xtask storm` is the long one.

use std::time::Duration;
use tests::{Mode, Sabotage, Storm, run_own, seed};

/// How often a counter-proof may be tried.
const TRIES: usize = 6;

fn storm(seconds: u64, sabotage: Option<Sabotage>) -> Storm {
    Storm { time: Duration::from_secs(seconds), pace: Duration::from_millis(100), seed: seed(), sabotage }
}

#[test]
fn after_a_storm_the_books_balance() {
    run_own(Mode::Redis, |_| {
        let outcome = storm(30, None).rage();
        eprintln!("{}", outcome.table());
        outcome.assert_balanced(100);
    });
}

/// The counter-proof: the auditor would notice.
#[test]
fn without_the_condition_a_storm_leaves_books_that_do_not_balance() {
    run_own(Mode::Redis, |_| {
        // Two decisions about one order have to meet within milliseconds: that takes some storms more or fewer.
        let noticed = (0..TRIES).any(|_| {
            let outcome = storm(10, Some(Sabotage::Condition)).rage();
            eprintln!("{}", outcome.report);
            !outcome.report.violations.is_empty()
        });
        assert!(noticed, "nobody would notice");
    });
}

/// The counter-proof: the auditor would notice.
#[test]
fn with_a_cursor_that_moves_by_itself_a_storm_doubles_effects() {
    run_own(Mode::Redis, |_| {
        let noticed = (0..TRIES).any(|_| {
            let outcome = storm(10, Some(Sabotage::Cursor)).rage();
            eprintln!("{}", outcome.report);
            outcome.report.doubled() > 0
        });
        assert!(noticed, "nobody would notice");
    });
}
