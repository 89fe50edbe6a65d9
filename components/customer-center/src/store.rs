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
    let (condition, parameters) = listing.select("true", "id", &[("member_id", "row ->> 'member_id'")]);
    kernel.select(&condition, parameters).await
}
