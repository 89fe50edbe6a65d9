//! Idempotency keys.

use crate::tally::{self, Command, Tallies};
use contracts::ids::OrderId;
use http::StatusCode;
use kernel::{
    Failure, Kernel, Trace,
    http::{Answer, Attempt, Begin},
    testing::Native,
};
use serde_json::json;

async fn begin(kernel: &Kernel<Tallies>, body: &str, subject: &str) -> Begin {
    kernel.begin(Some("key".into()), &json!({"body": body}), subject.into()).await.unwrap()
}

async fn place(kernel: &Kernel<Tallies>, attempt: &Attempt) -> Result<(), Failure<tally::Refusal>> {
    let id = OrderId::new(attempt.subject());
    kernel.execute(&id, Command::Place(id.clone()), &Trace::own(), None, Some(attempt)).await.map(|_| ())
}

fn attempt(begin: Begin) -> Attempt {
    match begin {
        Begin::New(attempt) | Begin::Started(attempt) => attempt,
        Begin::Answered(answer) => panic!("answered already: {answer:?}"),
    }
}

#[tokio::test]
async fn a_key_makes_one_thing_and_keeps_its_answer() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let first = attempt(begin(&kernel, "body", "a").await);
    place(&kernel, &first).await.unwrap();
    let Begin::Started(second) = begin(&kernel, "body", "b").await else { panic!("it was started") };
    assert_eq!(second.subject(), "a");
    let answer = Answer::json(StatusCode::CREATED, json!({"id": "a"})).version(1);
    assert_eq!(kernel.finish(&first, answer.clone()).await.unwrap(), answer);
    let late = Answer::json(StatusCode::CREATED, json!({"id": "a", "changed": true})).version(2);
    assert_eq!(kernel.finish(&second, late).await.unwrap(), answer, "both get the answer that is kept");
    assert!(matches!(begin(&kernel, "body", "c").await, Begin::Answered(kept) if kept == answer));
    let reused = kernel.begin(Some("key".into()), &json!({"body": "other"}), "d".into()).await.unwrap_err();
    assert_eq!(reused.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn of_two_requests_with_one_key_the_second_makes_nothing() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    let (first, second) = (attempt(begin(&kernel, "body", "a").await), attempt(begin(&kernel, "body", "b").await));
    place(&kernel, &first).await.unwrap();
    assert!(matches!(place(&kernel, &second).await, Err(Failure::KeyTaken)));
    assert_eq!(native.log(), [("OrderPlaced".to_owned(), "a".to_owned())]);
}

#[tokio::test]
async fn another_go_replaces_only_what_it_knew() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    place(&kernel, &attempt(begin(&kernel, "body", "a").await)).await.unwrap();
    let again = attempt(begin(&kernel, "body", "x").await).again("b".into());
    let late = attempt(begin(&kernel, "body", "x").await).again("c".into());
    place(&kernel, &again).await.unwrap();
    assert!(matches!(place(&kernel, &late).await, Err(Failure::KeyTaken)));
    // The first go's answer comes too late to be the key's.
    let first = attempt(Begin::New(attempt(begin(&kernel, "body", "x").await).again("a".into())));
    kernel.finish(&first, Answer::ok(json!({}))).await.unwrap();
    assert!(matches!(begin(&kernel, "body", "x").await, Begin::Started(attempt) if attempt.subject() == "b"));
}

#[tokio::test]
async fn who_has_no_key_makes_a_new_thing_every_time() {
    let native = Native::new();
    let kernel = tally::open(&native).await;
    for subject in ["a", "b"] {
        let begun = kernel.begin(None, &json!({}), subject.into()).await.unwrap();
        place(&kernel, &attempt(begun)).await.unwrap();
    }
    assert_eq!(native.log().len(), 2);
}
