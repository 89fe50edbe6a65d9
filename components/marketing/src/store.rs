//! Rows <-> state; see `sql/marketing.sql`.

use crate::{Marketing, domain::Notification};
use contracts::ids::{MemberId, SellerId};
use kernel::{
    Entity, Error, Kernel, Versioned,
    actor::Actor,
    http::{Listing, Owners},
};

impl Entity for Notification {
    const KIND: &'static str = "notification";
    /// The id of the event that it is about.
    type Id = String;

    fn id(&self) -> &String {
        &self.cause_id
    }
}

/// A part of the notifications that this actor may see, newest first; of one order or for one recipient, if the list says so.
pub async fn list(
    kernel: &Kernel<Marketing>,
    listing: &Listing,
    actor: &Actor,
) -> Result<Vec<Versioned<Notification>>, Error> {
    let owners = Owners::for_actor(
        actor,
        [
            (
                "row ->> '$.recipient.id' = ? AND row ->> '$.recipient.kind' = 'member'",
                actor.orders_as().map(MemberId::as_str),
            ),
            (
                "row ->> '$.recipient.id' = ? AND row ->> '$.recipient.kind' = 'seller'",
                actor.sells_as().map(SellerId::as_str),
            ),
        ],
    );
    let filters = [("order_id", "row ->> 'order_id'"), ("recipient", "row ->> '$.recipient.id'")];
    let (condition, parameters) = listing.select("true", "row ->> 'notification_id'", &filters, &owners);
    kernel.select(&condition, parameters).await
}
