//! Rows <-> state; see `sql/payment.sql`.

use crate::{Payments, domain::Payment};
use contracts::ids::OrderId;
use kernel::{Entity, Error, Kernel, Versioned, http::Listing};

impl Entity for Payment {
    const KIND: &'static str = "payment";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

/// The payment with this id.
pub async fn find(kernel: &Kernel<Payments>, payment_id: &str) -> Result<Option<Versioned<Payment>>, Error> {
    let sql = "SELECT order_id FROM payment_payment WHERE payment_id = ?";
    Ok(kernel.select(sql, vec![payment_id.into()]).await?.pop())
}

/// A part of the payments, the newest order's first; of one order, if the list says so.
pub async fn list(kernel: &Kernel<Payments>, listing: &Listing) -> Result<Vec<Versioned<Payment>>, Error> {
    let base = "SELECT order_id FROM payment_payment WHERE payment_id IS NOT NULL";
    let (sql, parameters) = listing.select(base, "order_id", &[("order_id", "order_id")]);
    kernel.select(&sql, parameters).await
}
