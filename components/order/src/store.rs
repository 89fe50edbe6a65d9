//! Rows <-> state; see `sql/order.sql`.

use crate::{
    Orders,
    domain::{Desk, Kit, Order, Status},
};
use contracts::ids::{MemberId, OrderId, ProductId, SellerId};
use kernel::{
    DataError, Entity, Error, Kernel, RowKey, Rows, State, Versioned,
    actor::Actor,
    http::{Listing, Owners},
    metrics::{Sample, counts},
    platform,
};
use std::time::Duration;

impl Entity for Order {
    const KIND: &'static str = "order";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.placed.order_id
    }
}

impl Entity for Kit {
    const KIND: &'static str = "kit";
    type Id = ProductId;

    fn id(&self) -> &ProductId {
        &self.product_id
    }
}

/// An order, a kit, or an order with its kit.
#[derive(Clone, Debug, Default)]
pub struct DeskKey {
    order: Option<OrderId>,
    kit: Option<ProductId>,
}

impl DeskKey {
    /// The order alone.
    pub fn order(order: &OrderId) -> Self {
        Self { order: Some(order.clone()), kit: None }
    }

    /// The kit alone.
    pub fn kit(kit: &ProductId) -> Self {
        Self { order: None, kit: Some(kit.clone()) }
    }

    /// The order, with the kit that it is for.
    pub fn order_of_kit(order: &OrderId, kit: &ProductId) -> Self {
        Self { order: Some(order.clone()), kit: Some(kit.clone()) }
    }
}

impl State for Desk {
    type Key = DeskKey;

    fn rows(key: &DeskKey) -> Vec<RowKey> {
        let order = key.order.as_ref().map(RowKey::of::<Order>);
        order.into_iter().chain(key.kit.as_ref().map(RowKey::of::<Kit>)).collect()
    }

    fn read(key: &DeskKey, rows: &Rows) -> Result<Self, DataError> {
        let order = key.order.as_ref().map(|id| rows.get(id)).transpose()?.flatten();
        let kit = key.kit.as_ref().map(|id| rows.get(id)).transpose()?.flatten();
        Ok(Self { order, kit })
    }

    fn write(&self, rows: &mut Rows) -> Result<(), DataError> {
        if let Some(order) = &self.order {
            rows.put(order)?;
        }
        if let Some(kit) = &self.kit {
            rows.put(kit)?;
        }
        Ok(())
    }
}

/// A part of the orders that this actor may see, newest first; of one member or one seller, if the list says so.
pub async fn list(kernel: &Kernel<Orders>, listing: &Listing, actor: &Actor) -> Result<Vec<Versioned<Order>>, Error> {
    let owners = Owners::for_actor(
        actor,
        [
            ("row ->> 'member_id' = ?", actor.orders_as().map(MemberId::as_str)),
            ("row ->> 'seller_id' = ?", actor.sells_as().map(SellerId::as_str)),
        ],
    );
    let filters = [("member_id", "row ->> 'member_id'"), ("seller_id", "row ->> 'seller_id'")];
    let (condition, parameters) = listing.select("true", "id", &filters, &owners);
    kernel.select(&condition, parameters).await
}

/// The orders of a member that something may still become of.
pub async fn open(kernel: &Kernel<Orders>, member_id: &MemberId) -> Result<Vec<OrderId>, Error> {
    let condition =
        "row ->> 'member_id' = ? AND row ->> 'status' IN ('pending', 'paid', 'delivery_requested') LIMIT 100";
    let orders: Vec<Versioned<Order>> = kernel.select(condition, vec![member_id.as_str().into()]).await?;
    Ok(orders.into_iter().map(|order| order.value.placed.order_id).collect())
}

/// The orders that have waited for their payment for too long. So has one from the future: the clock was set back.
pub async fn overdue(kernel: &Kernel<Orders>) -> Result<Vec<OrderId>, Error> {
    let platform = &**kernel.platform();
    let patience = Duration::from_millis(platform::number(platform, "pending_timeout_ms", 30_000).await);
    let (since, until) = platform::around_now(platform, patience).into_inner();
    let mut overdue = Vec::new();
    for (condition, time) in [("<", since), (">", until)] {
        let condition = format!("row ->> 'status' = 'pending' AND row ->> 'created_at' {condition} ? LIMIT 100");
        let orders: Vec<Versioned<Order>> = kernel.select(&condition, vec![time.into()]).await?;
        overdue.extend(orders.into_iter().map(|order| order.value.placed.order_id));
    }
    Ok(overdue)
}

/// How many orders there are of each status.
pub async fn samples(kernel: &Kernel<Orders>) -> Result<Vec<Sample>, Error> {
    let sql = "SELECT row ->> 'status', count(*) FROM order_row WHERE kind = 'order' GROUP BY row ->> 'status'";
    let counted = counts(&kernel.query(sql, vec![]).await?);
    let sample = |status: Status| {
        let name = serde_json::to_value(status)?;
        let name = name.as_str().unwrap_or_default();
        let count = counted.get(name).copied().unwrap_or(0);
        Ok(Sample::gauge("mealkit_orders", "Orders by status.", &[("status", name)], count))
    };
    Status::ALL.into_iter().map(sample).collect()
}
