//! Rows <-> state; see `sql/marketing.sql`.

use crate::{Marketing, domain::Notification};
use kernel::{Entity, Error, Kernel, Versioned, http::Listing};

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

/// A part of the notifications, newest first; of one order or for one recipient, if the list says so.
pub async fn list(kernel: &Kernel<Marketing>, listing: &Listing) -> Result<Vec<Versioned<Notification>>, Error> {
    let filters = [("order_id", "row ->> 'order_id'"), ("recipient", RECIPIENT)];
    let (condition, parameters) = listing.select("true", "row ->> 'notification_id'", &filters);
    kernel.select(&condition, parameters).await
}
