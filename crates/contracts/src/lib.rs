//! The events of the shop as Rust types, generated from `wit/contracts/events.wit`.
//!
//! In the log an event is its data in JSON beside its type and the version of that type ([`EventType`]). The golden files
//! in `golden/` freeze that form.

pub mod charge;
mod event_type;
pub mod ids;
pub mod open_orders;
pub mod saga;
#[cfg(feature = "testing")]
pub mod samples;

mod generated {
    wit_bindgen::generate!({
        path: "../../wit/contracts",
        world: "contracts",
        additional_derives: [PartialEq, Eq, serde::Serialize, serde::Deserialize],
        with: {
            "mealkit:contracts/ids@1.0.0/product-id": crate::ids::ProductId,
            "mealkit:contracts/ids@1.0.0/order-id": crate::ids::OrderId,
            "mealkit:contracts/ids@1.0.0/payment-id": crate::ids::PaymentId,
            "mealkit:contracts/ids@1.0.0/delivery-id": crate::ids::DeliveryId,
            "mealkit:contracts/ids@1.0.0/notification-id": crate::ids::NotificationId,
            "mealkit:contracts/ids@1.0.0/member-id": crate::ids::MemberId,
            "mealkit:contracts/ids@1.0.0/seller-id": crate::ids::SellerId,
            "mealkit:contracts/ids@1.0.0/session-id": crate::ids::SessionId,
            "mealkit:contracts/ids@1.0.0/key-id": crate::ids::KeyId,
        },
        generate_all,
        generate_unused_types: true,
    });
}

pub use event_type::{EventType, Upcast};
pub use generated::mealkit::contracts::events::*;
use ids::{OrderId, PaymentId};

/// What each event is about, by the id in its data; and, where a type has older versions, the steps from each of them to
/// the next (`Type => [first_to_second, …]`).
macro_rules! events {
    (
        order_id: $($of_order:ident $(=> [$($order_step:path),+])?),+;
        $($subject:ident: $($other:ident $(=> [$($step:path),+])?),+;)+
    ) => {
        $(event_type::typed!($of_order, [$($($order_step),+)?]);)+
        $($(event_type::typed!($other, [$($($step),+)?]);)+)+

        impl EventType {
            /// Every type there is. Who uses it brings the code to read and write all of them along.
            pub const ALL: &[EventType] = &[$($of_order::TYPE,)+ $($($other::TYPE,)+)+];

            /// Those about an order; see [`ALL`](Self::ALL).
            pub const ABOUT_AN_ORDER: &[EventType] = &[$($of_order::TYPE,)+];
        }

        impl Event {
            /// The name of its type: the CloudEvents `type`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Event::$of_order(_) => stringify!($of_order),)+
                    $($(Event::$other(_) => stringify!($other),)+)+
                }
            }

            /// Its type. Whoever asks carries the code of all types; who only wants the name asks for that.
            pub fn event_type(&self) -> EventType {
                match self {
                    $(Event::$of_order(_) => $of_order::TYPE,)+
                    $($(Event::$other(_) => $other::TYPE,)+)+
                }
            }

            /// Whether events of this type are about an order.
            pub fn is_about_an_order(name: &str) -> bool {
                [$(stringify!($of_order),)+].contains(&name)
            }

            /// The order that the event is about, if it is about one.
            pub fn order_id(&self) -> Option<&OrderId> {
                match self {
                    $(Event::$of_order(e) => Some(&e.order_id),)+
                    $($(Event::$other(_) => None,)+)+
                }
            }

            /// The CloudEvents `subject`: the order, else the product, the member, or the key.
            pub fn subject(&self) -> &str {
                match self {
                    $(Event::$of_order(e) => e.order_id.as_str(),)+
                    $($(Event::$other(e) => e.$subject.as_str(),)+)+
                }
            }
        }
    };
}

events! {
    order_id: StockDecreased, OutOfStock, StockRestored, OrderPlaced, OrderRejected, OrderCancelled,
        PaymentCompleted, PaymentDeclined, PaymentCancelled, DeliveryRequested, DeliveryAssigned, DeliveryCompleted,
        DeliveryCancelled, Notified, HandlingDelayed, HandlingResumed;
    product_id: ProductRegistered, ProductModified;
    member_id: MemberRegistered, RolesChanged, SessionsRevoked, MemberClosed;
    kid: SigningKeyPublished, SigningKeyRetired;
}

impl Event {
    /// Types that are appended for whichever context could not work off an event; all others belong to one context each.
    pub const OF_ANY_CONTEXT: &[EventType] = &[HandlingDelayed::TYPE, HandlingResumed::TYPE];
}

impl OrderPlaced {
    /// What of the card may be known: all of it is hidden where the order was placed before its events told.
    fn card(&self) -> (String, String) {
        let hidden = || "****".to_owned();
        (self.card.clone().unwrap_or_else(hidden), self.card_owner.clone().unwrap_or_else(hidden))
    }

    /// The order, paid: what was ordered is handed on whole.
    pub fn paid(self, payment_id: PaymentId, approval_number: String) -> PaymentCompleted {
        let (card, card_owner) = self.card();
        PaymentCompleted {
            payment_id,
            order_id: self.order_id,
            member_id: self.member_id,
            seller_id: self.seller_id,
            product_id: self.product_id,
            product_name: self.product_name,
            quantity: self.quantity,
            amount: self.amount,
            address: self.address,
            card,
            card_owner,
            approval_number,
        }
    }

    /// The order, not paid.
    pub fn declined(self, payment_id: PaymentId, reason: String) -> PaymentDeclined {
        let (card, card_owner) = self.card();
        PaymentDeclined {
            payment_id,
            order_id: self.order_id,
            member_id: self.member_id,
            product_id: self.product_id,
            amount: self.amount,
            card,
            card_owner,
            reason,
        }
    }
}
