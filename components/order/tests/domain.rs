//! What order decides: given these events, when this command, then those events.

use contracts::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event, OrderCancelled, OrderPlaced, OrderRejected,
    OutOfStock, PaymentCompleted, PaymentDeclined, ProductModified, ProductRegistered, samples::*,
};
use kernel::actor::Actor;
use kernel::testing::scenario::Scenario;
use order::{
    Orders,
    domain::{Command, OUT_OF_STOCK, PAYMENT_UNAVAILABLE, Placement, Refusal, Status},
};

fn given<const N: usize>(events: [Event; N]) -> Scenario<Orders> {
    Scenario::given(events)
}

fn pending() -> Vec<Event> {
    vec![ProductRegistered::sample().into(), OrderPlaced::sample().into()]
}

fn paid() -> Vec<Event> {
    [pending(), vec![PaymentCompleted::sample().into()]].concat()
}

fn on_its_way() -> Vec<Event> {
    [paid(), vec![DeliveryRequested::sample().into()]].concat()
}

fn delivered() -> Vec<Event> {
    [on_its_way(), vec![DeliveryCompleted::sample().into()]].concat()
}

fn rejected() -> Vec<Event> {
    [pending(), vec![OrderRejected::sample().into()]].concat()
}

fn cancelled() -> Vec<Event> {
    [on_its_way(), vec![OrderCancelled::sample().into()]].concat()
}

fn place(quantity: u32) -> Command {
    let OrderPlaced { order_id, member_id, product_id, address, card, card_owner, .. } = OrderPlaced::sample();
    let (card, card_owner) = (card.unwrap_or_default(), card_owner.unwrap_or_default());
    Command::Place { order_id, placement: Placement { member_id, product_id, quantity, address, card, card_owner } }
}

fn cancel() -> Command {
    Command::Cancel { order_id: order_id(), by: Actor::System, reason: OrderCancelled::sample().reason }
}

fn reject() -> Command {
    Command::Reject { order_id: order_id(), reason: PAYMENT_UNAVAILABLE.into() }
}

fn status(scenario: &Scenario<Orders>) -> Option<Status> {
    scenario.state().order.as_ref().map(|order| order.status)
}

// Place

#[test]
fn a_member_orders_kits_at_the_price_of_the_catalogue() {
    let scenario = given([ProductRegistered::sample().into()]).when(place(2)).then([OrderPlaced::sample().into()]);
    assert_eq!(status(&scenario), Some(Status::Pending));
}

#[test]
fn an_order_has_the_name_and_the_price_that_the_kit_has_by_now() {
    let renamed = ProductModified { name: "Dolsot bibimbap".into(), price: 13_000, ..ProductModified::sample() };
    given([ProductRegistered::sample().into(), renamed.into()]).when(place(3)).then([OrderPlaced {
        product_name: "Dolsot bibimbap".into(),
        quantity: 3,
        unit_price: 13_000,
        amount: 39_000,
        ..OrderPlaced::sample()
    }
    .into()]);
}

#[test]
fn a_price_that_changes_later_does_not_change_the_order() {
    let scenario = Scenario::<Orders>::given(pending()).whenever(ProductModified::sample()).then_nothing();
    assert_eq!(scenario.state().order.as_ref().map(|order| order.placed.amount), Some(24_000));
}

#[test]
fn a_kit_that_is_not_in_the_catalogue_cannot_be_ordered() {
    given([]).when(place(2)).then_refused(Refusal::NoSuchProduct);
}

#[test]
fn an_order_is_placed_once() {
    Scenario::<Orders>::given(pending()).when(place(2)).then_refused(Refusal::Exists);
}

// Reject

#[test]
fn an_order_that_could_not_be_paid_is_rejected() {
    let rejected = OrderRejected { reason: PAYMENT_UNAVAILABLE.into(), ..OrderRejected::sample() };
    let scenario = Scenario::<Orders>::given(pending()).when(reject()).then([rejected.into()]);
    assert_eq!(status(&scenario), Some(Status::Rejected));
}

#[test]
fn an_order_that_was_paid_after_all_is_not_rejected() {
    Scenario::<Orders>::given(paid()).when(reject()).then_nothing();
    Scenario::<Orders>::given(on_its_way()).when(reject()).then_nothing();
    Scenario::<Orders>::given(delivered()).when(reject()).then_nothing();
}

#[test]
fn an_order_that_is_closed_already_is_not_rejected() {
    Scenario::<Orders>::given(rejected()).when(reject()).then_nothing();
    Scenario::<Orders>::given(cancelled()).when(reject()).then_nothing();
}

