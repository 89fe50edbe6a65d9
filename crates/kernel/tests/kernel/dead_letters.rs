//! An event that cannot be worked off stops its own line and no other.

use crate::tally::{self, NextTallies, Tallies};
use kernel::{
    Error, Failure, Kernel,
    dead_letter::{Letter, LetterError, Letters, Status},
    testing::{Native, event},
};
use std::{sync::Arc, time::Duration};

/// A world in which the tally of order `a` is full: the table refuses one more.
async fn full() -> (Arc<Native>, Arc<Kernel<Tallies>>) {
    let native = Native::new();
    native.set_variable("retry_limit", "3");
    let kernel = tally::open(&native).await;
    native.append("product", event("StockDecreased", "a"));
    kernel.catch_up().await.unwrap();
    native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 999)", vec![]);
    (native, kernel)
}

fn append(native: &Native, order: &str) -> i64 {
    native.append("product", event("StockDecreased", order))
}

/// Lets all the tries go by that there are without somebody's help.
async fn give_up(native: &Native, kernel: &Kernel<Tallies>) {
    for _ in 0..3 {
        kernel.catch_up().await.unwrap();
        native.advance(Duration::from_secs(10));
    }
}

async fn letters(kernel: &Kernel<Tallies>, status: Option<Status>) -> Vec<Letter> {
    kernel.letters(&Letters { status, after: 0, limit: 100 }).await.unwrap()
}

#[tokio::test]
async fn others_go_on_while_later_events_of_the_same_order_wait() {
    let (native, kernel) = full().await;
    let poison = append(&native, "a");
    for n in 0..300 {
        append(&native, &format!("order-{n}"));
    }
    let behind = append(&native, "a");
    kernel.catch_up().await.unwrap();
    assert_eq!(tally::taken(&kernel, "order-299").await, 1, "in one go, past the poison");
    assert_eq!(native.integer("SELECT position FROM consumer WHERE name = 'tally'"), behind);
    let found = letters(&kernel, None).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].seq, found[0].status, found[0].tries, found[0].waiting),
        (poison, Status::Retrying, 1, Some(1))
    );
    assert!(found[0].error.as_ref().unwrap().contains("CHECK constraint failed"), "{found:?}");
    let waiting = letters(&kernel, Some(Status::Waiting)).await;
    assert_eq!(waiting.iter().map(|letter| letter.seq).collect::<Vec<_>>(), [behind]);
    assert_eq!(kernel.rest().await.unwrap().lag, 0);
}

#[tokio::test]
async fn it_is_tried_again_with_growing_pauses_and_then_it_is_dead() {
    let (native, kernel) = full().await;
    append(&native, "a");
    let tries = async || {
        kernel.catch_up().await.unwrap();
        letters(&kernel, None).await.first().map(|letter| (letter.tries, letter.status)).unwrap()
    };
    assert_eq!(tries().await, (1, Status::Retrying));
    native.advance(Duration::from_millis(999));
    assert_eq!(tries().await, (1, Status::Retrying), "a second has to go by");
    native.advance(Duration::from_millis(1));
    assert_eq!(tries().await, (2, Status::Retrying));
    native.advance(Duration::from_millis(1_999));
    assert_eq!(tries().await, (2, Status::Retrying), "then two");
    native.advance(Duration::from_millis(1));
    assert_eq!(tries().await, (3, Status::Dead));
    native.advance(Duration::from_secs(3_600));
    assert_eq!(tries().await, (3, Status::Dead), "nobody tries any more");
    assert_eq!(native.log_of("a").last().unwrap(), "HandlingDelayed");
}

#[tokio::test]
async fn what_was_only_a_hiccup_is_made_good_without_anybody() {
    let (native, kernel) = full().await;
    for _ in 0..3 {
        append(&native, "a");
    }
    kernel.catch_up().await.unwrap();
    native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 0)", vec![]);
    native.advance(Duration::from_secs(1));
    assert_eq!(tally::taken(&kernel, "a").await, 3, "it and what waited behind it");
    assert_eq!(letters(&kernel, None).await, []);
    assert_eq!(letters(&kernel, Some(Status::Resolved)).await.len(), 3);
    assert_eq!(native.log_of("a"), ["StockDecreased"; 4], "nobody has to be told");
}

