//! Whenever something happened elsewhere …

use crate::{
    domain::{self, Command, Payment, Refusal},
    gateway, store,
};
use contracts::{Event, ids::OrderId};
use kernel::{Context, Error, Kernel, Recorded, metrics::Sample};
use std::sync::Arc;
use uuid::Uuid;

/// The context `payment`.
pub struct Payments;

impl Context for Payments {
    const NAME: &'static str = "payment";
    const SQL: &'static str = include_str!("../../../sql/payment.sql");
    const CONSUMES: &'static [&'static str] = &["OrderCancelled", "OrderRejected"];
    const APPENDS: &'static [&'static str] = &["PaymentCompleted", "PaymentDeclined", "PaymentCancelled"];

    type State = Option<Payment>;
    type Command = Command;
    type Refusal = Refusal;

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        recorded.event.order_id().cloned()
    }

    fn whenever(recorded: &Recorded, _: Uuid) -> Option<Command> {
        match &recorded.event {
            // … the order was cancelled or rejected: give back what was charged. What was not will be refused.
            Event::OrderCancelled(e) => Some(Command::Cancel { reason: e.reason.clone() }),
            Event::OrderRejected(e) => Some(Command::Cancel { reason: Some(e.reason.clone()) }),
            _ => None,
        }
    }

    fn decide(payment: &Option<Payment>, command: Command) -> Result<Vec<Event>, Refusal> {
        domain::decide(payment, command)
    }

    fn evolve(payment: Option<Payment>, recorded: &Recorded) -> Option<Payment> {
        domain::evolve(payment, recorded)
    }

    fn samples(kernel: &Arc<Kernel<Self>>) -> impl Future<Output = Result<Vec<Sample>, Error>> + Send {
        store::samples(kernel)
    }

    /// … something is left to be done at the gateway: it is done now.
    fn settle(kernel: &Arc<Kernel<Self>>) -> impl Future<Output = Result<(), Error>> + Send {
        gateway::settle(kernel)
    }
}
