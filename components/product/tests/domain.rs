//! What product decides: given these events, when this command, then those events.
#![allow(clippy::unwrap_used, reason = "tests")]

use contracts::{
    Event, OutOfStock, PaymentCancelled, PaymentCompleted, ProductModified, ProductRegistered, StockDecreased,
    StockRestored, samples::*,
};
use kernel::actor::Actor;
use kernel::testing::scenario::{Outcome, Scenario};
use product::{
    Products,
    domain::{Changes, Command, Refusal},
};

fn given<const N: usize>(events: [Event; N]) -> Scenario<Products> {
    Scenario::given(events)
}

/// A kit of which there are so many.
fn kit(stock: u32) -> Event {
    ProductRegistered { stock, ..ProductRegistered::sample() }.into()
}

fn register() -> Command {
    Command::Register(ProductRegistered::sample())
}

fn modify(changes: Changes) -> Command {
    Command::Modify { product_id: product_id(), by: Actor::System, changes }
}

fn restore() -> Command {
    Command::Restore { order_id: order_id(), product_id: product_id() }
}

/// What was registered, but for this.
fn modified(change: impl FnOnce(&mut ProductModified)) -> Event {
    let product = kit(ProductRegistered::sample().stock);
    let mut modified = given([product]).state().product.clone().map(|product| product.kit).unwrap();
    change(&mut modified);
    modified.into()
}

/// An order takes so many kits.
fn take(scenario: Scenario<Products>, quantity: u32) -> Outcome<Products> {
    scenario.when(Command::Take { order_id: order_id(), member_id: member_id(), product_id: product_id(), quantity })
}

fn taken(quantity: u32, stock: u32) -> Event {
    StockDecreased { quantity, stock, ..StockDecreased::sample() }.into()
}

fn missing(quantity: u32, stock: u32) -> Event {
    OutOfStock { quantity, stock, ..OutOfStock::sample() }.into()
}

fn restored(quantity: u32, stock: u32) -> Event {
    StockRestored { quantity, stock, ..StockRestored::sample() }.into()
}

// Register

#[test]
fn a_seller_registers_a_kit() {
    given([]).when(register()).then([ProductRegistered::sample().into()]);
}

#[test]
fn a_kit_is_registered_once() {
    given([kit(10)]).when(register()).then_refused(Refusal::Exists);
}

// Modify

#[test]
fn a_change_leaves_the_rest_as_it_is() {
    let dearer = modify(Changes { price: Some(15_000), ..Changes::default() });
    given([kit(10)]).when(dearer).then([modified(|kit| kit.price = 15_000)]);
}

#[test]
fn a_change_counts_from_the_stock_that_is_left() {
    let renamed = modify(Changes { name: Some("Bibimbap".into()), ..Changes::default() });
    given([kit(10), taken(2, 8)]).when(renamed).then([modified(|kit| {
        kit.name = "Bibimbap".into();
        kit.stock = 8;
    })]);
}

#[test]
fn everything_that_can_be_changed_can_be_changed_at_once() {
    let all = modify(Changes {
        name: Some("Bulgogi".into()),
        description: Some(Some("Beef".into())),
        price: Some(20_000),
        stock: Some(0),
        image_url: Some(None),
    });
    given([kit(10)]).when(all).then([modified(|kit| {
        kit.name = "Bulgogi".into();
        kit.description = Some("Beef".into());
        kit.price = 20_000;
        kit.stock = 0;
        kit.image_url = None;
    })]);
}

#[test]
fn a_description_and_a_picture_can_be_taken_away() {
    let bare = modify(Changes { description: Some(None), image_url: Some(None), ..Changes::default() });
    given([kit(10)]).when(bare).then([modified(|kit| {
        kit.description = None;
        kit.image_url = None;
    })]);
}

#[test]
fn a_change_to_what_it_is_already_changes_nothing() {
    let same = modify(Changes { price: Some(12_000), stock: Some(10), ..Changes::default() });
    given([kit(10)]).when(same).then_nothing().when(modify(Changes::default())).then_nothing();
}

#[test]
fn what_was_never_registered_cannot_be_changed() {
    given([]).when(modify(Changes::default())).then_refused(Refusal::Unknown);
}

// Take

#[test]
fn an_order_takes_its_kits() {
    take(given([kit(10)]), 2).then([taken(2, 8)]);
}

#[test]
fn an_order_may_take_the_last_kit() {
    let scenario = take(given([kit(2)]), 2).then([taken(2, 0)]);
    assert_eq!(scenario.state().product.as_ref().map(|product| product.kit.stock), Some(0));
}

#[test]
fn an_order_of_more_kits_than_there_are_takes_none() {
    let scenario = take(given([kit(1)]), 2).then([missing(2, 1)]);
    assert_eq!(scenario.state().product.as_ref().map(|product| product.kit.stock), Some(1));
}

#[test]
fn a_kit_that_nobody_registered_is_out_of_stock() {
    take(given([]), 2).then([missing(2, 0)]);
}

#[test]
fn an_order_takes_once() {
    take(given([kit(10), taken(2, 8)]), 2).then_nothing();
}

#[test]
fn an_order_that_gave_back_does_not_take_again() {
    take(given([kit(10), taken(2, 8), restored(2, 10)]), 2).then_nothing();
}

// Restore

#[test]
fn an_order_gives_back_what_it_took_whatever_became_of_the_stock_meanwhile() {
    let restocked = ProductModified { stock: 100, ..ProductModified::sample() };
    given([kit(10), taken(2, 8), restocked.into()]).when(restore()).then([restored(2, 102)]);
}

#[test]
fn an_order_gives_back_once() {
    given([kit(10), taken(2, 8), restored(2, 10)]).when(restore()).then_nothing();
}

#[test]
fn an_order_that_took_nothing_gives_nothing_back() {
    given([kit(1)]).when(restore()).then_nothing();
    given([kit(1), missing(2, 1)]).when(restore()).then_nothing();
    given([]).when(restore()).then_nothing();
}

// Whenever …

#[test]
fn whenever_an_order_is_paid_its_kits_are_taken() {
    given([kit(10)])
        .whenever(PaymentCompleted::sample())
        .then([taken(2, 8)])
        .whenever(PaymentCompleted::sample())
        .then_nothing();
}

#[test]
fn whenever_an_order_is_paid_and_there_are_not_enough_kits_it_says_so() {
    given([kit(1)]).whenever(PaymentCompleted::sample()).then([missing(2, 1)]);
}

#[test]
fn whenever_a_payment_is_cancelled_the_kits_come_back() {
    given([kit(10), taken(2, 8)])
        .whenever(PaymentCancelled::sample())
        .then([restored(2, 10)])
        .whenever(PaymentCancelled::sample())
        .then_nothing();
}
