//! Rows <-> state; see `sql/customer_center.sql`.

use crate::{MyPages, domain::MyPage};
use contracts::ids::OrderId;
use kernel::{Entity, Error, Kernel, Versioned, http::Listing};

impl Entity for MyPage {
    const KIND: &'static str = "mypage";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

/// A part of the pages, the newest order's first; of one member, if the list says so.
pub async fn list(kernel: &Kernel<MyPages>, listing: &Listing) -> Result<Vec<Versioned<MyPage>>, Error> {
    let base = "SELECT order_id FROM customer_center_mypage \
        WHERE generation = (SELECT live FROM customer_center_generation)";
    let (sql, parameters) = listing.select(base, "order_id", &[("member_id", "member_id")]);
    kernel.select(&sql, parameters).await
}
