//! Rows <-> state; see `sql/delivery.sql`.

use crate::{Deliveries, domain::Delivery};
use contracts::ids::{DeliveryId, OrderId};
use kernel::{Entity, Error, Kernel, Versioned, http::Listing};

impl Entity for Delivery {
    const KIND: &'static str = "delivery";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

pub async fn find(kernel: &Kernel<Deliveries>, id: &DeliveryId) -> Result<Option<Versioned<Delivery>>, Error> {
    Ok(kernel.select("row ->> 'delivery_id' = ?", vec![id.as_str().into()]).await?.pop())
}

/// A part of the deliveries, the newest order's first; of one order, if the list says so.
pub async fn list(kernel: &Kernel<Deliveries>, listing: &Listing) -> Result<Vec<Versioned<Delivery>>, Error> {
    let (condition, parameters) = listing.select("row ->> 'delivery_id' IS NOT NULL", "id", &[("order_id", "id")]);
    kernel.select(&condition, parameters).await
}
