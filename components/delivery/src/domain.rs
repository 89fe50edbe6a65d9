//! What a delivery is, and what may become of it. Pure.

use crate::Deliveries;
use contracts::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event,
    ids::{DeliveryId, MemberId, OrderId},
};
use kernel::{Decider, Recorded};
use serde::{Deserialize, Serialize};

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// On its way.
    Requested,
    /// The member has it.
    Completed,
    /// It will not happen.
    Cancelled,
}

/// The delivery of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub order_id: OrderId,
    /// Its id; none when the order was cancelled before anything was requested.
    pub delivery_id: Option<DeliveryId>,
    /// Who gets it.
    pub member_id: MemberId,
    pub address: String,
    pub status: Status,
    /// Whether the kits were taken from the stock: no kit, no delivery.
    pub stocked: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// What the context can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The order was paid: deliver it.
    Request {
        delivery_id: DeliveryId,
        order_id: OrderId,
        /// Who gets it.
        member_id: MemberId,
        address: String,
    },
    /// The member has it.
    Complete { order_id: OrderId },
    /// The order was cancelled.
    Cancel { order_id: OrderId, reason: Option<String> },
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such delivery")]
    Unknown,
    /// The kits are not there yet.
    #[error("the kits were not taken from the stock yet")]
    NotStocked,
    #[error("the order was cancelled, so there is nothing to deliver")]
    Cancelled,
}

impl Decider for Deliveries {
    type State = Option<Delivery>;
    type Command = Command;
    type Refusal = Refusal;

    fn target(command: &Command) -> OrderId {
        match command {
            Command::Request { order_id, .. } | Command::Complete { order_id } | Command::Cancel { order_id, .. } => {
                order_id.clone()
            }
        }
    }

    fn decide(delivery: &Option<Delivery>, command: Command) -> Result<Vec<Event>, Refusal> {
        match (command, delivery) {
            (Command::Request { delivery_id, order_id, member_id, address }, None) => {
                Ok(vec![DeliveryRequested { delivery_id, order_id, member_id, address }.into()])
            }
            // Requested before, or cancelled before it was requested.
            (Command::Request { .. }, Some(_)) | (Command::Cancel { .. }, None) => Ok(vec![]),
            (Command::Complete { .. }, None) => Err(Refusal::Unknown),
            (Command::Complete { .. }, Some(delivery)) => {
                let delivery_id = delivery.delivery_id.clone().ok_or(Refusal::Unknown)?;
                match delivery.status {
                    Status::Completed => Ok(vec![]),
                    Status::Cancelled => Err(Refusal::Cancelled),
                    Status::Requested if !delivery.stocked => Err(Refusal::NotStocked),
                    Status::Requested => {
                        let (order_id, member_id) = (delivery.order_id.clone(), delivery.member_id.clone());
                        Ok(vec![DeliveryCompleted { delivery_id, order_id, member_id }.into()])
                    }
                }
            }
            (Command::Cancel { reason, .. }, Some(delivery)) => match (delivery.status, delivery.delivery_id.clone()) {
                (Status::Requested, Some(delivery_id)) => {
                    let (order_id, member_id) = (delivery.order_id.clone(), delivery.member_id.clone());
                    Ok(vec![DeliveryCancelled { delivery_id, order_id, member_id, reason }.into()])
                }
                _ => Ok(vec![]),
            },
        }
    }

    fn evolve(delivery: Option<Delivery>, recorded: &Recorded) -> Option<Delivery> {
        let time = recorded.time.clone();
        match (&recorded.event, delivery) {
            (Event::DeliveryRequested(e), _) => Some(Delivery {
                order_id: e.order_id.clone(),
                delivery_id: Some(e.delivery_id.clone()),
                member_id: e.member_id.clone(),
                address: e.address.clone(),
                status: Status::Requested,
                stocked: false,
                created_at: time.clone(),
                updated_at: time,
            }),
            (Event::StockDecreased(_), Some(delivery)) => Some(Delivery { stocked: true, ..delivery }),
            (Event::DeliveryCompleted(_), Some(delivery)) => {
                Some(Delivery { status: Status::Completed, updated_at: time, ..delivery })
            }
            (Event::DeliveryCancelled(_), Some(delivery)) => {
                Some(Delivery { status: Status::Cancelled, updated_at: time, ..delivery })
            }
            // Cancelled before anything was requested: remember it, so that nothing will be.
            (Event::OrderCancelled(e), None) => Some(Delivery {
                order_id: e.order_id.clone(),
                delivery_id: None,
                member_id: e.member_id.clone(),
                address: String::new(),
                status: Status::Cancelled,
                stocked: false,
                created_at: time.clone(),
                updated_at: time,
            }),
            (_, delivery) => delivery,
        }
    }
}
