//! Routes -> queries.

use crate::{
    Marketing,
    domain::{MEMBER, Notification, Refusal, SELLER, Status},
    store,
};
use axum::extract::State;
use contracts::{
    Recipient,
    ids::{NotificationId, OrderId},
};
use kernel::{
    Kernel, Trace, Versioned,
    actor::Role,
    http::{Access, Answer, FieldError, Page, Problem, Query, Routes},
};
use serde::Serialize;
use std::sync::Arc;

pub fn routes(kernel: Arc<Kernel<Marketing>>) -> Routes {
    Routes::new()
        .get("/notifications", Access::Roles(&[Role::Member, Role::Seller, Role::Operator]), list)
        .with_state(kernel)
}

/// A notification as its readers see it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a NotificationId,
    order_id: &'a OrderId,
    recipient: &'a Recipient,
    event_type: &'a str,
    message: &'a str,
    status: Status,
    created_at: &'a str,
}

async fn list(
    State(kernel): State<Arc<Kernel<Marketing>>>,
    Trace { actor, .. }: Trace,
    query: Query,
) -> Result<Answer, Problem> {
    let listing = query.listing(&["order_id", "recipient"])?;
    if listing.filter("recipient").is_some_and(|recipient| !is_recipient(recipient)) {
        let message = "must be `member:` or `seller:` with an id behind it: a seller may have a member's name";
        let errors = vec![FieldError { field: "recipient".into(), message: message.into() }];
        return Err(Problem::malformed(format!("`recipient` {message}.")).with_errors(errors));
    }
    let notifications = store::list(&kernel, &listing, &actor).await?;
    let views = notifications.iter().map(View::of).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.id.to_string())))
}

/// Whether this says who somebody is, and as what.
fn is_recipient(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, id)| [MEMBER, SELLER].contains(&kind) && !id.is_empty())
}

impl<'a> View<'a> {
    fn of(Versioned { value, .. }: &'a Versioned<Notification>) -> Self {
        Self {
            id: &value.notification_id,
            order_id: &value.order_id,
            recipient: &value.recipient,
            event_type: &value.event_type,
            message: &value.message,
            status: value.status,
            created_at: &value.created_at,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {}
    }
}