#[test]
fn what_was_never_ordered_cannot_be_rejected() {
    given([]).when(reject()).then_refused(Refusal::Unknown);
}

// Cancel

#[test]
fn a_member_cancels_an_order_until_it_is_delivered() {
    for open in [pending(), paid(), on_its_way()] {
        let scenario = Scenario::<Orders>::given(open).when(cancel()).then([OrderCancelled::sample().into()]);
        assert_eq!(status(&scenario), Some(Status::Cancelled));
    }
}

#[test]
fn a_reason_may_be_left_out() {
    let silent = OrderCancelled { reason: None, ..OrderCancelled::sample() };
    Scenario::<Orders>::given(paid())
        .when(Command::Cancel { order_id: order_id(), by: Actor::System, reason: None })
        .then([silent.into()]);
}

#[test]
fn an_order_is_cancelled_once() {
    Scenario::<Orders>::given(cancelled()).when(cancel()).then_nothing();
}

#[test]
fn a_delivered_order_cannot_be_cancelled() {
    Scenario::<Orders>::given(delivered()).when(cancel()).then_refused(Refusal::Delivered);
}

#[test]
fn a_rejected_order_cannot_be_cancelled() {
    Scenario::<Orders>::given(rejected()).when(cancel()).then_refused(Refusal::Rejected);
}

#[test]
fn what_was_never_ordered_cannot_be_cancelled() {
    given([]).when(cancel()).then_refused(Refusal::Unknown);
}

// Whenever …

#[test]
fn whenever_a_kit_is_registered_or_changed_the_catalogue_has_it() {
    let scenario = given([]).whenever(ProductRegistered::sample()).then_nothing();
    assert_eq!(scenario.state().kit.as_ref().map(|kit| kit.price), Some(12_000));
    let scenario = scenario.whenever(ProductModified::sample()).then_nothing();
    assert_eq!(scenario.state().kit.as_ref().map(|kit| kit.price), Some(13_000));
}

#[test]
fn whenever_the_payment_is_completed_the_order_is_paid() {
    let scenario = Scenario::<Orders>::given(pending()).whenever(PaymentCompleted::sample()).then_nothing();
    assert_eq!(status(&scenario), Some(Status::Paid));
}

#[test]
fn whenever_the_payment_is_declined_the_order_is_rejected_for_the_same_reason() {
    let over_limit = || PaymentDeclined { reason: "limit_exceeded".into(), ..PaymentDeclined::sample() };
    let rejected = OrderRejected { reason: "limit_exceeded".into(), ..OrderRejected::sample() };
    Scenario::<Orders>::given(pending())
        .whenever(over_limit())
        .then([rejected.into()])
        .whenever(over_limit())
        .then_nothing();
}

#[test]
fn whenever_the_kits_are_out_of_stock_the_order_is_cancelled() {
    let cancelled = OrderCancelled { reason: Some(OUT_OF_STOCK.into()), ..OrderCancelled::sample() };
    for open in [paid(), on_its_way()] {
        Scenario::<Orders>::given(open)
            .whenever(OutOfStock::sample())
            .then([cancelled.clone().into()])
            .whenever(OutOfStock { stock: 0, ..OutOfStock::sample() })
            .then_nothing();
    }
}

#[test]
fn whenever_the_kits_are_out_of_stock_an_order_that_is_cancelled_already_stays_so() {
    let scenario = Scenario::<Orders>::given(cancelled()).whenever(OutOfStock::sample()).then_nothing();
    assert_eq!(scenario.state().order.as_ref().and_then(|order| order.reason.clone()), OrderCancelled::sample().reason);
}

#[test]
fn whenever_its_delivery_comes_forward_the_order_does() {
    let scenario = Scenario::<Orders>::given(paid()).whenever(DeliveryRequested::sample()).then_nothing();
    assert_eq!(status(&scenario), Some(Status::DeliveryRequested));
    let scenario = scenario.whenever(DeliveryCompleted::sample()).then_nothing();
    assert_eq!(status(&scenario), Some(Status::Delivered));
}

#[test]
fn whenever_a_delivery_is_late_to_hear_of_it_a_cancelled_order_stays_cancelled() {
    let cancelled_early = [paid(), vec![OrderCancelled::sample().into()]].concat();
    let scenario = Scenario::<Orders>::given(cancelled_early).whenever(DeliveryRequested::sample()).then_nothing();
    assert_eq!(status(&scenario), Some(Status::Cancelled));
    let scenario = scenario.whenever(DeliveryCancelled::sample()).then_nothing();
    assert_eq!(status(&scenario), Some(Status::Cancelled));
}
