//! What a payment is, and when money moves. Pure.
//!
//! The gateway is another system: nothing commits there and here at once. So it is written down first that an order is to
//! be charged ([`request`]), and what is left to be done at the gateway stays written down until it is done (`cancel_due`).

use contracts::{
    Event, PaymentCancelled, PaymentCompleted, PaymentDeclined,
    charge::ChargeRequest,
    ids::{MemberId, OrderId, PaymentId, ProductId, SellerId},
};
use kernel::Recorded;
use serde::{Deserialize, Serialize};

/// How a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be charged: the gateway may have done it or not. Nobody sees such a payment.
    Requested,
    /// Charged.
    Completed,
    /// The gateway said no.
    Declined,
    /// Charged, and given back.
    Cancelled,
    /// The order was closed before anybody knew of a charge, so it will not be charged. Nobody sees such a payment.
    Refused,
}

/// What the gateway is asked to charge for: all that has to be told once it is done, and nothing of the card's number but
/// its last four digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The new payment's id.
    pub payment_id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// Who pays.
    pub member_id: MemberId,
    /// Who sells.
    pub seller_id: SellerId,
    /// What is paid for.
    pub product_id: ProductId,
    /// What it is called.
    pub product_name: String,
    /// How many.
    pub quantity: u32,
    /// How much, in KRW.
    pub amount: u64,
    /// Where to.
    pub address: String,
    /// The last four digits of the card: `**** 1111`.
    pub card: String,
    /// Whose card it is.
    pub card_owner: String,
}

impl Intent {
    /// To charge this order. The card's number stays behind.
    pub fn new(payment_id: PaymentId, charge: &ChargeRequest) -> Self {
        Self {
            payment_id,
            order_id: charge.order_id.clone(),
            member_id: charge.member_id.clone(),
            seller_id: charge.seller_id.clone(),
            product_id: charge.product_id.clone(),
            product_name: charge.product_name.clone(),
            quantity: charge.quantity,
            amount: charge.amount,
            address: charge.address.clone(),
            card: charge.card_number.masked(),
            card_owner: charge.card_owner.clone(),
        }
    }
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
    /// What is to be charged, until it is known what the gateway said.
    pub intent: Option<Intent>,
    /// Whether the gateway is still to be told that the order is not charged or gets its money back.
    pub cancel_due: bool,
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
        /// What was to be charged.
        intent: Box<Intent>,
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
        /// Why: `card_declined`, `limit_exceeded`, or what else the gateway calls it.
        reason: String,
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

/// The payment once it is written down that the order is to be charged; as it was, if that was done before.
///
/// # Errors
/// [`Refusal::OrderClosed`].
pub fn request(payment: &Option<Payment>, intent: &Intent, time: &str) -> Result<Option<Payment>, Refusal> {
    match payment {
        None => Ok(Some(Payment {
            payment_id: Some(intent.payment_id.clone()),
            product_id: Some(intent.product_id.clone()),
            amount: intent.amount,
            card: Some(intent.card.clone()),
            card_owner: Some(intent.card_owner.clone()),
            intent: Some(intent.clone()),
            ..Payment::of(&intent.order_id, &intent.member_id, Status::Requested, time)
        })),
        Some(payment) if payment.status == Status::Refused => Err(Refusal::OrderClosed),
        Some(payment) => Ok(Some(payment.clone())),
    }
}

/// What happens when the command is carried out.
///
/// # Errors
/// [`Refusal`].
pub fn decide(payment: &Option<Payment>, command: Command) -> Result<Vec<Event>, Refusal> {
    match (command, payment) {
        (Command::Record { intent, verdict }, None) => Ok(vec![recorded(*intent, verdict)]),
        (Command::Record { intent, verdict }, Some(payment)) => match payment.status {
            Status::Requested => Ok(vec![recorded(*intent, verdict)]),
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
    let time = &recorded.time;
    match (&recorded.event, payment) {
        (Event::PaymentCompleted(e), _) => Some(Payment {
            payment_id: Some(e.payment_id.clone()),
            product_id: Some(e.product_id.clone()),
            amount: e.amount,
            approval_number: Some(e.approval_number.clone()),
            card: Some(e.card.clone()),
            card_owner: Some(e.card_owner.clone()),
            ..Payment::of(&e.order_id, &e.member_id, Status::Completed, time)
        }),
        (Event::PaymentDeclined(e), _) => Some(Payment {
            payment_id: Some(e.payment_id.clone()),
            product_id: Some(e.product_id.clone()),
            amount: e.amount,
            card: Some(e.card.clone()),
            card_owner: Some(e.card_owner.clone()),
            reason: Some(e.reason.clone()),
            ..Payment::of(&e.order_id, &e.member_id, Status::Declined, time)
        }),
        (Event::PaymentCancelled(e), Some(payment)) => Some(Payment {
            status: Status::Cancelled,
            reason: e.reason.clone(),
            cancel_due: true,
            updated_at: time.clone(),
            ..payment
        }),
        (Event::OrderCancelled(e), payment) => refused(payment, &e.order_id, &e.member_id, e.reason.clone(), time),
        (Event::OrderRejected(e), payment) => refused(payment, &e.order_id, &e.member_id, Some(e.reason.clone()), time),
        (_, payment) => payment,
    }
}

/// A closed order is charged no more. Where the gateway was asked already, it has to be told.
fn refused(
    payment: Option<Payment>,
    order_id: &OrderId,
    member_id: &MemberId,
    reason: Option<String>,
    time: &str,
) -> Option<Payment> {
    match payment {
        None => Some(Payment { reason, ..Payment::of(order_id, member_id, Status::Refused, time) }),
        Some(payment) if payment.status == Status::Requested => Some(Payment {
            status: Status::Refused,
            reason,
            intent: None,
            cancel_due: true,
            updated_at: time.to_owned(),
            ..payment
        }),
        // What was charged is given back by an event of its own.
        payment => payment,
    }
}

fn recorded(intent: Intent, verdict: Verdict) -> Event {
    match verdict {
        Verdict::Approved { approval_number } => PaymentCompleted {
            payment_id: intent.payment_id,
            order_id: intent.order_id,
            member_id: intent.member_id,
            seller_id: intent.seller_id,
            product_id: intent.product_id,
            product_name: intent.product_name,
            quantity: intent.quantity,
            amount: intent.amount,
            address: intent.address,
            card: intent.card,
            card_owner: intent.card_owner,
            approval_number,
        }
        .into(),
        Verdict::Declined { reason } => PaymentDeclined {
            payment_id: intent.payment_id,
            order_id: intent.order_id,
            member_id: intent.member_id,
            product_id: intent.product_id,
            amount: intent.amount,
            card: intent.card,
            card_owner: intent.card_owner,
            reason,
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

impl Payment {
    /// A payment of which nothing more is known.
    fn of(order_id: &OrderId, member_id: &MemberId, status: Status, time: &str) -> Self {
        Self {
            order_id: order_id.clone(),
            payment_id: None,
            member_id: member_id.clone(),
            product_id: None,
            amount: 0,
            status,
            approval_number: None,
            card: None,
            card_owner: None,
            reason: None,
            intent: None,
            cancel_due: false,
            created_at: time.to_owned(),
            updated_at: time.to_owned(),
        }
    }
}
