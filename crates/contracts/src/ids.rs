//! Ids: one type each, so that an order's id cannot be taken for a product's.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id with this text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id.to_string())
            }
        }
    )*};
}

ids! {
    /// A kit.
    ProductId,
    /// An order; also the key of everything that follows from it.
    OrderId,
    PaymentId,
    DeliveryId,
    NotificationId,
    MemberId,
    /// A seller, for whom several members may sell.
    SellerId,
    /// A signed-in member's session, or a service's token.
    SessionId,
    /// A key that signs tokens.
    KeyId,
}

/// What turns the random bits of a UUIDv7 into others.
const OTHER: u128 = 0x3fff_ffff_ffff_ffff;

impl PaymentId {
    /// The id of an order's payment follows from the order's: the same time, with the random bits inverted.
    pub fn of(order: &OrderId) -> Self {
        match uuid::Uuid::parse_str(order.as_str()) {
            Ok(id) => Self::from(uuid::Uuid::from_u128(id.as_u128() ^ OTHER)),
            Err(_) => Self(format!("payment-of-{order}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payments_id_follows_from_its_orders() {
        let order = OrderId::from(uuid::Uuid::now_v7());
        let payment = PaymentId::of(&order);
        assert_eq!(payment, PaymentId::of(&order));
        assert_ne!(payment.as_str(), order.as_str());
        assert_eq!(payment.as_str().get(..13), order.as_str().get(..13), "the same time");
        assert_eq!(uuid::Uuid::parse_str(payment.as_str()).map(|id| id.get_version_num()), Ok(7));
    }
}
