//! What payment decides: given these events, when this command, then those events.

use contracts::{
    Event, OrderCancelled, OrderPlaced, OrderRejected, PaymentCancelled, PaymentCompleted, PaymentDeclined,
    ids::PaymentId, samples::*,
};
use kernel::testing::scenario::Scenario;
use payment::{
    Payments,
    domain::{self, Charge, Command, Refusal, Status, Verdict},
};

fn given<const N: usize>(events: [Event; N]) -> Scenario<Payments> {
    Scenario::given(events)
}

fn record(verdict: Verdict) -> Command {
    Command::Record { order: Box::new(OrderPlaced::sample()), verdict }
}

fn approved() -> Command {
    record(Verdict::Approved { approval_number: "A-1".into() })
}

fn declined() -> Command {
    record(Verdict::Declined { reason: "card_declined".into() })
}

fn cancel() -> Command {
    Command::Cancel { order_id: order_id(), reason: PaymentCancelled::sample().reason }
}

/// A payment's id follows from its order's.
fn charged() -> PaymentCompleted {
    PaymentCompleted { payment_id: PaymentId::of(&order_id()), ..PaymentCompleted::sample() }
}

fn refused_by_the_gateway() -> PaymentDeclined {
    PaymentDeclined { payment_id: PaymentId::of(&order_id()), ..PaymentDeclined::sample() }
}

fn status(scenario: &Scenario<Payments>) -> Option<Status> {
    scenario.state().as_ref().map(|payment| payment.status)
}

// Record

#[test]
fn a_charge_that_the_gateway_approves_is_completed() {
    let scenario = given([]).when(approved()).then([charged().into()]);
    assert_eq!(status(&scenario), Some(Status::Completed));
}

#[test]
fn a_charge_that_the_gateway_declines_is_declined_for_its_reason() {
    let scenario = given([]).when(declined()).then([refused_by_the_gateway().into()]);
    assert_eq!(status(&scenario), Some(Status::Declined));
    let over_limit = PaymentDeclined { reason: "limit_exceeded".into(), ..refused_by_the_gateway() };
    given([]).when(record(Verdict::Declined { reason: "limit_exceeded".into() })).then([over_limit.into()]);
}

#[test]
fn an_order_is_charged_once_whatever_the_gateway_says_the_second_time() {
    for settled in [PaymentCompleted::sample().into(), PaymentDeclined::sample().into()] {
        given([settled]).when(approved()).then_nothing().when(declined()).then_nothing();
    }
}

#[test]
fn what_was_given_back_is_not_charged_again() {
    given([PaymentCompleted::sample().into(), PaymentCancelled::sample().into()]).when(approved()).then_nothing();
}

#[test]
fn a_closed_order_is_not_charged() {
    for closed in [OrderCancelled::sample().into(), OrderRejected::sample().into()] {
        given([closed]).when(approved()).then_refused(Refusal::OrderClosed);
    }
}

#[test]
fn an_event_has_the_last_four_digits_of_the_card_only() {
    let scenario = given([]).when(approved()).then([charged().into()]);
    assert_eq!(scenario.state().as_ref().and_then(|payment| payment.card.as_deref()), Some("**** 1111"));
}

#[test]
fn an_order_of_a_build_before_events_told_of_cards_is_charged_all_the_same() {
    let order = Box::new(OrderPlaced { card: None, card_owner: None, ..OrderPlaced::sample() });
    let verdict = Verdict::Approved { approval_number: "A-1".into() };
    let hidden = PaymentCompleted { card: "****".into(), card_owner: "****".into(), ..charged() };
    given([]).when(Command::Record { order, verdict }).then([hidden.into()]);
}

#[test]
fn the_gateway_is_told_to_cancel_whatever_was_closed_until_it_has() {
    for closed in [Event::from(OrderCancelled::sample()), OrderRejected::sample().into()] {
        let payment = given([closed]).state().clone();
        assert!(payment.as_ref().is_some_and(|payment| payment.cancel_due), "it may have been asked to charge");
        let told = domain::is_cancelled_there(payment);
        assert!(told.as_ref().is_some_and(|payment| !payment.cancel_due));
        assert!(domain::cancel_is_due(told).is_some_and(|payment| payment.cancel_due), "it charged all the same");
    }
    assert_eq!(domain::charge(given([PaymentCompleted::sample().into()]).state()), Ok(Charge::Done));
}

// Cancel

#[test]
fn what_was_charged_is_given_back_once() {
    let scenario = given([PaymentCompleted::sample().into()])
        .when(cancel())
        .then([PaymentCancelled::sample().into()])
        .when(cancel())
        .then_nothing();
    assert_eq!(status(&scenario), Some(Status::Cancelled));
}

#[test]
fn what_was_not_charged_is_not_given_back() {
    given([]).when(cancel()).then_nothing();
    given([PaymentDeclined::sample().into()]).when(cancel()).then_nothing();
    given([OrderCancelled::sample().into()]).when(cancel()).then_nothing();
}

// Whenever …

#[test]
fn whenever_an_order_is_cancelled_its_payment_is_given_back() {
    given([PaymentCompleted::sample().into()])
        .whenever(OrderCancelled::sample())
        .then([PaymentCancelled::sample().into()])
        .whenever(OrderCancelled::sample())
        .then_nothing();
}

#[test]
fn whenever_an_order_is_rejected_what_was_charged_all_the_same_is_given_back() {
    let cancelled = PaymentCancelled { reason: Some(OrderRejected::sample().reason), ..PaymentCancelled::sample() };
    given([PaymentCompleted::sample().into()])
        .whenever(OrderRejected::sample())
        .then([cancelled.into()])
        .whenever(OrderRejected::sample())
        .then_nothing();
}

#[test]
fn whenever_an_order_is_closed_before_it_was_charged_it_never_will_be() {
    for closed in [Event::from(OrderCancelled::sample()), OrderRejected::sample().into()] {
        let scenario = given([]).whenever(closed.clone()).then_nothing().whenever(closed).then_nothing();
        assert_eq!(status(&scenario), Some(Status::Refused));
        scenario.when(approved()).then_refused(Refusal::OrderClosed);
    }
}

#[test]
fn whenever_an_order_is_rejected_because_it_was_declined_the_payment_stays_declined() {
    let scenario = given([PaymentDeclined::sample().into()]).whenever(OrderRejected::sample()).then_nothing();
    assert_eq!(status(&scenario), Some(Status::Declined));
}
