//! Rows <-> state; see `sql/customer_center.sql`.

use crate::{MyPages, domain::MyPage};
use contracts::ids::{MemberId, OrderId};
use kernel::{
    Entity, Error, Kernel, Versioned,
    actor::Actor,
    http::{Listing, Owners},
};

impl Entity for MyPage {
    const KIND: &'static str = "mypage";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

/// A part of the pages that this actor may see, the newest order's first; of one member, if the list says so.
pub async fn list(kernel: &Kernel<MyPages>, listing: &Listing, actor: &Actor) -> Result<Vec<Versioned<MyPage>>, Error> {
    let owners = Owners::for_actor(actor, [("row ->> 'member_id' = ?", actor.orders_as().map(MemberId::as_str))]);
    let (condition, parameters) = listing.select("true", "id", &[("member_id", "row ->> 'member_id'")], &owners);
    kernel.select(&condition, parameters).await
}
