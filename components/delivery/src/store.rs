//! Rows <-> state; see `sql/delivery.sql`.

use crate::{Deliveries, domain::Delivery};
use contracts::ids::{DeliveryId, MemberId, OrderId};
use kernel::{
    Entity, Error, Kernel, Versioned,
    actor::Actor,
    http::{Listing, Owners},
};

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

/// A part of the deliveries that this actor may see, the newest order's first; of one order, if the list says so.
pub async fn list(
    kernel: &Kernel<Deliveries>,
    listing: &Listing,
    actor: &Actor,
) -> Result<Vec<Versioned<Delivery>>, Error> {
    let owners = Owners::for_actor(
        actor,
        [
            ("row ->> 'member_id' = ?", actor.orders_as().map(MemberId::as_str)),
            ("row ->> 'courier_id' = ?", actor.delivers_as().map(MemberId::as_str)),
        ],
    );
    let base = "row ->> 'delivery_id' IS NOT NULL";
    let (condition, parameters) = listing.select(base, "id", &[("order_id", "id")], &owners);
    kernel.select(&condition, parameters).await
}
