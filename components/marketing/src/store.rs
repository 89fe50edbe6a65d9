//! Rows <-> state; see `sql/marketing.sql`.

use crate::{
    Marketing,
    domain::{MEMBER, Notification, SELLER},
};
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

/// Kind and id of the recipient, as a filter says them: `member:hana`. An index is on the same words.
const RECIPIENT: &str = "(row ->> '$.recipient.kind' || ':' || (row ->> '$.recipient.id'))";

/// The same as a condition.
const IS_RECIPIENT: &str = "(row ->> '$.recipient.kind' || ':' || (row ->> '$.recipient.id')) = ?";

/// A part of the notifications that this actor may see, newest first; of one order or for one recipient, if the list says so.
pub async fn list(
    kernel: &Kernel<Marketing>,
    listing: &Listing,
    actor: &Actor,
) -> Result<Vec<Versioned<Notification>>, Error> {
    let (member, seller) =
        (actor.orders_as().map(|id| format!("{MEMBER}:{id}")), actor.sells_as().map(|id| format!("{SELLER}:{id}")));
    let owners = Owners::for_actor(actor, [(IS_RECIPIENT, member.as_deref()), (IS_RECIPIENT, seller.as_deref())]);
    let filters = [("order_id", "row ->> 'order_id'"), ("recipient", RECIPIENT)];
    let (condition, parameters) = listing.select("true", "row ->> 'notification_id'", &filters, &owners);
    kernel.select(&condition, parameters).await
}
