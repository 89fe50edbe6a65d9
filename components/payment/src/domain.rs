//! What a payment is, and when money moves. Pure.

use contracts::{
    Event, PaymentCancelled, PaymentCompleted, PaymentDeclined,
    charge::ChargeRequest,
    ids::{MemberId, OrderId, PaymentId, ProductId},
};
use kernel::Recorded;
use serde::{Deserialize, Serialize};

/// How a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Charged.
    Completed,
    /// The gateway said no.
    Declined,
    /// Charged, and given back.
    Cancelled,
    /// The order was closed before it was charged, so it never will be. Nobody sees such a payment.
    Refused,
}

/// The payment of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The order.
    pub order_id: OrderId,
    /// Its id; none when it was refused.
    pub payment_id: Option<PaymentId>,
    /// Who pays.
    pub member_id: MemberId,
    /// What is paid for.
    pub product_id: Option<ProductId>,
    /// How much, in KRW.
    pub amount: u64,
    /// How it stands.
    pub status: Status,
    /// The gateway's receipt.
    pub approval_number: Option<String>,
    /// The last four digits of the card: `**** 1111`.
    pub card: Option<String>,
    /// Whose card it is.
    pub card_owner: Option<String>,
    /// Why it was declined or cancelled.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

/// What the context can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Write down what the gateway said to a charge.
    Record {
        /// The new payment's id.
        payment_id: PaymentId,
        /// What was to be charged. The card's number stays behind.
        charge: Box<ChargeRequest>,
        /// What the gateway said.
        verdict: Verdict,
    },
    /// The order came to nothing: give back what was charged.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
}

/// What the gateway says to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money is ours.
    Approved {
        /// The receipt.
        approval_number: String,
    },
    /// It is not.
    Declined {
        /// Why: `card_declined` or `limit_exceeded`.
        reason: &'static str,
    },
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such payment.
    #[error("there is no such payment")]
    Unknown,
    /// The order was closed.
    #[error("the order is closed, so it is not charged")]
    OrderClosed,
}

/// What happens when the command is carried out.
///
/// # Errors
/// [`Refusal`].
pub fn decide(payment: &Option<Payment>, command: Command) -> Result<Vec<Event>, Refusal> {
    match (command, payment) {
        (Command::Record { payment_id, charge, verdict }, None) => Ok(vec![recorded(payment_id, *charge, verdict)]),
        (Command::Record { .. }, Some(payment)) => match payment.status {
            Status::Refused => Err(Refusal::OrderClosed),
            // An order is charged once.
            Status::Completed | Status::Declined | Status::Cancelled => Ok(vec![]),
        },
        (Command::Cancel { reason }, Some(payment)) => Ok(cancelled(payment, reason).into_iter().collect()),
        (Command::Cancel { .. }, None) => Ok(vec![]),
    }
}

/// The payment after an event.
pub fn evolve(payment: Option<Payment>, recorded: &Recorded) -> Option<Payment> {
    let time = recorded.time.clone();
    match (&recorded.event, payment) {
        (Event::PaymentCompleted(e), _) => Some(Payment {
            order_id: e.order_id.clone(),
            payment_id: Some(e.payment_id.clone()),
            member_id: e.member_id.clone(),
            product_id: Some(e.product_id.clone()),
            amount: e.amount,
            status: Status::Completed,
            approval_number: Some(e.approval_number.clone()),
            card: Some(e.card.clone()),
            card_owner: Some(e.card_owner.clone()),
            reason: None,
            created_at: time.clone(),
            updated_at: time,
        }),
        (Event::PaymentDeclined(e), _) => Some(Payment {
            order_id: e.order_id.clone(),
            payment_id: Some(e.payment_id.clone()),
            member_id: e.member_id.clone(),
            product_id: Some(e.product_id.clone()),
            amount: e.amount,
            status: Status::Declined,
            approval_number: None,
            card: Some(e.card.clone()),
            card_owner: Some(e.card_owner.clone()),
            reason: Some(e.reason.clone()),
            created_at: time.clone(),
            updated_at: time,
        }),
        (Event::PaymentCancelled(e), Some(payment)) => {
            Some(Payment { status: Status::Cancelled, reason: e.reason.clone(), updated_at: time, ..payment })
        }
        (Event::OrderCancelled(e), None) => Some(refused(&e.order_id, &e.member_id, e.reason.clone(), time)),
        (Event::OrderRejected(e), None) => Some(refused(&e.order_id, &e.member_id, Some(e.reason.clone()), time)),
        (_, payment) => payment,
    }
}

fn recorded(payment_id: PaymentId, charge: ChargeRequest, verdict: Verdict) -> Event {
    let card = charge.card_number.masked();
    match verdict {
        Verdict::Approved { approval_number } => PaymentCompleted {
            payment_id,
            order_id: charge.order_id,
            member_id: charge.member_id,
            seller_id: charge.seller_id,
            product_id: charge.product_id,
            product_name: charge.product_name,
            quantity: charge.quantity,
            amount: charge.amount,
            address: charge.address,
            card,
            card_owner: charge.card_owner,
            approval_number,
        }
        .into(),
        Verdict::Declined { reason } => PaymentDeclined {
            payment_id,
            order_id: charge.order_id,
            member_id: charge.member_id,
            product_id: charge.product_id,
            amount: charge.amount,
            card,
            card_owner: charge.card_owner,
            reason: reason.into(),
        }
        .into(),
    }
}

/// Only what was charged is given back, and only once.
fn cancelled(payment: &Payment, reason: Option<String>) -> Option<Event> {
    let (Status::Completed, Some(payment_id), Some(product_id)) =
        (payment.status, payment.payment_id.clone(), payment.product_id.clone())
    else {
        return None;
    };
    let (order_id, member_id) = (payment.order_id.clone(), payment.member_id.clone());
    Some(PaymentCancelled { payment_id, order_id, member_id, product_id, amount: payment.amount, reason }.into())
}

fn refused(order_id: &OrderId, member_id: &MemberId, reason: Option<String>, time: String) -> Payment {
    Payment {
        order_id: order_id.clone(),
        payment_id: None,
        member_id: member_id.clone(),
        product_id: None,
        amount: 0,
        status: Status::Refused,
        approval_number: None,
        card: None,
        card_owner: None,
        reason,
        created_at: time.clone(),
        updated_at: time,
    }
}
