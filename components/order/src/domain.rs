//! What an order is, and what may become of it. Pure.

use crate::{Orders, store::DeskKey};
use contracts::{
    Event, OrderCancelled, OrderPlaced, OrderRejected,
    ids::{MemberId, OrderId, ProductId, SellerId},
};
use kernel::{
    Decider, Recorded,
    actor::{Actor, Role},
};
use serde::{Deserialize, Serialize};

/// Why an order is rejected when its payment could not be had.
pub const PAYMENT_UNAVAILABLE: &str = "payment_unavailable";
/// Why an order is cancelled when there are not enough kits.
pub const OUT_OF_STOCK: &str = "out_of_stock";

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Placed, not paid yet.
    Pending,
    Paid,
    /// Paid, and its delivery is on the way.
    DeliveryRequested,
    /// The member has it.
    Delivered,
    /// It could not be paid.
    Rejected,
    /// The member did not want it any more, or there were not enough kits.
    Cancelled,
}

impl Status {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Paid, Self::DeliveryRequested, Self::Delivered, Self::Rejected, Self::Cancelled];

    /// Whether nothing can become of the order any more.
    fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Rejected | Self::Cancelled)
    }
}

/// A kit as the order's own copy of the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kit {
    pub product_id: ProductId,
    pub seller_id: SellerId,
    pub name: String,
    /// What one costs, in KRW.
    pub price: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What was ordered, as it was placed.
    #[serde(flatten)]
    pub placed: OrderPlaced,
    pub status: Status,
    /// Why it was rejected or cancelled.
    pub reason: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

impl Order {
    /// Whether this actor decides on it: its member, or whoever runs the shop.
    fn is_run_by(&self, actor: &Actor) -> bool {
        actor.is_member(&self.placed.member_id) || actor.runs_the_shop()
    }

    /// Whether it is this actor's business: of whoever decides on it, and of its seller.
    pub fn is_shown_to(&self, actor: &Actor) -> bool {
        self.is_run_by(actor) || actor.sells_for(&self.placed.seller_id)
    }

    /// Where it goes, for an actor who is shown it: the seller need not know before it is paid.
    pub fn address_for(&self, actor: &Actor) -> Option<&str> {
        let is_paid = matches!(self.status, Status::Paid | Status::DeliveryRequested | Status::Delivered);
        (self.is_run_by(actor) || is_paid).then_some(&*self.placed.address)
    }
}

/// What a decision is about: an order, and the kit that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    /// The order, if it was placed.
    pub order: Option<Order>,
    /// The kit, if the catalogue has it.
    pub kit: Option<Kit>,
}

/// What a member wants to order. It is written down beside its idempotency key, too, so without the card's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placement {
    pub member_id: MemberId,
    pub product_id: ProductId,
    pub quantity: u32,
    pub address: String,
    /// The last four digits of the card: `**** 1111`.
    pub card: String,
    pub card_owner: String,
}

/// What the context can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A member orders a kit.
    Place { order_id: OrderId, placement: Placement },
    /// The order could not be paid.
    Reject { order_id: OrderId, reason: String },
    /// The order is not wanted any more, or cannot be had.
    Cancel {
        order_id: OrderId,
        /// Who wants that.
        by: Actor,
        reason: Option<String>,
    },
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such order")]
    Unknown,
    /// There is one with this id already.
    #[error("there is an order with this id already")]
    Exists,
    /// The catalogue does not have the kit.
    #[error("there is no such product")]
    NoSuchProduct,
    /// It is not theirs, so they say why.
    #[error("an operator says why")]
    Unexplained,
    #[error("the order was delivered, so it cannot be cancelled any more")]
    Delivered,
    #[error("the order was rejected, so there is nothing to cancel")]
    Rejected,
}

impl Decider for Orders {
    type State = Desk;
    type Command = Command;
    type Refusal = Refusal;

    fn target(command: &Command) -> DeskKey {
        match command {
            Command::Place { order_id, placement } => DeskKey::order_of_kit(order_id, &placement.product_id),
            Command::Reject { order_id, .. } | Command::Cancel { order_id, .. } => DeskKey::order(order_id),
        }
    }

