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

/// A part of the notifications, newest first; of one order or for one recipient, if the list says so.
pub async fn list(kernel: &Kernel<Marketing>, listing: &Listing) -> Result<Vec<Versioned<Notification>>, Error> {
    let base = "SELECT cause_id FROM marketing_notification WHERE true";
    let filters = [("order_id", "order_id"), ("recipient", "recipient_id")];
    let (sql, parameters) = listing.select(base, "notification_id", &filters);
    kernel.select(&sql, parameters).await
}
