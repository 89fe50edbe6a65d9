//! What a payment is, and when money moves. Pure.
//!
//! The gateway is another system: nothing commits there and here at once. What is to be charged stands in the log before
//! the gateway is asked (`OrderPlaced`), and what is left to be done there stays written down until it is done
//! (`cancel_due`).

use crate::Payments;
use contracts::{
    Event, OrderPlaced, PaymentCancelled,
    ids::{MemberId, OrderId, PaymentId, ProductId},
};
use kernel::{Decider, Recorded, actor::Actor};
use serde::{Deserialize, Serialize};

/// How a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be charged: the gateway may have done it or not. Only builds before 0.2 wrote that down; no list shows it.
    Requested,
    /// Charged.
    Completed,
    /// The gateway said no.
    Declined,
    /// Charged, and given back.
    Cancelled,
    /// The order was closed before anybody knew of a charge, so it will not be charged. No list shows it.
    Refused,
}

/// The payment of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub order_id: OrderId,
    /// Its id; none when it was refused.
    pub payment_id: Option<PaymentId>,
    /// Who pays.
    pub member_id: MemberId,
    /// What is paid for.
    pub product_id: Option<ProductId>,
    /// How much, in KRW.
    pub amount: u64,
    pub status: Status,
    /// The gateway's receipt.
    pub approval_number: Option<String>,
    /// The last four digits of the card: `**** 1111`.
    pub card: Option<String>,
    pub card_owner: Option<String>,
    /// Why it was declined or cancelled.
    pub reason: Option<String>,
    /// Whether the gateway is still to be told that the order is not charged or gets its money back.
    pub cancel_due: bool,
    pub created_at: String,
    pub updated_at: String,
}

impl Payment {
    /// Whether it is this actor's business: of whoever pays, and of whoever runs the shop.
    pub fn is_shown_to(&self, actor: &Actor) -> bool {
        actor.is_member(&self.member_id) || actor.runs_the_shop()
    }
}

/// What the context can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Write down what the gateway said to a charge.
    Record { order: Box<OrderPlaced>, verdict: Verdict },
    /// The order came to nothing: give back what was charged.
    Cancel { order_id: OrderId, reason: Option<String> },
}

/// What the gateway says to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money is ours.
    Approved { approval_number: String },
    /// It is not.
    Declined {
        /// Why: `card_declined`, `limit_exceeded`, or what else the gateway calls it.
        reason: String,
    },
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such payment")]
    Unknown,
    #[error("the order is closed, so it is not charged")]
    OrderClosed,
}

/// What a charge has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// To ask the gateway.
    Open,
    /// Nothing: the gateway has spoken.
    Done,
}

/// Whether the order is still to be charged.
///
/// # Errors
/// [`Refusal::OrderClosed`].
pub fn charge(payment: &Option<Payment>) -> Result<Charge, Refusal> {
    match payment.as_ref().map(|payment| payment.status) {
        None | Some(Status::Requested) => Ok(Charge::Open),
        Some(Status::Refused) => Err(Refusal::OrderClosed),
        Some(Status::Completed | Status::Declined | Status::Cancelled) => Ok(Charge::Done),
    }
}

/// The payment when the gateway is to be told to cancel: perhaps it was told before it charged, so it is told again.
pub fn cancel_is_due(payment: Option<Payment>) -> Option<Payment> {
    payment.map(|payment| Payment { cancel_due: true, ..payment })
}

/// The payment when the gateway has cancelled.
pub fn is_cancelled_there(payment: Option<Payment>) -> Option<Payment> {
    payment.map(|payment| Payment { cancel_due: false, ..payment })
}

impl Decider for Payments {
    type State = Option<Payment>;
    type Command = Command;
    type Refusal = Refusal;

    fn target(command: &Command) -> OrderId {
        match command {
            Command::Record { order, .. } => order.order_id.clone(),
            Command::Cancel { order_id, .. } => order_id.clone(),
        }
    }

    fn decide(payment: &Option<Payment>, command: Command) -> Result<Vec<Event>, Refusal> {
        match command {
            // An order is charged once.
            Command::Record { order, verdict } => Ok(match charge(payment)? {
                Charge::Open => vec![recorded(with_card(*order, payment.as_ref()), verdict)],
                Charge::Done => vec![],
            }),
            Command::Cancel { reason, .. } => {
                Ok(payment.as_ref().and_then(|payment| cancelled(payment, reason)).into_iter().collect())
            }
        }
    }

    fn evolve(payment: Option<Payment>, recorded: &Recorded) -> Option<Payment> {
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
            (Event::OrderRejected(e), payment) => {
                refused(payment, &e.order_id, &e.member_id, Some(e.reason.clone()), time)
            }
            (_, payment) => payment,
        }
    }
}

/// A closed order is charged no more, and the gateway is told: perhaps it was asked already, and nobody got its answer.
fn refused(
    payment: Option<Payment>,
    order_id: &OrderId,
    member_id: &MemberId,
    reason: Option<String>,
    time: &str,
) -> Option<Payment> {
    match charge(&payment) {
        Ok(Charge::Open) => {
            Some(Payment { reason, cancel_due: true, ..Payment::of(order_id, member_id, Status::Refused, time) })
        }
        // What was charged is given back by an event of its own.
        Ok(Charge::Done) | Err(_) => payment,
    }
}

/// The order with what is known of its card: builds before 0.2 kept that in the payment.
fn with_card(order: OrderPlaced, payment: Option<&Payment>) -> OrderPlaced {
    let card = order.card.or_else(|| payment?.card.clone());
    let card_owner = order.card_owner.or_else(|| payment?.card_owner.clone());
    OrderPlaced { card, card_owner, ..order }
}

fn recorded(order: OrderPlaced, verdict: Verdict) -> Event {
    let payment_id = PaymentId::of(&order.order_id);
    match verdict {
        Verdict::Approved { approval_number } => order.paid(payment_id, approval_number).into(),
        Verdict::Declined { reason } => order.declined(payment_id, reason).into(),
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
            cancel_due: false,
            created_at: time.to_owned(),
            updated_at: time.to_owned(),
        }
    }
}
