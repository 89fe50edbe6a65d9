//! The events of the shop as Rust types, generated from `wit/contracts/events.wit`.
//!
//! In JSON an [`Event`] is its data beside its type: `Event::from_parts("OrderPlaced", data)`. The golden files in
//! `golden/` freeze that form.

pub mod charge;
pub mod ids;
pub mod saga;
#[cfg(feature = "testing")]
pub mod samples;

mod generated {
    #![allow(missing_docs)]
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
        },
        generate_all,
        generate_unused_types: true,
    });
}

pub use generated::mealkit::contracts::events::*;
use ids::OrderId;
use serde_json::{Map, Value};

/// What each event is about: `type => the id in its data`.
macro_rules! subjects {
    ($(order: $($of_order:ident),+;)? $(product: $($of_product:ident),+;)?) => {
        impl Event {
            /// Every type of event there is.
            pub const TYPES: &[&str] = &[$($(stringify!($of_order),)+)? $($(stringify!($of_product),)+)?];

            /// The CloudEvents `type`.
            pub fn event_type(&self) -> &'static str {
                match self {
                    $($(Event::$of_order(_) => stringify!($of_order),)+)?
                    $($(Event::$of_product(_) => stringify!($of_product),)+)?
                }
            }

            /// Whether events of this type are about an order.
            pub fn is_about_an_order(event_type: &str) -> bool {
                [$($(stringify!($of_order),)+)?].contains(&event_type)
            }

            /// The order that the event is about, if it is about one.
            pub fn order_id(&self) -> Option<&OrderId> {
                match self {
                    $($(Event::$of_order(e) => Some(&e.order_id),)+)?
                    $($(Event::$of_product(_) => None,)+)?
                }
            }

            /// The CloudEvents `subject`: the order, else the product.
            pub fn subject(&self) -> &str {
                match self {
                    $($(Event::$of_order(e) => e.order_id.as_str(),)+)?
                    $($(Event::$of_product(e) => e.product_id.as_str(),)+)?
                }
            }
        }

        $($(impl From<$of_order> for Event {
            fn from(event: $of_order) -> Self {
                Event::$of_order(event)
            }
        })+)?
        $($(impl From<$of_product> for Event {
            fn from(event: $of_product) -> Self {
                Event::$of_product(event)
            }
        })+)?
    };
}

subjects! {
    order: StockDecreased, OutOfStock, StockRestored, OrderPlaced, OrderRejected, OrderCancelled,
        PaymentCompleted, PaymentDeclined, PaymentCancelled, DeliveryRequested, DeliveryCompleted,
        DeliveryCancelled, Notified, HandlingDelayed, HandlingResumed;
    product: ProductRegistered, ProductModified;
}

impl Event {
    /// Types that are appended for whichever context could not work off an event; all others belong to one context each.
    pub const OF_ANY_CONTEXT: &[&str] = &["HandlingDelayed", "HandlingResumed"];

    /// The event's data, as it stands in the log.
    ///
    /// # Errors
    /// Never with the events of this crate; serde's signature allows for it.
    pub fn data(&self) -> serde_json::Result<Value> {
        // serde writes an enum as {"<case>": data}; the case is the type, which stands beside the data in the log.
        Ok(match serde_json::to_value(self)? {
            Value::Object(case) => case.into_values().next().unwrap_or_default(),
            other => other,
        })
    }

    /// The event of this type and data.
    ///
    /// # Errors
    /// When there is no such type, or the data is not of its form.
    pub fn from_parts(event_type: &str, data: Value) -> serde_json::Result<Self> {
        serde_json::from_value(Value::Object(Map::from_iter([(event_type.to_owned(), data)])))
    }
}
