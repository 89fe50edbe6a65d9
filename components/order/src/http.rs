//! Routes -> commands and queries.

use crate::{
    Orders,
    domain::{Command, Order, PAYMENT_UNAVAILABLE, Placement, Refusal, Status},
    place::{self, Outcome, order_of},
    store,
};
use ::http::StatusCode;
use axum::extract::{self, Path, State};
use contracts::{
    charge::CardNumber,
    ids::{MemberId, OrderId, ProductId},
    open_orders,
};
use kernel::{
    Kernel, Trace, Versioned,
    actor::{Actor, Member, Role},
    http::{Access, Answer, Body, Checks, Key, OptionalBody, Page, Problem, Query, Routes, integer, object, patched},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub fn routes(kernel: Arc<Kernel<Orders>>) -> Routes {
    const MAY_CANCEL: Access = Access::Roles(&[Role::Member, Role::Operator]);
    Routes::new()
        .get("/orders", Access::SignedIn, list)
        .post("/orders", Access::Roles(&[Role::Member]), place)
        .get("/orders/{id}", Access::SignedIn, show)
        .delete("/orders/{id}", MAY_CANCEL, cancel)
        .post("/orders/{id}/cancel", MAY_CANCEL, cancel)
        .get(open_orders::PATH, Access::Context, open)
        .with_state(kernel)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Whoever orders; they need not say it.
    #[serde(default, deserialize_with = "patched")]
    member_id: Option<MemberId>,
    product_id: String,
    #[serde(deserialize_with = "integer")]
    quantity: i64,
    address: String,
    #[serde(deserialize_with = "object")]
    payment: Card,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    card_number: String,
    card_owner: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    reason: Option<String>,
}

/// An order as its readers see it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a OrderId,
    member_id: &'a MemberId,
    product_id: &'a ProductId,
    product_name: &'a str,
    quantity: u32,
    unit_price: u64,
    amount: u64,
    /// Empty for a seller, as long as the order is not paid: it was promised to be a text.
    address: &'a str,
    status: Status,
    reason: Option<&'a str>,
    version: i64,
    created_at: &'a str,
    updated_at: &'a str,
}

async fn place(
    State(kernel): State<Arc<Kernel<Orders>>>,
    trace: Trace,
    member: Member,
    Key(key): Key,
    Body(request): Body<Request>,
) -> Result<Answer, Problem> {
    let (placement, card_number) = request.check(&member)?;
    let Outcome { order, retry_after } =
        place::place(&kernel, &placement, &card_number, key.as_deref(), &trace).await?;
    let order_id = order.value.placed.order_id.as_str();
    match (order.value.status, order.value.reason.as_deref()) {
        (Status::Rejected, Some(PAYMENT_UNAVAILABLE) | None) => {
            let detail = "The payment is not available at the moment, so there is no order. Nothing was charged.";
            Err(Problem::unavailable("payment-unavailable", detail, retry_after)
                .with("order_id", order_id)
                .about(order_id))
        }
        (Status::Rejected, Some(reason)) => {
            let detail = format!("The payment was declined ({reason}), so there is no order.");
            Ok(Problem::new(StatusCode::PAYMENT_REQUIRED, "payment-declined", detail)
                .with("order_id", order_id)
                .with("reason", reason)
                .about(order_id)
                .answer())
        }
        // Whoever reads 201 and no more must not take it for paid.
        (Status::Cancelled, _) => {
            let detail = "The order was cancelled, so it is not paid: what was charged goes back.";
            Ok(Problem::conflict("cancelled", detail).with("order_id", order_id).about(order_id).answer())
        }
        _ => Ok(shown(StatusCode::CREATED, &order, &trace.actor).location(format!("/orders/{order_id}"))),
    }
}

async fn cancel(
    State(kernel): State<Arc<Kernel<Orders>>>,
    trace: Trace,
    Path(order_id): Path<OrderId>,
    OptionalBody(cancellation): OptionalBody<Cancellation>,
) -> Result<Answer, Problem> {
    let mut checks = Checks::default();
    if let Some(reason) = &cancellation.reason {
        checks.text("reason", reason, 1..=500);
    }
    checks.done()?;
    let executed = kernel
        .execute(Command::Cancel { order_id, by: trace.actor.clone(), reason: cancellation.reason }, &trace)
        .await?;
    Ok(shown(StatusCode::OK, &order_of(executed.state)?, &trace.actor))
}