#[tokio::test]
async fn a_dead_letter_is_retried_when_somebody_asks_and_its_line_goes_on_in_order() {
    let (native, kernel) = full().await;
    let poison = append(&native, "a");
    let closes = native.append("product", event("OutOfStock", "a"));
    give_up(&native, &kernel).await;
    let again = kernel.retry(poison).await.unwrap();
    assert_eq!((again.status, again.tries, again.waiting), (Status::Dead, 4, Some(1)), "it still fails");
    native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 0)", vec![]);
    let done = kernel.retry(poison).await.unwrap();
    assert_eq!((done.status, done.waiting), (Status::Resolved, Some(0)));
    assert_eq!(tally::taken(&kernel, "a").await, 1);
    // It has taken kits by now, so the policy behind OutOfStock is refused: in the order of the log.
    let log = native.log_of("a");
    assert_eq!(log[1..], ["StockDecreased", "OutOfStock", "HandlingDelayed", "HandlingResumed"]);
    assert_eq!(
        letters(&kernel, Some(Status::Resolved)).await.iter().map(|l| l.seq).collect::<Vec<_>>(),
        [poison, closes]
    );
    assert!(matches!(kernel.retry(poison).await, Err(LetterError::Closed)));
    assert!(matches!(kernel.retry(999).await, Err(LetterError::Unknown)));
}

#[tokio::test]
async fn a_discarded_letter_keeps_the_reason_and_lets_the_next_one_go_on() {
    let (native, kernel) = full().await;
    let poison = append(&native, "a");
    let next = append(&native, "a");
    give_up(&native, &kernel).await;
    assert!(matches!(kernel.discard(next, "first things first").await, Err(LetterError::Waiting)));
    let discarded = kernel.discard(poison, "counted by hand").await.unwrap();
    assert_eq!((discarded.status, discarded.reason.as_deref()), (Status::Discarded, Some("counted by hand")));
    let open = letters(&kernel, None).await;
    assert_eq!(
        open.iter().map(|letter| (letter.seq, letter.tries)).collect::<Vec<_>>(),
        [(next, 1)],
        "it had its own try"
    );
    assert_eq!(native.log_of("a").last().unwrap(), "HandlingResumed");
    assert!(matches!(kernel.discard(poison, "again").await, Err(LetterError::Closed)));
}

#[tokio::test]
async fn an_event_of_another_form_is_a_dead_letter_and_no_end_of_the_line() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    for (n, data) in ["{}", "[1]", "null", r#"{"order_id": 7}"#].iter().enumerate() {
        native.sql(
            "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
            VALUES (?1, '/mealkit/product', 'StockDecreased', ?1, 'now', 'a', 'a', 't', ?2)",
            vec![format!("poison-{n}").into(), (*data).into()],
        );
    }
    // Deeper than anybody would want to read.
    let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    native.sql(
        "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
        VALUES ('deep', '/mealkit/product', 'StockDecreased', 'deep', 'now', 'a', 'a', 't', ?1)",
        vec![deep.into()],
    );
    append(&native, "b");
    kernel.catch_up().await.unwrap();
    assert_eq!(tally::taken(&kernel, "b").await, 1);
    assert_eq!(letters(&kernel, None).await.len(), 5);
}

