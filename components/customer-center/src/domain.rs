//! What my page shows of an order. Pure, and nothing but `evolve`: a read model decides nothing, and has no policy.

use crate::{MyPages, Rebuild};
use contracts::{
    Event, EventType,
    ids::{MemberId, OrderId, ProductId},
};
use kernel::{Context, Decider, Recorded, actor::Actor};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// Something that happened to the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The event's place in the log.
    pub seq: i64,
    #[serde(rename = "type")]
    pub event_type: String,
    pub at: String,
    /// In how many contexts it is delayed what should follow from it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub delays: i32,
}

fn is_none(delays: &i32) -> bool {
    *delays == 0
}

/// An order, as its member sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MyPage {
    pub order_id: OrderId,
    pub member_id: MemberId,
    pub product_id: ProductId,
    pub product_name: String,
    pub quantity: u32,
    /// What they cost together, in KRW.
    pub amount: u64,
    pub address: String,
    /// The last four digits of the card, once it was asked.
    pub card: Option<String>,
    /// How the order stands.
    pub order_status: String,
    /// How its payment stands, once there is one.
    pub payment_status: Option<String>,
    /// How its delivery stands, once there is one.
    pub delivery_status: Option<String>,
    /// All that happened to it, in order.
    pub timeline: Vec<Entry>,
    /// When something last happened to it.
    pub updated_at: String,
}

/// A read model takes no commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {}

impl Decider for MyPages {
    type State = Option<MyPage>;
    type Command = Command;
    type Refusal = Infallible;

    fn target(command: &Command) -> OrderId {
        match *command {}
    }

    fn decide(_: &Option<MyPage>, command: Command) -> Result<Vec<Event>, Infallible> {
        match command {}
    }

    fn evolve(page: Option<MyPage>, recorded: &Recorded) -> Option<MyPage> {
        let mut page = match (&recorded.event, page) {
            (Event::OrderPlaced(e), None) => MyPage {
                order_id: e.order_id.clone(),
                member_id: e.member_id.clone(),
                product_id: e.product_id.clone(),
                product_name: e.product_name.clone(),
                quantity: e.quantity,
                amount: e.amount,
                address: e.address.clone(),
                card: None,
                order_status: "pending".into(),
                payment_status: None,
                delivery_status: None,
                timeline: vec![],
                updated_at: String::new(),
            },
            (_, page) => page?,
        };
        match &recorded.event {
            Event::OrderRejected(_) => page.order_becomes("rejected"),
            Event::OrderCancelled(_) => page.order_becomes("cancelled"),
            Event::PaymentCompleted(e) => {
                page.order_becomes("paid");
                page.payment_status = Some("completed".into());
                page.card = Some(e.card.clone());
            }
            Event::PaymentDeclined(e) => {
                page.payment_status = Some("declined".into());
                page.card = Some(e.card.clone());
            }
            Event::PaymentCancelled(_) => page.payment_status = Some("cancelled".into()),
            Event::DeliveryRequested(_) => {
                page.order_becomes("delivery_requested");
                page.delivery_status = Some("requested".into());
            }
            Event::DeliveryCompleted(_) => {
                page.order_becomes("delivered");
                page.delivery_status = Some("completed".into());
            }
            Event::DeliveryCancelled(_) => page.delivery_status = Some("cancelled".into()),
            Event::HandlingDelayed(e) => page.delay(e.sequence, 1),
            Event::HandlingResumed(e) => page.delay(e.sequence, -1),
            _ => {}
        }
        page.timeline.push(Entry {
            seq: recorded.seq.unwrap_or_default(),
            event_type: recorded.event.name().into(),
            at: recorded.time.clone(),
            delays: 0,
        });
        page.updated_at.clone_from(&recorded.time);
        Some(page)
    }
}

impl Context for MyPages {
    const NAME: &'static str = "customer-center";
    const SQL: &'static str = include_str!("../../../sql/customer_center.sql");
    const CONSUMES: &'static [EventType] = EventType::ABOUT_AN_ORDER;
    const APPENDS: &'static [EventType] = &[];

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        recorded.event.order_id().cloned()
    }
}

impl Decider for Rebuild {
    type State = Option<MyPage>;
    type Command = Command;
    type Refusal = Infallible;

    fn target(command: &Command) -> OrderId {
        MyPages::target(command)
    }

    fn decide(page: &Option<MyPage>, command: Command) -> Result<Vec<Event>, Infallible> {
        MyPages::decide(page, command)
    }

    fn evolve(page: Option<MyPage>, recorded: &Recorded) -> Option<MyPage> {
        MyPages::evolve(page, recorded)
    }
}

impl Context for Rebuild {
    const NAME: &'static str = "customer-center-rebuild";
    const SCHEMA_VERSION: i64 = MyPages::SCHEMA_VERSION;
    const SQL: &'static str = MyPages::SQL;
    const CONSUMES: &'static [EventType] = MyPages::CONSUMES;
    const APPENDS: &'static [EventType] = MyPages::APPENDS;

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        MyPages::concerns(recorded)
    }
}

impl MyPage {
    /// Whether it is this actor's business: of its member, and of whoever runs the shop.
    pub fn is_shown_to(&self, actor: &Actor) -> bool {
        actor.is_member(&self.member_id) || actor.runs_the_shop()
    }

    /// What should follow from an event is delayed in one more context, or in one less.
    fn delay(&mut self, sequence: u64, by: i32) {
        if let Some(entry) = self.timeline.iter_mut().find(|entry| entry.seq.unsigned_abs() == sequence) {
            entry.delays += by;
        }
    }

    /// What is final stays, as in the order itself.
    fn order_becomes(&mut self, status: &str) {
        if !matches!(self.order_status.as_str(), "delivered" | "rejected" | "cancelled") {
            self.order_status = status.into();
        }
    }
}
