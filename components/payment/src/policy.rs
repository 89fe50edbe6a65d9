//! Whenever something happened elsewhere …

use crate::{Payments, domain::Command, settle, store};
use contracts::{
    Event, EventType, OrderCancelled, OrderRejected, PaymentCancelled, PaymentCompleted, PaymentDeclined, ids::OrderId,
};
use kernel::{Context, Error, Kernel, Recorded, metrics::Sample};
use std::sync::Arc;
use uuid::Uuid;

impl Context for Payments {
    const NAME: &'static str = "payment";
    const SQL: &'static str = include_str!("../../../sql/payment.sql");
    const CONSUMES: &'static [EventType] = &[OrderCancelled::TYPE, OrderRejected::TYPE];
    const APPENDS: &'static [EventType] = &[PaymentCompleted::TYPE, PaymentDeclined::TYPE, PaymentCancelled::TYPE];

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        recorded.event.order_id().cloned()
    }

    fn whenever(recorded: &Recorded, _: Uuid) -> Option<Command> {
        match &recorded.event {
            // … the order was cancelled or rejected: give back what was charged. What was not will be refused.
            Event::OrderCancelled(e) => {
                Some(Command::Cancel { order_id: e.order_id.clone(), reason: e.reason.clone() })
            }
            Event::OrderRejected(e) => {
                Some(Command::Cancel { order_id: e.order_id.clone(), reason: Some(e.reason.clone()) })
            }
            _ => None,
        }
    }

    fn samples(kernel: &Arc<Kernel<Self>>) -> impl Future<Output = Result<Vec<Sample>, Error>> + Send {
        store::samples(kernel)
    }

    /// … something is left to be done at the gateway: it is done now.
    fn settle(kernel: &Arc<Kernel<Self>>) -> impl Future<Output = Result<(), Error>> + Send {
        settle::settle(kernel)
    }
}
