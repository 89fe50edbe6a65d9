//! Routes -> commands and queries.

use crate::{
    Deliveries,
    domain::{Command, Delivery, Refusal, Status},
    store,
};
use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use contracts::ids::{DeliveryId, MemberId, OrderId};
use kernel::{
    Kernel, Trace, Versioned,
    http::{Answer, NoMembers, OptionalBody, Page, Problem, Query},
};
use serde::Serialize;
use std::sync::Arc;

pub fn routes(kernel: Arc<Kernel<Deliveries>>) -> Router {
    Router::new()
        .route("/deliveries", get(list))
        .route("/deliveries/{id}", get(show))
        .route("/deliveries/{id}/complete", post(complete))
        .with_state(kernel)
}

/// A delivery as its readers see it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a Option<DeliveryId>,
    order_id: &'a OrderId,
    member_id: &'a MemberId,
    address: &'a str,
    status: Status,
    created_at: &'a str,
    updated_at: &'a str,
}

async fn complete(
    State(kernel): State<Arc<Kernel<Deliveries>>>,
    trace: Trace,
    Path(id): Path<DeliveryId>,
    OptionalBody(NoMembers {}): OptionalBody<NoMembers>,
) -> Result<Answer, Problem> {
    let order_id = find(&kernel, &id).await?.value.order_id;
    let state = kernel.execute(Command::Complete { order_id }, &trace).await?.state;
    let value = state.value.ok_or(Refusal::Unknown)?;
    Ok(shown(&Versioned { version: state.version, value }))
}

async fn show(State(kernel): State<Arc<Kernel<Deliveries>>>, Path(id): Path<DeliveryId>) -> Result<Answer, Problem> {
    Ok(shown(&find(&kernel, &id).await?))
}

async fn list(State(kernel): State<Arc<Kernel<Deliveries>>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing(&["order_id"])?;
    let deliveries = store::list(&kernel, &listing).await?;
    let views = deliveries.iter().map(View::of).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.order_id.to_string())))
}

async fn find(kernel: &Kernel<Deliveries>, id: &DeliveryId) -> Result<Versioned<Delivery>, Problem> {
    Ok(store::find(kernel, id).await?.ok_or(Refusal::Unknown)?)
}

fn shown(delivery: &Versioned<Delivery>) -> Answer {
    Answer::ok(View::of(delivery)).version(delivery.version).about(delivery.value.order_id.as_str())
}

impl<'a> View<'a> {
    fn of(Versioned { value, .. }: &'a Versioned<Delivery>) -> Self {
        Self {
            id: &value.delivery_id,
            order_id: &value.order_id,
            member_id: &value.member_id,
            address: &value.address,
            status: value.status,
            created_at: &value.created_at,
            updated_at: &value.updated_at,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::not_found("There is no such delivery."),
            Refusal::NotStocked => {
                Self::conflict("not-stocked", "The kits were not taken from the stock yet. Try again in a moment.")
            }
            Refusal::Cancelled => {
                Self::conflict("cancelled", "The order was cancelled, so there is nothing to deliver.")
            }
        }
    }
}
