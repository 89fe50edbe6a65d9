//! Whenever something happened elsewhere …

use crate::{Products, domain::Command, store::ShelfKey};
use contracts::{
    Event, EventType, OutOfStock, PaymentCancelled, PaymentCompleted, ProductModified, ProductRegistered,
    StockDecreased, StockRestored,
};
use kernel::{Context, Recorded};
use uuid::Uuid;

impl Context for Products {
    const NAME: &'static str = "product";
    const SQL: &'static str = include_str!("../../../sql/product.sql");
    const CONSUMES: &'static [EventType] = &[PaymentCompleted::TYPE, PaymentCancelled::TYPE];
    const APPENDS: &'static [EventType] =
        &[ProductRegistered::TYPE, ProductModified::TYPE, StockDecreased::TYPE, OutOfStock::TYPE, StockRestored::TYPE];
    /// An order's events change the stock of its kit.
    const BY_SUBJECT: bool = false;

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
            Event::PaymentCancelled(e) => {
                Some(Command::Restore { order_id: e.order_id.clone(), product_id: e.product_id.clone() })
            }
            _ => None,
        }
    }
}
