//! Whom marketing tells what: whenever this happened, then that notification.

use contracts::{
    DeliveryCancelled, DeliveryCompleted, Event, Notified, OutOfStock, PaymentCancelled, PaymentCompleted, Recipient,
    samples::*,
};
use kernel::testing::scenario::{FRESH, Scenario};
use marketing::Marketing;

fn seller() -> Recipient {
    Recipient { kind: "seller".into(), id: seller_id().to_string() }
}

fn member() -> Recipient {
    Recipient { kind: "member".into(), id: member_id().to_string() }
}

/// Whenever this happened, somebody is told that; and heard twice, it is told once.
#[track_caller]
fn tells(event: impl Into<Event>, recipient: Recipient, message: &str) {
    let event = event.into();
    let notified = Notified {
        notification_id: FRESH.into(),
        recipient,
        event_type: event.name().into(),
        message: message.into(),
        ..Notified::sample()
    };
    let scenario = Scenario::<Marketing>::given([]).whenever(event.clone()).then([notified.into()]);
    scenario.whenever(event).then_nothing();
}

#[test]
fn whenever_an_order_is_paid_the_seller_is_told_to_prepare_it() {
    tells(PaymentCompleted::sample(), seller(), "An order of 2 x Bibimbap for two is paid. Please prepare it.");
}

#[test]
fn whenever_an_order_is_delivered_the_member_is_told() {
    tells(DeliveryCompleted::sample(), member(), "Your order was delivered. Enjoy your meal!");
}

#[test]
fn whenever_a_payment_is_given_back_the_member_is_told_how_much() {
    tells(PaymentCancelled::sample(), member(), "Your payment of 24000 KRW was cancelled; you get it back.");
}

#[test]
fn whenever_there_are_not_enough_kits_the_member_is_told() {
    tells(
        OutOfStock::sample(),
        member(),
        "We are sorry: the kit you ordered is out of stock, so we cancel your order.",
    );
}

#[test]
fn whenever_a_delivery_is_cancelled_the_member_is_told() {
    tells(DeliveryCancelled::sample(), member(), "The delivery of your order was cancelled.");
}

#[test]
fn a_notification_knows_what_it_is_about() {
    let scenario = Scenario::<Marketing>::given([Notified::sample().into()]);
    let about = scenario.state().as_ref().map(|told| (told.cause_id.as_str(), told.event_type.as_str()));
    assert_eq!(about, Some(("event-0", "PaymentCompleted")));
}
