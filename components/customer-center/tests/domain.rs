//! What my page shows: given these events, then that page.
#![allow(clippy::unwrap_used, reason = "tests")]

use contracts::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event, EventType, HandlingDelayed, HandlingResumed,
    Notified, OrderCancelled, OrderPlaced, OrderRejected, OutOfStock, PaymentCancelled, PaymentCompleted,
    PaymentDeclined, StockDecreased, StockRestored, samples::*,
};
use customer_center::{
    MyPages,
    domain::{Entry, MyPage},
};
use kernel::{Context, testing::scenario::Scenario};

/// The page after these events.
fn page<const N: usize>(events: [Event; N]) -> MyPage {
    Scenario::<MyPages>::given(events).state().clone().unwrap()
}

/// How order, payment and delivery stand on it.
fn statuses(page: &MyPage) -> (&str, Option<&str>, Option<&str>) {
    (&page.order_status, page.payment_status.as_deref(), page.delivery_status.as_deref())
}

#[test]
fn a_page_begins_with_the_order() {
    let expected = MyPage {
        order_id: order_id(),
        member_id: member_id(),
        product_id: product_id(),
        product_name: "Bibimbap for two".into(),
        quantity: 2,
        amount: 24_000,
        address: "1 Sejong-daero, Seoul".into(),
        card: None,
        order_status: "pending".into(),
        payment_status: None,
        delivery_status: None,
        timeline: vec![Entry {
            seq: 1,
            event_type: "OrderPlaced".into(),
            at: "2026-01-01T00:00:01.000Z".into(),
            delays: 0,
        }],
        updated_at: "2026-01-01T00:00:01.000Z".into(),
    };
    assert_eq!(page([OrderPlaced::sample().into()]), expected);
}

#[test]
fn a_page_follows_the_order_to_the_door() {
    let placed: Event = OrderPlaced::sample().into();
    let [paid, taken]: [Event; 2] = [PaymentCompleted::sample().into(), StockDecreased::sample().into()];
    let [requested, delivered]: [Event; 2] = [DeliveryRequested::sample().into(), DeliveryCompleted::sample().into()];
    let so_far = page([placed.clone(), paid.clone()]);
    assert_eq!(statuses(&so_far), ("paid", Some("completed"), None));
    assert_eq!(so_far.card.as_deref(), Some("**** 1111"));
    let so_far = page([placed.clone(), paid.clone(), taken.clone(), requested.clone()]);
    assert_eq!(statuses(&so_far), ("delivery_requested", Some("completed"), Some("requested")));
    let so_far = page([placed, paid, taken, requested, delivered]);
    assert_eq!(statuses(&so_far), ("delivered", Some("completed"), Some("completed")));
}

#[test]
fn a_page_shows_that_everything_was_undone() {
    let undone = page([
        OrderPlaced::sample().into(),
        PaymentCompleted::sample().into(),
        DeliveryRequested::sample().into(),
        OrderCancelled::sample().into(),
        PaymentCancelled::sample().into(),
        StockRestored::sample().into(),
        DeliveryCancelled::sample().into(),
    ]);
    assert_eq!(statuses(&undone), ("cancelled", Some("cancelled"), Some("cancelled")));
}

#[test]
fn a_page_shows_a_declined_card() {
    let declined =
        page([OrderPlaced::sample().into(), PaymentDeclined::sample().into(), OrderRejected::sample().into()]);
    assert_eq!(statuses(&declined), ("rejected", Some("declined"), None));
    assert_eq!(declined.card.as_deref(), Some("**** 1111"));
}

#[test]
fn a_cancelled_order_stays_cancelled_whatever_comes_late() {
    let late = page([
        OrderPlaced::sample().into(),
        PaymentCompleted::sample().into(),
        OrderCancelled::sample().into(),
        DeliveryRequested::sample().into(),
        DeliveryCancelled::sample().into(),
    ]);
    assert_eq!(statuses(&late), ("cancelled", Some("completed"), Some("cancelled")));
}

#[test]
fn the_timeline_has_everything_in_order() {
    let page = page([
        OrderPlaced::sample().into(),
        PaymentCompleted::sample().into(),
        Notified::sample().into(),
        OutOfStock::sample().into(),
        OrderCancelled::sample().into(),
    ]);
    let timeline: Vec<_> = page.timeline.iter().map(|entry| (entry.seq, entry.event_type.as_str())).collect();
    assert_eq!(
        timeline,
        [(1, "OrderPlaced"), (2, "PaymentCompleted"), (3, "Notified"), (4, "OutOfStock"), (5, "OrderCancelled")]
    );
    assert_eq!(page.updated_at, "2026-01-01T00:00:05.000Z");
}

#[test]
fn there_is_no_page_before_there_is_an_order() {
    assert_eq!(*Scenario::<MyPages>::given([PaymentCompleted::sample().into()]).state(), None);
}

#[test]
fn a_page_reads_everything_about_an_order_and_decides_nothing() {
    for event in all().into_iter().filter(|event| event.order_id().is_some()) {
        assert!(EventType::find(MyPages::CONSUMES, event.name()).is_some(), "{}", event.name());
        Scenario::<MyPages>::given([OrderPlaced::sample().into()]).whenever(event).then_nothing();
    }
}

#[test]
fn what_is_delayed_is_shown_where_it_happened_until_it_goes_on() {
    let delays = |scenario: &Scenario<MyPages>| -> Vec<i32> {
        scenario.state().as_ref().unwrap().timeline.iter().map(|entry| entry.delays).collect()
    };
    let delayed = |context: &str| HandlingDelayed { context: context.into(), sequence: 2, ..HandlingDelayed::sample() };
    let resumed = |context: &str| HandlingResumed { context: context.into(), sequence: 2, ..HandlingResumed::sample() };
    let given = |events: Vec<Event>| {
        Scenario::<MyPages>::given(
            [vec![OrderPlaced::sample().into(), PaymentCompleted::sample().into()], events].concat(),
        )
    };
    assert_eq!(delays(&given(vec![delayed("product").into(), delayed("delivery").into()])), [0, 2, 0, 0]);
    let one = given(vec![delayed("product").into(), delayed("delivery").into(), resumed("product").into()]);
    assert_eq!(delays(&one), [0, 1, 0, 0, 0]);
    assert_eq!(delays(&given(vec![delayed("product").into(), resumed("product").into()])), [0, 0, 0, 0]);
}
