//! Routes -> queries.

use crate::{MyPages, domain::MyPage, rebuild, store};
use axum::extract::{Path, State};
use contracts::ids::{MemberId, OrderId, ProductId};
use kernel::{
    Entry, Error, Kernel, Trace, Versioned,
    actor::Role,
    http::{Access, Answer, NoMembers, OptionalBody, Page, Problem, Query, Routes},
};
use serde::Serialize;
use std::sync::Arc;

pub fn routes(kernel: Arc<Kernel<MyPages>>) -> Routes {
    Routes::new()
        .get("/mypages", Access::Roles(&[Role::Member, Role::Operator]), list)
        .post("/mypages/rebuild", Access::Scope("rebuild"), rebuild)
        .get("/mypages/{order_id}", Access::Roles(&[Role::Member, Role::Operator]), show)
        .with_state(kernel)
}

/// A page as its member sees it.
#[derive(Serialize)]
struct View<'a> {
    order_id: &'a OrderId,
    member_id: &'a MemberId,
    product_id: &'a ProductId,
    product_name: &'a str,
    quantity: u32,
    amount: u64,
    address: &'a str,
    card: Option<&'a str>,
    order_status: &'a str,
    payment_status: Option<&'a str>,
    delivery_status: Option<&'a str>,
    timeline: Vec<Line<'a>>,
    updated_at: &'a str,
}

/// A line of the timeline.
#[derive(Serialize)]
struct Line<'a> {
    seq: i64,
    #[serde(rename = "type")]
    event_type: &'a str,
    at: &'a str,
    /// What should follow from it is delayed; left out when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    delayed: Option<bool>,
}

async fn show(
    State(kernel): State<Arc<Kernel<MyPages>>>,
    Trace { actor, .. }: Trace,
    Path(order_id): Path<OrderId>,
) -> Result<Answer, Problem> {
    let page = kernel.find::<MyPage>(&order_id).await?;
    if page.as_ref().is_some_and(|page| !page.value.is_shown_to(&actor)) {
        return Err(Problem::not_found("There is no such order."));
    }
    let parked = kernel.parked(&[order_id.as_str()]).await?;
    match page {
        // Its version does not count what is parked, and begins anew with a rebuild.
        Some(page) => Ok(Answer::ok(View::of(&page, &parked)).etag_of_body().about(order_id.as_str())),
        // Its very first event is parked.
        None if !parked.is_empty() && actor.runs_the_shop() => Err(Error::Delayed(order_id.to_string()).into()),
        None => Err(Problem::not_found("There is no such order.")),
    }
}

async fn list(
    State(kernel): State<Arc<Kernel<MyPages>>>,
    Trace { actor, .. }: Trace,
    query: Query,
) -> Result<Answer, Problem> {
    let listing = query.listing(&["member_id"])?;
    let pages = store::list(&kernel, &listing, &actor).await?;
    let orders: Vec<&str> = pages.iter().map(|page| page.value.order_id.as_str()).collect();
    let parked = kernel.parked(&orders).await?;
    let views = pages.iter().map(|page| View::of(page, &parked)).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.order_id.to_string())))
}

async fn rebuild(
    State(kernel): State<Arc<Kernel<MyPages>>>,
    OptionalBody(NoMembers {}): OptionalBody<NoMembers>,
) -> Result<Answer, Problem> {
    Ok(Answer::ok(rebuild::rebuild(&kernel).await?))
}

impl<'a> View<'a> {
    /// The page, with the events about it that it could not take in yet: they are delayed, not lost.
    fn of(Versioned { value, .. }: &'a Versioned<MyPage>, parked: &'a [Entry]) -> Self {
        let shown = value.timeline.iter().map(|entry| Line {
            seq: entry.seq,
            event_type: &entry.event_type,
            at: &entry.at,
            delayed: (entry.delays > 0).then_some(true),
        });
        let parked = parked.iter().filter(|event| event.subject == value.order_id.as_str()).map(|event| Line {
            seq: event.seq,
            event_type: &event.event_type,
            at: &event.time,
            delayed: Some(true),
        });
        let mut timeline: Vec<_> = shown.chain(parked).collect();
        timeline.sort_by_key(|line| line.seq);
        Self {
            order_id: &value.order_id,
            member_id: &value.member_id,
            product_id: &value.product_id,
            product_name: &value.product_name,
            quantity: value.quantity,
            amount: value.amount,
            address: &value.address,
            card: value.card.as_deref(),
            order_status: &value.order_status,
            payment_status: value.payment_status.as_deref(),
            delivery_status: value.delivery_status.as_deref(),
            timeline,
            updated_at: &value.updated_at,
        }
    }
}
