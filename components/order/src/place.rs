//! Placing an order: no order without payment. It is placed, charged, and answered as what it has become.

use crate::{
    Orders,
    domain::{Command, Desk, Order, PAYMENT_UNAVAILABLE, Placement, Refusal, Status},
    payment,
    store::DeskKey,
};
use contracts::{
    charge::{CardNumber, ChargeRequest},
    ids::OrderId,
};
use kernel::{Attempt, Created, Failure, Kernel, Trace, Versioned};
use uuid::Uuid;

/// What has become of it.
pub struct Outcome {
    pub order: Versioned<Order>,
    /// If there was no payment: when to come back, in seconds.
    pub retry_after: u64,
}

/// Places an order, once for each idempotency key, and has it charged.
///
/// # Errors
/// [`Failure`]; there is no order then, or its request died on the way, and the next one with its key goes on.
pub async fn place(
    kernel: &Kernel<Orders>,
    placement: &Placement,
    card_number: &CardNumber,
    key: Option<&str>,
    trace: &Trace,
) -> Result<Outcome, Failure<Refusal>> {
    let mut earlier = None;
    loop {
        #[expect(clippy::disallowed_methods, reason = "the order begins here")]
        let order_id = OrderId::from(Uuid::now_v7());
        let attempt = key.map(|key| Attempt::new(trace, key, placement, order_id.as_str())).transpose()?;
        let attempt = attempt.map(|attempt| attempt.instead_of(earlier.take()));
        let command = Command::Place { order_id, placement: placement.clone() };
        match kernel.create(command, trace, attempt.as_ref()).await? {
            Created::Now(executed) => {
                // What follows is caused by the event, no longer by the request.
                let caused = executed.events.first().map(|event| trace.following(event));
                let order = order_of(executed.state)?;
                return pay(kernel, order, card_number, caused.as_ref().unwrap_or(trace)).await;
            }
            Created::Before(id) => {
                let order = answered(kernel, &OrderId::new(id)).await?;
                match (order.value.status, order.value.reason.as_deref()) {
                    // It was rejected for want of payment, which is no answer but "come back". So try anew.
                    (Status::Rejected, Some(PAYMENT_UNAVAILABLE)) => {
                        earlier = Some(order.value.placed.order_id.to_string())
                    }
                    // Its request died on the way, or is still on it.
                    (Status::Pending, _) => return pay(kernel, order, card_number, trace).await,
                    _ => return Ok(Outcome { order, retry_after: 1 }),
                }
            }
        }
    }
}

/// The order as its placement is answered, whenever that is: as it was when it was no longer pending for the first time.
async fn answered(kernel: &Kernel<Orders>, order_id: &OrderId) -> Result<Versioned<Order>, Failure<Refusal>> {
    let history = kernel.history(&DeskKey::order(order_id), order_id.as_str()).await?;
    let is_pending = |desk: &Desk| desk.order.as_ref().is_none_or(|order| order.status == Status::Pending);
    match history.into_iter().find(|desk| !is_pending(&desk.value)) {
        Some(desk) => order_of(desk),
        // It is pending, or that part of the log is archived.
        None => find(kernel, order_id).await,
    }
}

/// Has the order charged, and returns what has become of it according to the log: a payment that timed out may have been
/// completed all the same.
async fn pay(
    kernel: &Kernel<Orders>,
    order: Versioned<Order>,
    card_number: &CardNumber,
    trace: &Trace,
) -> Result<Outcome, Failure<Refusal>> {
    let order_id = order.value.placed.order_id.clone();
    let charge = ChargeRequest { order: order.value.placed, card_number: card_number.clone() };
    let retry_after = match payment::charge(kernel, &charge, trace).await {
        Ok(()) => 1,
        Err(unavailable) => unavailable.retry_after,
    };
    let mut order = answered(kernel, &order_id).await?;
    if order.value.status == Status::Pending {
        // The rejection is refused if a completed payment gets into the log first; then the order is paid.
        let command = Command::Reject { order_id: order_id.clone(), reason: PAYMENT_UNAVAILABLE.into() };
        kernel.execute(command, trace).await?;
        order = answered(kernel, &order_id).await?;
    }
    Ok(Outcome { order, retry_after })
}

/// The order with this id.
///
/// # Errors
/// [`Refusal::Unknown`], or when the database cannot be used.
pub async fn find(kernel: &Kernel<Orders>, order_id: &OrderId) -> Result<Versioned<Order>, Failure<Refusal>> {
    let order = kernel.find::<Order>(order_id).await?;
    order.ok_or(Failure::Refused(Refusal::Unknown))
}

/// The order on a desk.
///
/// # Errors
/// [`Refusal::Unknown`].
pub fn order_of(desk: Versioned<Desk>) -> Result<Versioned<Order>, Failure<Refusal>> {
    let Versioned { version, value } = desk;
    Ok(Versioned { version, value: value.order.ok_or(Failure::Refused(Refusal::Unknown))? })
}
