//! Whenever something happened elsewhere …

use crate::{
    domain::{self, Command, Refusal, Shelf},
    store::ShelfKey,
};
use contracts::Event;
use kernel::{Context, Recorded};
use uuid::Uuid;

/// The context `product`.
pub struct Products;

impl Context for Products {
    const NAME: &'static str = "product";
    const SQL: &'static str = include_str!("../../../sql/product.sql");
    const CONSUMES: &'static [&'static str] = &["PaymentCompleted", "PaymentCancelled"];
    const APPENDS: &'static [&'static str] =
        &["ProductRegistered", "ProductModified", "StockDecreased", "OutOfStock", "StockRestored"];

    type State = Shelf;
    type Command = Command;
    type Refusal = Refusal;

    fn concerns(recorded: &Recorded) -> Option<ShelfKey> {
        match &recorded.event {
            Event::PaymentCompleted(e) => Some(ShelfKey::order(&e.product_id, &e.order_id)),
            Event::PaymentCancelled(e) => Some(ShelfKey::order(&e.product_id, &e.order_id)),
            _ => None,
        }
    }

    fn whenever(recorded: &Recorded, _: Uuid) -> Option<Command> {
        match &recorded.event {
            // … an order was paid: take its kits, or say that there are not enough.
            Event::PaymentCompleted(e) => Some(Command::Take {
                order_id: e.order_id.clone(),
                member_id: e.member_id.clone(),
                product_id: e.product_id.clone(),
                quantity: e.quantity,
            }),
            // … its payment was given back: give back what it took.
            Event::PaymentCancelled(_) => Some(Command::Restore),
            _ => None,
        }
    }

    fn decide(shelf: &Shelf, command: Command) -> Result<Vec<Event>, Refusal> {
        domain::decide(shelf, command)
    }

    fn evolve(shelf: Shelf, recorded: &Recorded) -> Shelf {
        domain::evolve(shelf, recorded)
    }
}
