//! What delivery decides: given these events, when this command, then those events.

use contracts::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event, OrderCancelled, PaymentCompleted, StockDecreased,
    samples::*,
};
use delivery::{
    Deliveries,
    domain::{Command, Refusal, Status},
};
use kernel::actor::Actor;
use kernel::testing::scenario::{FRESH, Scenario};

fn given<const N: usize>(events: [Event; N]) -> Scenario<Deliveries> {
    Scenario::given(events)
}

/// Requested, and its kits are there.
fn ready() -> Scenario<Deliveries> {
    given([DeliveryRequested::sample().into(), StockDecreased::sample().into()])
}

fn request() -> Command {
    let DeliveryRequested { delivery_id, order_id, member_id, address } = DeliveryRequested::sample();
    Command::Request { delivery_id, order_id, member_id, address }
}

fn complete() -> Command {
    Command::Complete { order_id: order_id(), by: Actor::System, reason: None }
}

fn cancel() -> Command {
    Command::Cancel { order_id: order_id(), reason: DeliveryCancelled::sample().reason }
}

fn status(scenario: &Scenario<Deliveries>) -> Option<Status> {
    scenario.state().as_ref().map(|delivery| delivery.status)
}

// Request

#[test]
fn a_delivery_is_requested_once() {
    given([]).when(request()).then([DeliveryRequested::sample().into()]).when(request()).then_nothing();
}

#[test]
fn nothing_is_requested_for_an_order_that_was_cancelled_before() {
    given([OrderCancelled::sample().into()]).when(request()).then_nothing();
}

// Complete

#[test]
fn a_delivery_is_completed_once() {
    let scenario = ready().when(complete()).then([DeliveryCompleted::sample().into()]);
    assert_eq!(status(&scenario), Some(Status::Completed));
    scenario.when(complete()).then_nothing();
}

#[test]
fn no_kit_no_delivery() {
    given([DeliveryRequested::sample().into()]).when(complete()).then_refused(Refusal::NotStocked);
}

#[test]
fn a_cancelled_delivery_cannot_be_completed() {
    given([DeliveryRequested::sample().into(), StockDecreased::sample().into(), DeliveryCancelled::sample().into()])
        .when(complete())
        .then_refused(Refusal::Cancelled);
}

#[test]
fn what_was_never_requested_cannot_be_completed() {
    given([]).when(complete()).then_refused(Refusal::Unknown);
    given([OrderCancelled::sample().into()]).when(complete()).then_refused(Refusal::Unknown);
}

// Cancel

#[test]
fn a_delivery_is_cancelled_once_until_it_is_completed() {
    for open in [given([DeliveryRequested::sample().into()]), ready()] {
        let scenario = open.when(cancel()).then([DeliveryCancelled::sample().into()]);
        assert_eq!(status(&scenario), Some(Status::Cancelled));
        scenario.when(cancel()).then_nothing();
    }
}

#[test]
fn a_completed_delivery_stays_completed() {
    let scenario = given([
        DeliveryRequested::sample().into(),
        StockDecreased::sample().into(),
        DeliveryCompleted::sample().into(),
    ]);
    assert_eq!(status(&scenario.when(cancel()).then_nothing()), Some(Status::Completed));
}

#[test]
fn what_was_never_requested_is_not_cancelled() {
    given([]).when(cancel()).then_nothing();
}

// Whenever …

#[test]
fn whenever_an_order_is_paid_its_delivery_is_requested() {
    let requested = DeliveryRequested { delivery_id: FRESH.into(), ..DeliveryRequested::sample() };
    given([])
        .whenever(PaymentCompleted::sample())
        .then([requested.into()])
        .whenever(PaymentCompleted::sample())
        .then_nothing();
}

#[test]
fn whenever_its_kits_are_taken_a_delivery_can_be_completed() {
    given([DeliveryRequested::sample().into()])
        .whenever(StockDecreased::sample())
        .then_nothing()
        .whenever(StockDecreased::sample())
        .then_nothing()
        .when(complete())
        .then([DeliveryCompleted::sample().into()]);
}

#[test]
fn whenever_an_order_is_cancelled_its_delivery_is_cancelled_for_the_same_reason() {
    let cancelled = DeliveryCancelled { reason: OrderCancelled::sample().reason, ..DeliveryCancelled::sample() };
    ready()
        .whenever(OrderCancelled::sample())
        .then([cancelled.into()])
        .whenever(OrderCancelled::sample())
        .then_nothing();
}

#[test]
fn whenever_an_order_is_cancelled_before_its_delivery_was_requested_none_will_be() {
    given([])
        .whenever(OrderCancelled::sample())
        .then_nothing()
        .whenever(OrderCancelled::sample())
        .then_nothing()
        .whenever(PaymentCompleted::sample())
        .then_nothing();
}
