//! Rows <-> state; see `sql/delivery.sql`.

use crate::{Deliveries, domain::Delivery};
use contracts::ids::OrderId;
use kernel::{Entity, Error, Kernel, Versioned, http::Listing};

impl Entity for Delivery {
    const KIND: &'static str = "delivery";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

/// The delivery with this id.
pub async fn find(kernel: &Kernel<Deliveries>, delivery_id: &str) -> Result<Option<Versioned<Delivery>>, Error> {
    let sql = "SELECT order_id FROM delivery_delivery WHERE delivery_id = ?";
    Ok(kernel.select(sql, vec![delivery_id.into()]).await?.pop())
}

/// A part of the deliveries, the newest order's first; of one order, if the list says so.
pub async fn list(kernel: &Kernel<Deliveries>, listing: &Listing) -> Result<Vec<Versioned<Delivery>>, Error> {
    let base = "SELECT order_id FROM delivery_delivery WHERE delivery_id IS NOT NULL";
    let (sql, parameters) = listing.select(base, "order_id", &[("order_id", "order_id")]);
    kernel.select(&sql, parameters).await
}