async fn show(
    State(kernel): State<Arc<Kernel<Orders>>>,
    Trace { actor, .. }: Trace,
    Path(id): Path<OrderId>,
) -> Result<Answer, Problem> {
    let order = place::find(&kernel, &id).await?;
    if !order.value.is_shown_to(&actor) {
        return Err(Refusal::Unknown.into());
    }
    Ok(shown(StatusCode::OK, &order, &actor))
}

async fn list(
    State(kernel): State<Arc<Kernel<Orders>>>,
    Trace { actor, .. }: Trace,
    query: Query,
) -> Result<Answer, Problem> {
    let listing = query.listing(&["member_id", "seller_id"])?;
    let orders = store::list(&kernel, &listing, &actor).await?;
    let views = orders.iter().map(|order| View::of(order, &actor)).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.id.to_string())))
}

/// Whose orders member wants to know of.
#[derive(Deserialize)]
struct Whose {
    member_id: MemberId,
}

/// The orders of a member that something may still become of.
async fn open(
    State(kernel): State<Arc<Kernel<Orders>>>,
    extract::Query(Whose { member_id }): extract::Query<Whose>,
) -> Result<Answer, Problem> {
    Ok(Answer::ok(store::open(&kernel, &member_id).await?))
}

fn shown(status: StatusCode, order: &Versioned<Order>, actor: &Actor) -> Answer {
    Answer::json(status, View::of(order, actor)).version(order.version).about(order.value.placed.order_id.as_str())
}

impl<'a> View<'a> {
    fn of(Versioned { version, value }: &'a Versioned<Order>, actor: &Actor) -> Self {
        let placed = &value.placed;
        Self {
            id: &placed.order_id,
            member_id: &placed.member_id,
            product_id: &placed.product_id,
            product_name: &placed.product_name,
            quantity: placed.quantity,
            unit_price: placed.unit_price,
            amount: placed.amount,
            address: value.address_for(actor).unwrap_or_default(),
            status: value.status,
            reason: value.reason.as_deref(),
            version: *version,
            created_at: &value.created_at,
            updated_at: &value.updated_at,
        }
    }
}

impl Request {
    fn check(self, member: &Member) -> Result<(Placement, CardNumber), Problem> {
        if self.member_id.is_some_and(|named| named != member.id) {
            return Err(Problem::forbidden("`member_id` is another member's: everybody orders for themselves."));
        }
        let mut checks = Checks::default();
        checks.id("product_id", &self.product_id);
        checks.range("quantity", self.quantity, 1..=99);
        checks.text("address", &self.address, 1..=500);
        checks.text("payment.card_owner", &self.payment.card_owner, 1..=100);
        let card_number = CardNumber::parse(&self.payment.card_number);
        if let Err(error) = &card_number {
            checks.rule("payment.card_number", false, error.to_string());
        }
        checks.done()?;
        let card_number =
            card_number.map_err(|error| Problem::invalid_field("payment.card_number", error.to_string()))?;
        let placement = Placement {
            member_id: member.id.clone(),
            product_id: ProductId::new(self.product_id),
            quantity: u32::try_from(self.quantity).unwrap_or_default(),
            address: self.address,
            card: card_number.masked(),
            card_owner: self.payment.card_owner,
        };
        Ok((placement, card_number))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::not_found("There is no such order."),
            Refusal::Exists => Self::conflict("exists", "There is an order with this id already."),
            Refusal::NoSuchProduct => Self::invalid_field("product_id", "there is no such product"),
            Refusal::Unexplained => Self::invalid_field("reason", "an operator says why"),
            Refusal::Delivered => {
                Self::conflict("delivered", "The order was delivered, so it cannot be cancelled any more.")
            }
            Refusal::Rejected => Self::conflict("rejected", "The order was rejected, so there is nothing to cancel."),
        }
    }
}
