//! Routes -> queries.

use crate::{
    MyPages,
    domain::{Entry, MyPage},
    rebuild, store,
};
use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use contracts::ids::{MemberId, OrderId, ProductId};
use kernel::{
    Kernel, Versioned,
    http::{Answer, OptionalBody, Page, Problem, Query},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The context's routes.
pub fn routes(kernel: Arc<Kernel<MyPages>>) -> Router {
    Router::new()
        .route("/mypages", get(list))
        .route("/mypages/rebuild", post(rebuild))
        .route("/mypages/{order_id}", get(show))
        .with_state(kernel)
}

/// Nothing needs to be said about a rebuild.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {}

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
    timeline: &'a [Entry],
    updated_at: &'a str,
}

async fn show(State(kernel): State<Arc<Kernel<MyPages>>>, Path(id): Path<String>) -> Result<Answer, Problem> {
    let order_id = OrderId::new(id);
    let page = kernel.find::<MyPage>(&order_id).await?;
    let page = page.ok_or_else(|| Problem::not_found("There is no such order."))?;
    Ok(Answer::ok(View::of(&page)).version(page.version).about(order_id.as_str()))
}

async fn list(State(kernel): State<Arc<Kernel<MyPages>>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing(&["member_id"])?;
    let pages = store::list(&kernel, &listing).await?;
    let views = pages.iter().map(View::of).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.order_id.to_string())))
}

async fn rebuild(
    State(kernel): State<Arc<Kernel<MyPages>>>,
    OptionalBody(Request {}): OptionalBody<Request>,
) -> Result<Answer, Problem> {
    Ok(Answer::ok(rebuild::rebuild(&kernel).await?))
}

impl<'a> View<'a> {
    fn of(Versioned { value, .. }: &'a Versioned<MyPage>) -> Self {
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
            timeline: &value.timeline,
            updated_at: &value.updated_at,
        }
    }
}
