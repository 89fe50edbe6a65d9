//! Rows <-> state; see `sql/payment.sql`.

use crate::{Payments, domain::Payment};
use contracts::ids::{MemberId, OrderId, PaymentId};
use kernel::{
    Entity, Error, Kernel, Versioned,
    actor::Actor,
    http::{Listing, Owners},
    metrics::{Sample, counts},
};

impl Entity for Payment {
    const KIND: &'static str = "payment";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

pub async fn find(kernel: &Kernel<Payments>, id: &PaymentId) -> Result<Option<Versioned<Payment>>, Error> {
    let condition = "row ->> 'payment_id' = ? AND row ->> 'status' <> 'requested'";
    Ok(kernel.select(condition, vec![id.as_str().into()]).await?.pop())
}

/// A part of the payments that this actor may see, the newest order's first; of one order, if the list says so.
pub async fn list(
    kernel: &Kernel<Payments>,
    listing: &Listing,
    actor: &Actor,
) -> Result<Vec<Versioned<Payment>>, Error> {
    let owners = Owners::for_actor(actor, [("row ->> 'member_id' = ?", actor.orders_as().map(MemberId::as_str))]);
    let base = "row ->> 'status' NOT IN ('requested', 'refused')";
    let (condition, parameters) = listing.select(base, "id", &[("order_id", "id")], &owners);
    kernel.select(&condition, parameters).await
}

/// Payments that the gateway is still to cancel, so many at most.
pub async fn cancel_due(kernel: &Kernel<Payments>, limit: usize) -> Result<Vec<Payment>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let payments = kernel.select("row ->> 'cancel_due' LIMIT ?", vec![limit.into()]).await?;
    Ok(payments.into_iter().map(|payment| payment.value).collect())
}

/// How much is left to be done at the gateway.
pub async fn samples(kernel: &Kernel<Payments>) -> Result<Vec<Sample>, Error> {
    let sql = "SELECT 'cancel', count(*) FROM payment_row WHERE kind = 'payment' AND row ->> 'cancel_due'";
    let help = "What is left to be done at the payment gateway: charges to look up, charges to cancel.";
    let mut open = counts(&kernel.query(sql, vec![]).await?);
    open.insert("charge".to_owned(), crate::settle::unsettled(kernel).await?);
    let sample = |(kind, count): (String, i64)| Sample::gauge("mealkit_gateway_open", help, &[("kind", &kind)], count);
    Ok(open.into_iter().map(sample).collect())
}
