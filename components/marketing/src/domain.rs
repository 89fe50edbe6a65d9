//! What a notification is. Pure.

use crate::Marketing;
use contracts::{
    Event, Notified, Recipient,
    ids::{NotificationId, OrderId},
};
use kernel::{Decider, Recorded};
use serde::{Deserialize, Serialize};

/// The kinds of recipients.
pub const MEMBER: &str = "member";
pub const SELLER: &str = "seller";

/// How far a notification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is on the recipient's list.
    Sent,
}

/// What somebody was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The event that it is about.
    pub cause_id: String,
    pub notification_id: NotificationId,
    /// The order that it is about.
    pub order_id: OrderId,
    /// Whom it is for.
    pub recipient: Recipient,
    /// The type of the event that it is about.
    pub event_type: String,
    pub message: String,
    pub status: Status,
    pub created_at: String,
}

/// What the context can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Tell somebody what happened.
    Notify {
        /// The event that it is about.
        cause_id: String,
        notification_id: NotificationId,
        /// The order that it is about.
        order_id: OrderId,
        /// Whom it is for.
        recipient: Recipient,
        /// The type of the event that it is about.
        event_type: &'static str,
        message: String,
    },
}

/// There is nothing to refuse: a notification hurts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {}

impl Decider for Marketing {
    type State = Option<Notification>;
    type Command = Command;
    type Refusal = Refusal;

    fn target(command: &Command) -> String {
        let Command::Notify { cause_id, .. } = command;
        cause_id.clone()
    }

    fn decide(notification: &Option<Notification>, command: Command) -> Result<Vec<Event>, Refusal> {
        let Command::Notify { notification_id, order_id, recipient, event_type, message, .. } = command;
        // Nobody is told twice of the same event.
        if notification.is_some() {
            return Ok(vec![]);
        }
        Ok(vec![Notified { notification_id, order_id, recipient, event_type: event_type.into(), message }.into()])
    }

    fn evolve(notification: Option<Notification>, recorded: &Recorded) -> Option<Notification> {
        match &recorded.event {
            Event::Notified(e) => Some(Notification {
                cause_id: recorded.causation_id.clone(),
                notification_id: e.notification_id.clone(),
                order_id: e.order_id.clone(),
                recipient: e.recipient.clone(),
                event_type: e.event_type.clone(),
                message: e.message.clone(),
                status: Status::Sent,
                created_at: recorded.time.clone(),
            }),
            _ => notification,
        }
    }
}
