//! Whenever something happened elsewhere …

use crate::domain::{self, Command, Notification, Refusal};
use contracts::{
    Event, Recipient,
    ids::{MemberId, SellerId},
};
use kernel::{Context, Recorded};
use uuid::Uuid;

/// The context `marketing`.
pub struct Marketing;

impl Context for Marketing {
    const NAME: &'static str = "marketing";
    const SQL: &'static str = include_str!("../../../sql/marketing.sql");
    const CONSUMES: &'static [&'static str] =
        &["PaymentCompleted", "DeliveryCompleted", "PaymentCancelled", "OutOfStock", "DeliveryCancelled"];
    const APPENDS: &'static [&'static str] = &["Notified"];

    type State = Option<Notification>;
    type Command = Command;
    type Refusal = Refusal;

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
        let event_type = recorded.event.event_type();
        Some(Command::Notify { notification_id: fresh.into(), order_id, recipient, event_type, message })
    }

    fn decide(notification: &Option<Notification>, command: Command) -> Result<Vec<Event>, Refusal> {
        domain::decide(notification, command)
    }

    fn evolve(notification: Option<Notification>, recorded: &Recorded) -> Option<Notification> {
        domain::evolve(notification, recorded)
    }
}

fn seller(id: &SellerId) -> Recipient {
    Recipient { kind: "seller".into(), id: id.to_string() }
}

fn member(id: &MemberId) -> Recipient {
    Recipient { kind: "member".into(), id: id.to_string() }
}
