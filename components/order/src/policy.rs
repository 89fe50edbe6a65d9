//! Whenever something happened elsewhere …

use crate::{
    Orders,
    domain::{Command, OUT_OF_STOCK, PAYMENT_UNAVAILABLE},
    payment,
    store::{self, DeskKey},
};
use contracts::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event, EventType, OrderCancelled, OrderPlaced,
    OrderRejected, OutOfStock, PaymentCompleted, PaymentDeclined, ProductModified, ProductRegistered,
};
use kernel::{Context, Error, Failure, Kernel, Recorded, Trace, actor::Actor, metrics::Sample};
use std::sync::Arc;
use uuid::Uuid;

impl Context for Orders {
    const NAME: &'static str = "order";
    const SQL: &'static str = include_str!("../../../sql/order.sql");
    const CONSUMES: &'static [EventType] = &[
        ProductRegistered::TYPE,
        ProductModified::TYPE,
        PaymentCompleted::TYPE,
        PaymentDeclined::TYPE,
        OutOfStock::TYPE,
        DeliveryRequested::TYPE,
        DeliveryCompleted::TYPE,
        DeliveryCancelled::TYPE,
    ];
    const APPENDS: &'static [EventType] = &[OrderPlaced::TYPE, OrderRejected::TYPE, OrderCancelled::TYPE];

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
            Event::PaymentDeclined(e) => {
                Some(Command::Reject { order_id: e.order_id.clone(), reason: e.reason.clone() })
            }
            // … there were not enough kits: the order is cancelled, and with it its payment and its delivery.
            Event::OutOfStock(e) => Some(Command::Cancel {
                order_id: e.order_id.clone(),
                by: Actor::System,
                reason: Some(OUT_OF_STOCK.into()),
            }),
            _ => None,
        }
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
            let command = Command::Reject { order_id, reason: PAYMENT_UNAVAILABLE.into() };
            match kernel.execute(command, &Trace::own()).await {
                // Perhaps it was paid, and that could not be worked off yet.
                Ok(_) | Err(Failure::Failed(Error::Delayed(_))) => {}
                Err(Failure::Refused(_) | Failure::Stale { .. } | Failure::KeyTaken | Failure::KeyReused) => {}
                Err(Failure::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
