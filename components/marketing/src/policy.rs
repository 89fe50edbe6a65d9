//! Whenever something happened elsewhere …

use crate::{
    Marketing,
    domain::{Command, MEMBER, SELLER},
};
use contracts::{
    DeliveryCancelled, DeliveryCompleted, Event, EventType, Notified, OutOfStock, PaymentCancelled, PaymentCompleted,
    Recipient,
    ids::{MemberId, SellerId},
};
use kernel::{Context, Recorded};
use uuid::Uuid;

impl Context for Marketing {
    const NAME: &'static str = "marketing";
    const SQL: &'static str = include_str!("../../../sql/marketing.sql");
    const CONSUMES: &'static [EventType] = &[
        PaymentCompleted::TYPE,
        DeliveryCompleted::TYPE,
        PaymentCancelled::TYPE,
        OutOfStock::TYPE,
        DeliveryCancelled::TYPE,
    ];
    const APPENDS: &'static [EventType] = &[Notified::TYPE];
    /// A notification is kept under the id of the event, which is not what the event is about.
    const BY_SUBJECT: bool = false;

    fn concerns(recorded: &Recorded) -> Option<String> {
        Some(recorded.id.clone())
    }

    fn whenever(recorded: &Recorded, fresh: Uuid) -> Option<Command> {
        let order_id = recorded.event.order_id()?.clone();
        let (recipient, message) = match &recorded.event {
            // … an order was paid: tell the seller to prepare it.
            Event::PaymentCompleted(e) => (
                seller(&e.seller_id),
                format!("An order of {} x {} is paid. Please prepare it.", e.quantity, e.product_name),
            ),
            // … something happened to the order: tell the member.
            Event::DeliveryCompleted(e) => (member(&e.member_id), "Your order was delivered. Enjoy your meal!".into()),
            Event::PaymentCancelled(e) => {
                (member(&e.member_id), format!("Your payment of {} KRW was cancelled; you get it back.", e.amount))
            }
            Event::OutOfStock(e) => (
                member(&e.member_id),
                "We are sorry: the kit you ordered is out of stock, so we cancel your order.".into(),
            ),
            Event::DeliveryCancelled(e) => (member(&e.member_id), "The delivery of your order was cancelled.".into()),
            _ => return None,
        };
        let (cause_id, event_type) = (recorded.id.clone(), recorded.event.name());
        Some(Command::Notify { cause_id, notification_id: fresh.into(), order_id, recipient, event_type, message })
    }
}

fn seller(id: &SellerId) -> Recipient {
    Recipient { kind: SELLER.into(), id: id.to_string() }
}

fn member(id: &MemberId) -> Recipient {
    Recipient { kind: MEMBER.into(), id: id.to_string() }
}