#[tokio::test]
async fn nothing_is_decided_about_an_order_whose_event_is_parked() {
    let (native, kernel) = full().await;
    append(&native, "a");
    kernel.catch_up().await.unwrap();
    native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 0)", vec![]);
    let refused = tally::close(&kernel, "a").await;
    assert!(matches!(&refused, Err(Failure::Failed(Error::Delayed(order))) if order == "a"), "{refused:?}");
    tally::close(&kernel, "b").await.unwrap();
    native.advance(Duration::from_secs(1));
    // Known by now, so it is decided upon: it has taken kits.
    assert!(matches!(tally::close(&kernel, "a").await, Err(Failure::Refused(tally::Refusal::Taken))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_that_retry_at_once_do_it_once() {
    for _ in 0..10 {
        let (native, kernel) = full().await;
        for _ in 0..3 {
            append(&native, "a");
        }
        kernel.catch_up().await.unwrap();
        native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 0)", vec![]);
        native.advance(Duration::from_secs(1));
        let replicas = (0..4).map(|_| {
            let native = native.clone();
            tokio::spawn(async move { tally::open(&native.replica()).await.catch_up().await })
        });
        for done in futures::future::join_all(replicas).await {
            done.unwrap().unwrap();
        }
        assert_eq!(tally::taken(&kernel, "a").await, 3);
        assert_eq!(letters(&kernel, None).await, []);
    }
}

#[tokio::test]
async fn whoever_was_to_wait_goes_on_when_its_letter_is_closed_meanwhile() {
    let (native, kernel) = full().await;
    let poison = append(&native, "a");
    kernel.catch_up().await.unwrap();
    native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 0)", vec![]);
    append(&native, "a");
    // It has read that the new one must wait, and not yet committed that.
    let held = native.hold("INSERT INTO tally_commit");
    let other = tally::open(&native.replica()).await;
    let resolve = async {
        held.reached().await;
        native.advance(Duration::from_secs(1));
        let resolved = other.retry(poison).await;
        held.release();
        resolved
    };
    let (caught_up, resolved) = tokio::join!(kernel.catch_up(), resolve);
    caught_up.unwrap();
    assert_eq!(resolved.unwrap().status, Status::Resolved);
    assert_eq!(tally::taken(&kernel, "a").await, 2);
    assert_eq!(letters(&kernel, Some(Status::Waiting)).await, []);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_wait_for_an_hour() {
    let (native, kernel) = full().await;
    append(&native, "a");
    native.advance(Duration::from_secs(3_600));
    kernel.catch_up().await.unwrap();
    native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 0)", vec![]);
    native.set_back(Duration::from_secs(3_600));
    assert_eq!(tally::taken(&kernel, "a").await, 1);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_no_fault_of_the_event() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    append(&native, "a");
    native.fail_always("INSERT INTO tally_commit", "database or disk is full");
    assert!(kernel.catch_up().await.is_err());
    native.heal();
    assert_eq!(tally::taken(&kernel, "a").await, 1);
    assert_eq!(native.integer("SELECT count(*) FROM tally_dead_letter"), 0);
}

#[tokio::test]
async fn what_only_a_newer_build_knows_is_left_to_it_when_it_is_tried_again() {
    let version = |native: &Native| native.append_in_version(2, "product", event("StockDecreased", "a"));
    let unknown = |native: &Native| native.append("product", event("StockRestored", "a"));
    for (append_newer, taken) in [(&version as &dyn Fn(&Native) -> i64, 2), (&unknown, 0)] {
        let (native, kernel) = full().await;
        let next = Kernel::<NextTallies>::open(native.replica()).await.unwrap();
        append(&native, "a");
        next.catch_up().await.unwrap();
        let newer = append_newer(&native);
        next.catch_up().await.unwrap();
        native.sql("UPDATE tally_row SET row = json_set(row, '$.taken', 0)", vec![]);
        native.advance(Duration::from_secs(10));
        kernel.catch_up().await.unwrap();
        let left = letters(&kernel, None).await;
        assert_eq!(
            left.iter().map(|it| (it.seq, it.status, it.tries)).collect::<Vec<_>>(),
            [(newer, Status::Retrying, 0)]
        );
        assert_eq!(kernel.retry(newer).await.unwrap().status, Status::Retrying, "not even when somebody asks");
        next.catch_up().await.unwrap();
        assert_eq!(letters(&kernel, None).await, []);
        assert_eq!(tally::taken(&kernel, "a").await, taken);
    }
}
