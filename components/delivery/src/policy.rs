//! Whenever something happened elsewhere …

use crate::domain::{self, Command, Delivery, Refusal};
use contracts::{Event, ids::OrderId};
use kernel::{Context, Recorded};
use uuid::Uuid;

/// The context `delivery`.
pub struct Deliveries;

impl Context for Deliveries {
    const NAME: &'static str = "delivery";
    const SQL: &'static str = include_str!("../../../sql/delivery.sql");
    const CONSUMES: &'static [&'static str] = &["PaymentCompleted", "StockDecreased", "OrderCancelled"];
    const APPENDS: &'static [&'static str] = &["DeliveryRequested", "DeliveryCompleted", "DeliveryCancelled"];

    type State = Option<Delivery>;
    type Command = Command;
    type Refusal = Refusal;

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        recorded.event.order_id().cloned()
    }

    fn whenever(recorded: &Recorded, fresh: Uuid) -> Option<Command> {
        match &recorded.event {
            // … an order was paid: request its delivery.
            Event::PaymentCompleted(e) => Some(Command::Request {
                delivery_id: fresh.into(),
                order_id: e.order_id.clone(),
                member_id: e.member_id.clone(),
                address: e.address.clone(),
            }),
            // … an order was cancelled: cancel its delivery.
            Event::OrderCancelled(e) => Some(Command::Cancel { reason: e.reason.clone() }),
            _ => None,
        }
    }

    fn decide(delivery: &Option<Delivery>, command: Command) -> Result<Vec<Event>, Refusal> {
        domain::decide(delivery, command)
    }

    fn evolve(delivery: Option<Delivery>, recorded: &Recorded) -> Option<Delivery> {
        domain::evolve(delivery, recorded)
    }
}
