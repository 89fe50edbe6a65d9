//! Rows <-> state; see `sql/payment.sql`.

use crate::{Payments, domain::Payment};
use contracts::ids::OrderId;
use kernel::{
    Entity, Error, Kernel, Versioned,
    http::Listing,
    metrics::{Sample, counts},
};

impl Entity for Payment {
    const KIND: &'static str = "payment";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

/// The payment with this id.
pub async fn find(kernel: &Kernel<Payments>, payment_id: &str) -> Result<Option<Versioned<Payment>>, Error> {
    let sql = "SELECT order_id FROM payment_payment WHERE payment_id = ? AND status <> 'requested'";
    Ok(kernel.select(sql, vec![payment_id.into()]).await?.pop())
}

/// A part of the payments, the newest order's first; of one order, if the list says so.
pub async fn list(kernel: &Kernel<Payments>, listing: &Listing) -> Result<Vec<Versioned<Payment>>, Error> {
    let base = "SELECT order_id FROM payment_payment WHERE status NOT IN ('requested', 'refused')";
    let (sql, parameters) = listing.select(base, "order_id", &[("order_id", "order_id")]);
    kernel.select(&sql, parameters).await
}

/// What is left to be done at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To find out what it said to a charge.
    Charge,
    /// To have it cancel one.
    Cancel,
}

/// Payments of which that is left to be done, so many at most.
pub async fn open(kernel: &Kernel<Payments>, what: Open, limit: usize) -> Result<Vec<Payment>, Error> {
    let condition = match what {
        Open::Charge => "status = 'requested'",
        Open::Cancel => "cancel_due = 1",
    };
    let sql = format!("SELECT order_id FROM payment_payment WHERE {condition} LIMIT ?");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let payments = kernel.select(&sql, vec![limit.into()]).await?;
    Ok(payments.into_iter().map(|payment| payment.value).collect())
}

/// How much is left to be done at the gateway.
pub async fn samples(kernel: &Kernel<Payments>) -> Result<Vec<Sample>, Error> {
    let sql = "SELECT 'charge', count(*) FROM payment_payment WHERE status = 'requested' \
        UNION ALL SELECT 'cancel', count(*) FROM payment_payment WHERE cancel_due = 1";
    let help = "What is left to be done at the payment gateway: charges to look up, charges to cancel.";
    let sample = |(kind, count): (String, i64)| Sample::gauge("mealkit_gateway_open", help, &[("kind", &kind)], count);
    Ok(counts(&kernel.query(sql, vec![]).await?).into_iter().map(sample).collect())
}
