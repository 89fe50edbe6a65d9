//! What delivery decides: given these events, when this command, then those events.

use contracts::{DeliveryCancelled, DeliveryRequested, Event, samples::*};
use delivery::{
    Deliveries,
    domain::{Command, Refusal, Status},
};
use kernel::scenario::{FRESH, Scenario};

fn given<const N: usize>(events: [Event; N]) -> Scenario<Deliveries> {
    Scenario::given(events)
}

/// Requested, and its kits are there.
fn ready() -> Scenario<Deliveries> {
    given([delivery_requested().into(), stock_decreased().into()])
}

fn request() -> Command {
    let DeliveryRequested { delivery_id, order_id, member_id, address } = delivery_requested();
    Command::Request { delivery_id, order_id, member_id, address }
}

fn complete() -> Command {
    Command::Complete { order_id: order_id() }
}

fn cancel() -> Command {
    Command::Cancel { order_id: order_id(), reason: delivery_cancelled().reason }
}

fn status(scenario: &Scenario<Deliveries>) -> Option<Status> {
    scenario.state().as_ref().map(|delivery| delivery.status)
}

// Request

#[test]
fn a_delivery_is_requested_once() {
    given([]).when(request()).then([delivery_requested().into()]).when(request()).then_nothing();
}

#[test]
fn nothing_is_requested_for_an_order_that_was_cancelled_before() {
    given([order_cancelled().into()]).when(request()).then_nothing();
}

// Complete

#[test]
fn a_delivery_is_completed_once() {
    let scenario = ready().when(complete()).then([delivery_completed().into()]);
    assert_eq!(status(&scenario), Some(Status::Completed));
    scenario.when(complete()).then_nothing();
}

#[test]
fn no_kit_no_delivery() {
    given([delivery_requested().into()]).when(complete()).then_refused(Refusal::NotStocked);
}

#[test]
fn a_cancelled_delivery_cannot_be_completed() {
    given([delivery_requested().into(), stock_decreased().into(), delivery_cancelled().into()])
        .when(complete())
        .then_refused(Refusal::Cancelled);
}

#[test]
fn what_was_never_requested_cannot_be_completed() {
    given([]).when(complete()).then_refused(Refusal::Unknown);
    given([order_cancelled().into()]).when(complete()).then_refused(Refusal::Unknown);
}

// Cancel

#[test]
fn a_delivery_is_cancelled_once_until_it_is_completed() {
    for open in [given([delivery_requested().into()]), ready()] {
        let scenario = open.when(cancel()).then([delivery_cancelled().into()]);
        assert_eq!(status(&scenario), Some(Status::Cancelled));
        scenario.when(cancel()).then_nothing();
    }
}

#[test]
fn a_completed_delivery_stays_completed() {
    let scenario = given([delivery_requested().into(), stock_decreased().into(), delivery_completed().into()]);
    assert_eq!(status(&scenario.when(cancel()).then_nothing()), Some(Status::Completed));
}

#[test]
fn what_was_never_requested_is_not_cancelled() {
    given([]).when(cancel()).then_nothing();
}

// Whenever …

#[test]
fn whenever_an_order_is_paid_its_delivery_is_requested() {
    let requested = DeliveryRequested { delivery_id: FRESH.into(), ..delivery_requested() };
    given([]).whenever(payment_completed()).then([requested.into()]).whenever(payment_completed()).then_nothing();
}

#[test]
fn whenever_its_kits_are_taken_a_delivery_can_be_completed() {
    given([delivery_requested().into()])
        .whenever(stock_decreased())
        .then_nothing()
        .whenever(stock_decreased())
        .then_nothing()
        .when(complete())
        .then([delivery_completed().into()]);
}

#[test]
fn whenever_an_order_is_cancelled_its_delivery_is_cancelled_for_the_same_reason() {
    let cancelled = DeliveryCancelled { reason: order_cancelled().reason, ..delivery_cancelled() };
    ready().whenever(order_cancelled()).then([cancelled.into()]).whenever(order_cancelled()).then_nothing();
}

#[test]
fn whenever_an_order_is_cancelled_before_its_delivery_was_requested_none_will_be() {
    given([])
        .whenever(order_cancelled())
        .then_nothing()
        .whenever(order_cancelled())
        .then_nothing()
        .whenever(payment_completed())
        .then_nothing();
}
