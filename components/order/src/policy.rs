//! Whenever something happened elsewhere …

use crate::{
    domain::{self, Command, Desk, OUT_OF_STOCK, PAYMENT_UNAVAILABLE, Refusal},
    payment,
    store::{self, DeskKey},
};
use contracts::Event;
use kernel::{Context, Error, Failure, Kernel, Recorded, Trace, metrics::Sample};
use std::sync::Arc;
use uuid::Uuid;

/// The context `order`.
pub struct Orders;

impl Context for Orders {
    const NAME: &'static str = "order";
    const SQL: &'static str = include_str!("../../../sql/order.sql");
    const CONSUMES: &'static [&'static str] = &[
        "ProductRegistered",
        "ProductModified",
        "PaymentCompleted",
        "PaymentDeclined",
        "OutOfStock",
        "DeliveryRequested",
        "DeliveryCompleted",
        "DeliveryCancelled",
    ];
    const APPENDS: &'static [&'static str] = &["OrderPlaced", "OrderRejected", "OrderCancelled"];

    type State = Desk;
    type Command = Command;
    type Refusal = Refusal;

    fn concerns(recorded: &Recorded) -> Option<DeskKey> {
        match &recorded.event {
            Event::ProductRegistered(e) => Some(DeskKey::kit(&e.product_id)),
            Event::ProductModified(e) => Some(DeskKey::kit(&e.product_id)),
            event => event.order_id().map(DeskKey::order),
        }
    }

    fn whenever(recorded: &Recorded, _: Uuid) -> Option<Command> {
        match &recorded.event {
            // … the payment was declined: the order is rejected for the same reason.
            Event::PaymentDeclined(e) => Some(Command::Reject { reason: e.reason.clone() }),
            // … there were not enough kits: the order is cancelled, and with it its payment and its delivery.
            Event::OutOfStock(_) => Some(Command::Cancel { reason: Some(OUT_OF_STOCK.into()) }),
            _ => None,
        }
    }

    fn decide(desk: &Desk, command: Command) -> Result<Vec<Event>, Refusal> {
        domain::decide(desk, command)
    }

    fn evolve(desk: Desk, recorded: &Recorded) -> Desk {
        domain::evolve(desk, recorded)
    }

    async fn samples(kernel: &Arc<Kernel<Self>>) -> Result<Vec<Sample>, Error> {
        let mut samples = store::samples(kernel).await?;
        samples.extend(payment::samples(kernel).await);
        Ok(samples)
    }

    /// … an order has waited for its payment for too long (its request died on the way): it is rejected. If it was paid
    /// meanwhile, the log says so, and the rejection is refused.
    async fn settle(kernel: &Arc<Kernel<Self>>) -> Result<(), Error> {
        for order_id in store::overdue(kernel).await? {
            let command = Command::Reject { reason: PAYMENT_UNAVAILABLE.into() };
            match kernel.execute(&DeskKey::order(&order_id), command, &Trace::own(), None, None).await {
                // Perhaps it was paid, and that could not be worked off yet.
                Ok(_) | Err(Failure::Failed(Error::Delayed(_))) => {}
                Err(Failure::Refused(_) | Failure::Stale { .. } | Failure::KeyTaken) => {}
                Err(Failure::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
