//! Idempotency keys.

use crate::tally::{self, Command, Tallies};
use contracts::ids::OrderId;
use kernel::{Attempt, Created, Failure, Kernel, Trace, testing::Native};
use serde_json::json;

/// A request with the key, to make this; `Ok` says what was made, by it or before it.
async fn create(
    kernel: &Kernel<Tallies>,
    body: &str,
    subject: &str,
    earlier: Option<&str>,
) -> Result<String, Failure<tally::Refusal>> {
    let attempt = Attempt::new(&Trace::own(), "key", &json!({"body": body}), subject).unwrap();
    let attempt = attempt.instead_of(earlier.map(str::to_owned));
    match kernel.create(Command::Place(OrderId::new(subject)), &Trace::own(), Some(&attempt)).await? {
        Created::Now(_) => Ok(subject.to_owned()),
        Created::Before(subject) => Ok(subject),
    }
}

#[tokio::test]
async fn a_key_makes_one_thing_and_a_new_one_costs_no_statement() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let before = native.calls("");
    assert_eq!(create(&kernel, "body", "a", None).await.unwrap(), "a");
    assert_eq!(native.calls("") - before, 2, "it looks, and commits");
    assert_eq!(create(&kernel, "body", "b", None).await.unwrap(), "a");
    assert!(matches!(create(&kernel, "other", "c", None).await, Err(Failure::KeyReused)));
    assert_eq!(native.log(), [("OrderPlaced".to_owned(), "a".to_owned())]);
}

#[tokio::test]
async fn what_is_refused_by_now_was_made_when_the_key_was_new() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    create(&kernel, "body", "a", None).await.unwrap();
    // The domain refuses a second one of the same id before the key is looked at.
    assert_eq!(create(&kernel, "body", "a", None).await.unwrap(), "a");
    assert!(matches!(create(&kernel, "other", "a", None).await, Err(Failure::KeyReused)));
}

#[tokio::test]
async fn of_two_requests_with_one_key_at_once_one_makes_something() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let (one, other) = tokio::join!(create(&kernel, "body", "a", None), create(&kernel, "body", "b", None));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(native.log().len(), 1);
}

#[tokio::test]
async fn another_go_replaces_only_what_it_knew() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    create(&kernel, "body", "a", None).await.unwrap();
    assert_eq!(create(&kernel, "body", "b", Some("a")).await.unwrap(), "b");
    assert_eq!(create(&kernel, "body", "c", Some("a")).await.unwrap(), "b", "it comes too late");
    assert_eq!(create(&kernel, "body", "d", None).await.unwrap(), "b");
    assert_eq!(native.log().len(), 2);
}

#[tokio::test]
async fn who_has_no_key_makes_a_new_thing_every_time() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    for subject in ["a", "b"] {
        let command = Command::Place(OrderId::new(subject));
        assert!(matches!(kernel.create(command, &Trace::own(), None).await, Ok(Created::Now(_))));
    }
    assert_eq!(native.log().len(), 2);
}

#[tokio::test]
async fn a_state_can_be_told_again_as_it_was_after_each_event() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    tally::place(&kernel, "a").await.unwrap();
    for _ in 0..3 {
        native.append("product", kernel::testing::event("StockDecreased", "a"));
    }
    let history = kernel.history(&OrderId::new("a"), "a").await.unwrap();
    let told: Vec<_> = history.into_iter().map(|tally| (tally.version, tally.value.unwrap().taken)).collect();
    assert_eq!(told, [(1, 0), (2, 1), (3, 2), (4, 3)]);
    assert_eq!(kernel.find::<tally::Tally>(&OrderId::new("a")).await.unwrap().unwrap().version, 4);
}
