//! What a delivery is, and what may become of it. Pure.

use crate::Deliveries;
use contracts::{
    DeliveryAssigned, DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event,
    ids::{DeliveryId, MemberId, OrderId},
};
use kernel::{
    Decider, Recorded,
    actor::{Actor, Role},
};
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
    /// Who brings it, if that is known.
    #[serde(default)]
    pub courier_id: Option<MemberId>,
    pub status: Status,
    /// Whether the kits were taken from the stock: no kit, no delivery.
    pub stocked: bool,
    pub created_at: String,
    pub updated_at: String,
}

impl Delivery {
    /// Whether the actor is who brings it, or who gets it.
    fn is_brought_between(&self, actor: &Actor) -> bool {
        let is_courier = self.courier_id.is_some() && actor.delivers_as() == self.courier_id.as_ref();
        is_courier || actor.is_member(&self.member_id)
    }

    /// Whether it is this actor's business: of whoever brings or gets it, and of whoever runs the shop.
    pub fn is_shown_to(&self, actor: &Actor) -> bool {
        self.is_brought_between(actor) || actor.runs_the_shop()
    }
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
    Complete {
        order_id: OrderId,
        /// Who says so.
        by: Actor,
        reason: Option<String>,
    },
    /// A courier is to bring it.
    Assign { order_id: OrderId, courier_id: MemberId },
    /// The order was cancelled.
    Cancel { order_id: OrderId, reason: Option<String> },
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such delivery")]
    Unknown,
    /// It is not theirs, so they say why.
    #[error("an operator says why")]
    Unexplained,
    #[error("the member has it already")]
    Completed,
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
            Command::Request { order_id, .. }
            | Command::Complete { order_id, .. }
            | Command::Assign { order_id, .. }
            | Command::Cancel { order_id, .. } => order_id.clone(),
        }
    }

    fn decide(delivery: &Option<Delivery>, command: Command) -> Result<Vec<Event>, Refusal> {
        match (command, delivery) {
            (Command::Request { delivery_id, order_id, member_id, address }, None) => {
                Ok(vec![DeliveryRequested { delivery_id, order_id, member_id, address }.into()])
            }
            // Requested before, or cancelled before it was requested.
            (Command::Request { .. }, Some(_)) | (Command::Cancel { .. }, None) => Ok(vec![]),
            (Command::Complete { .. } | Command::Assign { .. }, None) => Err(Refusal::Unknown),
            (Command::Assign { courier_id, .. }, Some(delivery)) => {
                let delivery_id = delivery.delivery_id.clone().ok_or(Refusal::Unknown)?;
                match delivery.status {
                    Status::Completed => Err(Refusal::Completed),
                    Status::Cancelled => Err(Refusal::Cancelled),
                    Status::Requested if delivery.courier_id.as_ref() == Some(&courier_id) => Ok(vec![]),
                    Status::Requested => {
                        let order_id = delivery.order_id.clone();
                        Ok(vec![DeliveryAssigned { delivery_id, order_id, courier_id }.into()])
                    }
                }
            }
            (Command::Complete { by, reason, .. }, Some(delivery)) => {
                if !delivery.is_shown_to(&by) {
                    return Err(Refusal::Unknown);
                }
                if by.is(Role::Operator) && !delivery.is_brought_between(&by) && reason.is_none() {
                    return Err(Refusal::Unexplained);
                }
                let delivery_id = delivery.delivery_id.clone().ok_or(Refusal::Unknown)?;
                match delivery.status {
                    Status::Completed => Ok(vec![]),
                    Status::Cancelled => Err(Refusal::Cancelled),
                    Status::Requested if !delivery.stocked => Err(Refusal::NotStocked),
                    Status::Requested => {
                        let (order_id, member_id) = (delivery.order_id.clone(), delivery.member_id.clone());
                        Ok(vec![DeliveryCompleted { delivery_id, order_id, member_id, reason }.into()])
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
                courier_id: None,
                status: Status::Requested,
                stocked: false,
                created_at: time.clone(),
                updated_at: time,
            }),
            (Event::StockDecreased(_), Some(delivery)) => Some(Delivery { stocked: true, ..delivery }),
            (Event::DeliveryAssigned(e), Some(delivery)) => {
                Some(Delivery { courier_id: Some(e.courier_id.clone()), updated_at: time, ..delivery })
            }
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
                courier_id: None,
                status: Status::Cancelled,
                stocked: false,
                created_at: time.clone(),
                updated_at: time,
            }),
            (_, delivery) => delivery,
        }
    }
}
