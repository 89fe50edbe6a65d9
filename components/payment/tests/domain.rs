//! What payment decides: given these events, when this command, then those events.
#![allow(clippy::unwrap_used, reason = "tests")]

use contracts::{Event, PaymentCancelled, PaymentDeclined, samples::*};
use kernel::scenario::Scenario;
use payment::{
    Payments,
    domain::{Command, Intent, Refusal, Status, Verdict},
};

fn given<const N: usize>(events: [Event; N]) -> Scenario<Payments> {
    Scenario::given(events)
}

fn record(verdict: Verdict) -> Command {
    Command::Record { intent: Box::new(Intent::new(payment_id(), &charge().unwrap())), verdict }
}

fn approved() -> Command {
    record(Verdict::Approved { approval_number: "A-1".into() })
}

fn declined() -> Command {
    record(Verdict::Declined { reason: "card_declined".into() })
}

fn cancel() -> Command {
    Command::Cancel { reason: payment_cancelled().reason }
}

fn status(scenario: &Scenario<Payments>) -> Option<Status> {
    scenario.state().as_ref().map(|payment| payment.status)
}

// Record

#[test]
fn a_charge_that_the_gateway_approves_is_completed() {
    let scenario = given([]).when(approved()).then([payment_completed().into()]);
    assert_eq!(status(&scenario), Some(Status::Completed));
}

#[test]
fn a_charge_that_the_gateway_declines_is_declined_for_its_reason() {
    let scenario = given([]).when(declined()).then([payment_declined().into()]);
    assert_eq!(status(&scenario), Some(Status::Declined));
    let over_limit = PaymentDeclined { reason: "limit_exceeded".into(), ..payment_declined() };
    given([]).when(record(Verdict::Declined { reason: "limit_exceeded".into() })).then([over_limit.into()]);
}

#[test]
fn an_order_is_charged_once_whatever_the_gateway_says_the_second_time() {
    for settled in [payment_completed().into(), payment_declined().into()] {
        given([settled]).when(approved()).then_nothing().when(declined()).then_nothing();
    }
}

#[test]
fn what_was_given_back_is_not_charged_again() {
    given([payment_completed().into(), payment_cancelled().into()]).when(approved()).then_nothing();
}

#[test]
fn a_closed_order_is_not_charged() {
    for closed in [order_cancelled().into(), order_rejected().into()] {
        given([closed]).when(approved()).then_refused(Refusal::OrderClosed);
    }
}

#[test]
fn an_event_has_the_last_four_digits_of_the_card_only() {
    let scenario = given([]).when(approved()).then([payment_completed().into()]);
    assert_eq!(scenario.state().as_ref().and_then(|payment| payment.card.as_deref()), Some("**** 1111"));
}

// Cancel

#[test]
fn what_was_charged_is_given_back_once() {
    let scenario = given([payment_completed().into()])
        .when(cancel())
        .then([payment_cancelled().into()])
        .when(cancel())
        .then_nothing();
    assert_eq!(status(&scenario), Some(Status::Cancelled));
}

#[test]
fn what_was_not_charged_is_not_given_back() {
    given([]).when(cancel()).then_nothing();
    given([payment_declined().into()]).when(cancel()).then_nothing();
    given([order_cancelled().into()]).when(cancel()).then_nothing();
}

// Whenever …

#[test]
fn whenever_an_order_is_cancelled_its_payment_is_given_back() {
    given([payment_completed().into()])
        .whenever(order_cancelled())
        .then([payment_cancelled().into()])
        .whenever(order_cancelled())
        .then_nothing();
}

#[test]
fn whenever_an_order_is_rejected_what_was_charged_all_the_same_is_given_back() {
    let cancelled = PaymentCancelled { reason: Some(order_rejected().reason), ..payment_cancelled() };
    given([payment_completed().into()])
        .whenever(order_rejected())
        .then([cancelled.into()])
        .whenever(order_rejected())
        .then_nothing();
}

#[test]
fn whenever_an_order_is_closed_before_it_was_charged_it_never_will_be() {
    for closed in [Event::from(order_cancelled()), order_rejected().into()] {
        let scenario = given([]).whenever(closed.clone()).then_nothing().whenever(closed).then_nothing();
        assert_eq!(status(&scenario), Some(Status::Refused));
        scenario.when(approved()).then_refused(Refusal::OrderClosed);
    }
}

#[test]
fn whenever_an_order_is_rejected_because_it_was_declined_the_payment_stays_declined() {
    let scenario = given([payment_declined().into()]).whenever(order_rejected()).then_nothing();
    assert_eq!(status(&scenario), Some(Status::Declined));
}