    fn decide(desk: &Desk, command: Command) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Place { order_id, placement } => {
                if desk.order.is_some() {
                    return Err(Refusal::Exists);
                }
                let kit = desk.kit.as_ref().ok_or(Refusal::NoSuchProduct)?;
                Ok(vec![placed(order_id, placement, kit).into()])
            }
            Command::Reject { order_id, reason } => {
                let order = desk.order.as_ref().ok_or(Refusal::Unknown)?;
                // Paid after all, or closed by somebody else: then there is nothing to reject.
                if order.status != Status::Pending {
                    return Ok(vec![]);
                }
                let member_id = order.placed.member_id.clone();
                Ok(vec![OrderRejected { order_id, member_id, reason }.into()])
            }
            Command::Cancel { order_id, by, reason } => {
                let order = desk.order.as_ref().filter(|order| order.is_run_by(&by)).ok_or(Refusal::Unknown)?;
                if by.is(Role::Operator) && !by.is_member(&order.placed.member_id) && reason.is_none() {
                    return Err(Refusal::Unexplained);
                }
                match order.status {
                    Status::Delivered => Err(Refusal::Delivered),
                    Status::Rejected => Err(Refusal::Rejected),
                    Status::Cancelled => Ok(vec![]),
                    Status::Pending | Status::Paid | Status::DeliveryRequested => {
                        let member_id = order.placed.member_id.clone();
                        Ok(vec![OrderCancelled { order_id, member_id, reason }.into()])
                    }
                }
            }
        }
    }

    fn evolve(mut desk: Desk, recorded: &Recorded) -> Desk {
        let time = &recorded.time;
        match &recorded.event {
            Event::ProductRegistered(e) => {
                desk.kit = Some(Kit {
                    product_id: e.product_id.clone(),
                    seller_id: e.seller_id.clone(),
                    name: e.name.clone(),
                    price: e.price,
                });
            }
            Event::ProductModified(e) => {
                desk.kit = Some(Kit {
                    product_id: e.product_id.clone(),
                    seller_id: e.seller_id.clone(),
                    name: e.name.clone(),
                    price: e.price,
                });
            }
            Event::OrderPlaced(e) => {
                desk.order = Some(Order {
                    placed: e.clone(),
                    status: Status::Pending,
                    reason: None,
                    created_at: time.clone(),
                    updated_at: time.clone(),
                });
            }
            Event::PaymentCompleted(_) => desk.becomes(Status::Paid, None, time),
            Event::DeliveryRequested(_) => desk.becomes(Status::DeliveryRequested, None, time),
            Event::DeliveryCompleted(_) => desk.becomes(Status::Delivered, None, time),
            Event::OrderRejected(e) => desk.becomes(Status::Rejected, Some(&e.reason), time),
            Event::OrderCancelled(e) => desk.becomes(Status::Cancelled, e.reason.as_ref(), time),
            _ => {}
        }
        desk
    }
}

/// What is ordered, with the name and the price that the kit has now.
fn placed(order_id: OrderId, placement: Placement, kit: &Kit) -> OrderPlaced {
    let Placement { member_id, product_id, quantity, address, card, card_owner } = placement;
    OrderPlaced {
        order_id,
        member_id,
        seller_id: kit.seller_id.clone(),
        product_id,
        product_name: kit.name.clone(),
        quantity,
        unit_price: kit.price,
        amount: kit.price.saturating_mul(u64::from(quantity)),
        address,
        card: Some(card),
        card_owner: Some(card_owner),
    }
}

impl Desk {
    /// What is final stays: a delivery that was requested before it heard of the cancellation does not revive the order.
    fn becomes(&mut self, status: Status, reason: Option<&String>, time: &str) {
        if let Some(order) = &mut self.order
            && !order.status.is_final()
        {
            order.status = status;
            order.reason = reason.cloned();
            order.updated_at = time.to_owned();
        }
    }
}
