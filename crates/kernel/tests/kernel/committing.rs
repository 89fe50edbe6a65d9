//! The units of work of concurrent requests of an instance, in one statement.

use crate::tally::{self, Tallies, Tally};
use contracts::ids::OrderId;
use futures::future::join_all;
use kernel::{
    Kernel,
    testing::{DEADLINE, Hold, Native, event},
};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::timeout};

type Placing = JoinHandle<bool>;

fn place(kernel: &Arc<Kernel<Tallies>>, id: &str) -> Placing {
    let (kernel, id) = (kernel.clone(), id.to_owned());
    tokio::spawn(async move { tally::place(&kernel, &id).await.is_ok() })
}

/// A request whose statement is held, and ten that wait behind it.
async fn queue(native: &Native, kernel: &Arc<Kernel<Tallies>>) -> (Arc<Hold>, Placing, Vec<Placing>) {
    let held = native.hold("INSERT INTO tally_commit");
    let first = place(kernel, "first");
    held.reached().await;
    let others = (0..10).map(|number| place(kernel, &format!("order-{number}"))).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    (held, first, others)
}

#[tokio::test]
async fn what_waits_while_one_commits_is_committed_together() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let (held, first, others) = queue(&native, &kernel).await;
    assert_eq!(native.calls("INSERT INTO tally_commit"), 1);
    held.release();
    assert!(first.await.unwrap());
    assert!(join_all(others).await.into_iter().all(Result::unwrap));
    assert_eq!(native.calls("INSERT INTO tally_commit"), 2);
    assert_eq!(native.log().len(), 11);
}

#[tokio::test]
async fn a_unit_that_is_skipped_does_not_keep_the_others_back() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let (held, first, others) = queue(&native, &kernel).await;
    // Its decision has not seen this, so it has to decide again.
    native.append("product", event("StockDecreased", "order-3"));
    held.release();
    assert!(first.await.unwrap());
    let placed: Vec<bool> = join_all(others).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(placed.iter().filter(|placed| !**placed).count(), 1);
    assert!(!placed[3], "there is a tally of it by now");
    assert_eq!(native.log_of("order-3"), ["StockDecreased"]);
}

#[tokio::test]
async fn a_unit_that_the_database_refuses_does_not_spoil_the_others() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    native.sql(
        "CREATE TRIGGER spoilt BEFORE INSERT ON event WHEN NEW.subject = 'order-3' BEGIN SELECT RAISE(ABORT, 'spoilt'); END",
        vec![],
    );
    let (held, first, others) = queue(&native, &kernel).await;
    held.release();
    assert!(first.await.unwrap());
    let placed: Vec<bool> = join_all(others).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(placed.iter().filter(|placed| !**placed).count(), 1);
    assert!(!placed[3]);
    assert_eq!((native.log().len(), native.log_of("order-3").len()), (10, 0));
}

#[tokio::test]
async fn a_leader_that_is_given_up_leaves_the_others_committed_once() {
    // Which of the two leads is a matter of chance.
    for round in 0..16 {
        let native = Native::new();
        let kernel = tally::open(&native).await;
        let held = native.hold("INSERT INTO tally_commit");
        let first = place(&kernel, "first");
        held.reached().await;
        let (one, other) = (place(&kernel, "one"), place(&kernel, "other"));
        while native.calls("UNION ALL SELECT 'row'") < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let next = match round % 2 {
            0 => native.hold("INSERT INTO tally_commit"),
            _ => native.hold_answer("INSERT INTO tally_commit"),
        };
        held.release();
        assert!(first.await.unwrap());
        next.reached().await;
        one.abort();
        next.release();
        assert!(timeout(DEADLINE, other).await.unwrap().unwrap(), "round {round}");
        assert_eq!(native.log_of("other"), ["OrderPlaced"], "round {round}");
        assert!(native.log_of("one").len() <= 1, "round {round}");
        let tally = kernel.find::<Tally>(&OrderId::new("one")).await.unwrap();
        assert_eq!(tally.is_some(), native.log_of("one").len() == 1, "round {round}");
    }
}
