//! Routes -> commands and queries.

use crate::{
    Deliveries,
    domain::{Command, Delivery, Refusal, Status},
    store,
};
use axum::extract::{Path, State};
use contracts::ids::{DeliveryId, MemberId, OrderId};
use kernel::{
    Kernel, Trace, Versioned,
    actor::Role,
    http::{Access, Answer, Body, Checks, OptionalBody, Page, Problem, Query, Routes},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub fn routes(kernel: Arc<Kernel<Deliveries>>) -> Routes {
    const CONCERNED: Access = Access::Roles(&[Role::Member, Role::Courier, Role::Operator]);
    Routes::new()
        .get("/deliveries", CONCERNED, list)
        .get("/deliveries/{id}", CONCERNED, show)
        .post("/deliveries/{id}/assign", Access::Roles(&[Role::Operator]), assign)
        .post("/deliveries/{id}/complete", CONCERNED, complete)
        .with_state(kernel)
}

/// A delivery as its readers see it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a Option<DeliveryId>,
    order_id: &'a OrderId,
    member_id: &'a MemberId,
    address: &'a str,
    courier_id: Option<&'a MemberId>,
    status: Status,
    created_at: &'a str,
    updated_at: &'a str,
}

/// Who is to bring it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment {
    courier_id: String,
}

/// What is said of its arrival.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Completion {
    reason: Option<String>,
}

async fn assign(
    State(kernel): State<Arc<Kernel<Deliveries>>>,
    trace: Trace,
    Path(id): Path<DeliveryId>,
    Body(Assignment { courier_id }): Body<Assignment>,
) -> Result<Answer, Problem> {
    let mut checks = Checks::default();
    checks.id("courier_id", &courier_id);
    checks.done()?;
    let order_id = find(&kernel, &id).await?.value.order_id;
    decided(&kernel, Command::Assign { order_id, courier_id: MemberId::new(courier_id) }, &trace).await
}

async fn complete(
    State(kernel): State<Arc<Kernel<Deliveries>>>,
    trace: Trace,
    Path(id): Path<DeliveryId>,
    OptionalBody(Completion { reason }): OptionalBody<Completion>,
) -> Result<Answer, Problem> {
    let mut checks = Checks::default();
    if let Some(reason) = &reason {
        checks.text("reason", reason, 1..=500);
    }
    checks.done()?;
    let order_id = find(&kernel, &id).await?.value.order_id;
    decided(&kernel, Command::Complete { order_id, by: trace.actor.clone(), reason }, &trace).await
}

async fn decided(kernel: &Kernel<Deliveries>, command: Command, trace: &Trace) -> Result<Answer, Problem> {
    let state = kernel.execute(command, trace).await?.state;
    let value = state.value.ok_or(Refusal::Unknown)?;
    Ok(shown(&Versioned { version: state.version, value }))
}

async fn show(
    State(kernel): State<Arc<Kernel<Deliveries>>>,
    Trace { actor, .. }: Trace,
    Path(id): Path<DeliveryId>,
) -> Result<Answer, Problem> {
    let delivery = find(&kernel, &id).await?;
    if !delivery.value.is_shown_to(&actor) {
        return Err(Refusal::Unknown.into());
    }
    Ok(shown(&delivery))
}

async fn list(
    State(kernel): State<Arc<Kernel<Deliveries>>>,
    Trace { actor, .. }: Trace,
    query: Query,
) -> Result<Answer, Problem> {
    let listing = query.listing(&["order_id"])?;
    let deliveries = store::list(&kernel, &listing, &actor).await?;
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
            courier_id: value.courier_id.as_ref(),
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
            Refusal::Unexplained => Self::invalid_field("reason", "an operator says why"),
            Refusal::Completed => Self::conflict("completed", "The member has it already."),
            Refusal::NotStocked => {
                Self::conflict("not-stocked", "The kits were not taken from the stock yet. Try again in a moment.")
            }
            Refusal::Cancelled => {
                Self::conflict("cancelled", "The order was cancelled, so there is nothing to deliver.")
            }
        }
    }
}
