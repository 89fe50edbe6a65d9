//! Whenever anything happened to an order, its page shows it.

use crate::domain::{self, MyPage};
use contracts::{Event, ids::OrderId};
use kernel::{Context, Recorded};
use std::convert::Infallible;
use uuid::Uuid;

/// The context `customer-center`.
pub struct MyPages;

/// Its second self, which builds the pages anew while the first one goes on answering.
pub struct Rebuild;

/// Everything about an order.
const CONSUMES: &[&str] = &[
    "OrderPlaced",
    "OrderRejected",
    "OrderCancelled",
    "PaymentCompleted",
    "PaymentDeclined",
    "PaymentCancelled",
    "StockDecreased",
    "OutOfStock",
    "StockRestored",
    "DeliveryRequested",
    "DeliveryCompleted",
    "DeliveryCancelled",
    "Notified",
    "HandlingDelayed",
    "HandlingResumed",
];

/// A read model takes no commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {}

macro_rules! reads_everything {
    ($context:ty, $name:literal) => {
        impl Context for $context {
            const NAME: &'static str = $name;
            const SQL: &'static str = include_str!("../../../sql/customer_center.sql");
            const CONSUMES: &'static [&'static str] = CONSUMES;
            const APPENDS: &'static [&'static str] = &[];

            type State = Option<MyPage>;
            type Command = Command;
            type Refusal = Infallible;

            fn concerns(recorded: &Recorded) -> Option<OrderId> {
                recorded.event.order_id().cloned()
            }

            fn whenever(_: &Recorded, _: Uuid) -> Option<Command> {
                None
            }

            fn decide(_: &Option<MyPage>, command: Command) -> Result<Vec<Event>, Infallible> {
                match command {}
            }

            fn evolve(page: Option<MyPage>, recorded: &Recorded) -> Option<MyPage> {
                domain::evolve(page, recorded)
            }
        }
    };
}

reads_everything!(MyPages, "customer-center");
reads_everything!(Rebuild, "customer-center-rebuild");
