//! Routes -> commands and queries.

use crate::{
    Orders,
    domain::{Command, Order, PAYMENT_UNAVAILABLE, Refusal, Status},
    payment::{self, Unavailable},
    store::{self, DeskKey},
};
use ::http::StatusCode;
use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use contracts::{
    charge::{CardNumber, ChargeRequest},
    ids::{MemberId, OrderId, ProductId},
};
use kernel::{
    Failure, Kernel, Trace, Versioned,
    http::{Answer, Attempt, Begin, Body, Checks, Key, OptionalBody, Page, Problem, Query, integer, object},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// The context's routes.
pub fn routes(kernel: Arc<Kernel<Orders>>) -> Router {
    Router::new()
        .route("/orders", get(list).post(place))
        .route("/orders/{id}", get(show).delete(cancel))
        .route("/orders/{id}/cancel", post(cancel))
        .with_state(kernel)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placement {
    member_id: String,
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

/// A placement that keeps all rules. Written down beside its idempotency key, so without the card's number.
#[derive(Serialize)]
struct Checked {
    member_id: MemberId,
    product_id: ProductId,
    quantity: u32,
    address: String,
    card: String,
    card_owner: String,
    #[serde(skip)]
    card_number: CardNumber,
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
    address: &'a str,
    status: Status,
    reason: Option<&'a str>,
    version: i64,
    created_at: &'a str,
    updated_at: &'a str,
}

/// No order without payment: the order is placed, charged, and answered as what it has become.
async fn place(
    State(kernel): State<Arc<Kernel<Orders>>>,
    trace: Trace,
    Key(key): Key,
    Body(placement): Body<Placement>,
) -> Result<Answer, Problem> {
    let placement = placement.check()?;
    loop {
        let (attempt, order, placed_by) = match kernel.begin(key.clone(), &placement, fresh_id()).await? {
            Begin::Answered(answer) => return Ok(answer),
            Begin::New(attempt) => match commit(&kernel, attempt, &placement, &trace).await {
                Err(Failure::KeyTaken) => continue,
                other => other?,
            },
            Begin::Started(attempt) => match find(&kernel, attempt.subject()).await?.value {
                // It was rejected for want of payment, which is no answer but "come back". So try anew.
                order if order.reason.as_deref() == Some(PAYMENT_UNAVAILABLE) => {
                    match commit(&kernel, attempt.again(fresh_id()), &placement, &trace).await {
                        Err(Failure::KeyTaken) => continue,
                        other => other?,
                    }
                }
                // Its request died on the way: go on from there.
                order => (attempt, order, trace.clone()),
            },
        };
        let (order, unavailable) = pay(&kernel, order, &placement, &placed_by).await?;
        return match answer(&order, unavailable) {
            Ok(answer) => Ok(kernel.finish(&attempt, answer).await?),
            Err(problem) => Err(problem),
        };
    }
}

/// Commits the order. Returns it with the trace of what follows: caused by its event, no longer by the request.
async fn commit(
    kernel: &Kernel<Orders>,
    attempt: Attempt,
    placement: &Checked,
    trace: &Trace,
) -> Result<(Attempt, Order, Trace), Failure<Refusal>> {
    let order_id = OrderId::new(attempt.subject());
    let desk = DeskKey::order_of_kit(&order_id, &placement.product_id);
    let command = Command::Place {
        order_id,
        member_id: placement.member_id.clone(),
        quantity: placement.quantity,
        address: placement.address.clone(),
    };
    let executed = kernel.execute(&desk, command, trace, None, Some(&attempt)).await?;
    let trace = match executed.events.first() {
        Some(placed) => trace.following(placed),
        None => trace.clone(),
    };
    let order = executed.state.value.order.ok_or(Failure::Refused(Refusal::Unknown))?;
    Ok((attempt, order, trace))
}

/// Has the order charged, unless it was, and returns what has become of it according to the log: a payment that timed
/// out may have been completed all the same.
async fn pay(
    kernel: &Kernel<Orders>,
    order: Order,
    placement: &Checked,
    trace: &Trace,
) -> Result<(Versioned<Order>, Unavailable), Problem> {
    let order_id = order.order_id.clone();
    let mut unavailable = Unavailable { retry_after: 1 };
    if order.status == Status::Pending
        && let Err(error) = payment::charge(kernel, &placement.charge(order), trace).await
    {
        unavailable = error;
    }
    let order = find(kernel, order_id.as_str()).await?;
    if order.value.status != Status::Pending {
        return Ok((order, unavailable));
    }
    // The rejection is refused if a completed payment gets into the log first; then the order is paid.
    let command = Command::Reject { reason: PAYMENT_UNAVAILABLE.into() };
    let desk = kernel.execute(&DeskKey::order(&order_id), command, trace, None, None).await?.state;
    let order = desk.value.order.ok_or(Refusal::Unknown)?;
    Ok((Versioned { version: desk.version, value: order }, unavailable))
}

/// The answer to a placement: final, or (as an error) to be tried again.
fn answer(order: &Versioned<Order>, unavailable: Unavailable) -> Result<Answer, Problem> {
    let order_id = order.value.order_id.as_str();
    match (order.value.status, order.value.reason.as_deref()) {
        (Status::Rejected, Some(PAYMENT_UNAVAILABLE) | None) => {
            let detail = "The payment is not available at the moment, so there is no order. Nothing was charged.";
            Err(Problem::unavailable("payment-unavailable", detail, unavailable.retry_after)
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
        _ => Ok(shown(StatusCode::CREATED, order).location(format!("/orders/{order_id}"))),
    }
}

async fn cancel(
    State(kernel): State<Arc<Kernel<Orders>>>,
    trace: Trace,
    Path(id): Path<String>,
    OptionalBody(cancellation): OptionalBody<Cancellation>,
) -> Result<Answer, Problem> {
    let mut checks = Checks::default();
    if let Some(reason) = &cancellation.reason {
        checks.text("reason", reason, 1..=500);
    }
    checks.done()?;
    let command = Command::Cancel { reason: cancellation.reason };
    let desk = kernel.execute(&DeskKey::order(&OrderId::new(id)), command, &trace, None, None).await?.state;
    let order = desk.value.order.ok_or(Refusal::Unknown)?;
    Ok(shown(StatusCode::OK, &Versioned { version: desk.version, value: order }))
}

async fn show(State(kernel): State<Arc<Kernel<Orders>>>, Path(id): Path<String>) -> Result<Answer, Problem> {
    Ok(shown(StatusCode::OK, &find(&kernel, &id).await?))
}

async fn list(State(kernel): State<Arc<Kernel<Orders>>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing(&["member_id"])?;
    let orders = store::list(&kernel, &listing).await?;
    let views = orders.iter().map(View::of).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.id.to_string())))
}

async fn find(kernel: &Kernel<Orders>, id: &str) -> Result<Versioned<Order>, Problem> {
    Ok(kernel.find::<Order>(&OrderId::new(id)).await?.ok_or(Refusal::Unknown)?)
}

fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}

fn shown(status: StatusCode, order: &Versioned<Order>) -> Answer {
    Answer::json(status, View::of(order)).version(order.version).about(order.value.order_id.as_str())
}

impl<'a> View<'a> {
    fn of(Versioned { version, value }: &'a Versioned<Order>) -> Self {
        Self {
            id: &value.order_id,
            member_id: &value.member_id,
            product_id: &value.product_id,
            product_name: &value.product_name,
            quantity: value.quantity,
            unit_price: value.unit_price,
            amount: value.amount,
            address: &value.address,
            status: value.status,
            reason: value.reason.as_deref(),
            version: *version,
            created_at: &value.created_at,
            updated_at: &value.updated_at,
        }
    }
}

impl Placement {
    fn check(self) -> Result<Checked, Problem> {
        let mut checks = Checks::default();
        checks.id("member_id", &self.member_id);
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
        Ok(Checked {
            member_id: MemberId::new(self.member_id),
            product_id: ProductId::new(self.product_id),
            quantity: u32::try_from(self.quantity).unwrap_or_default(),
            address: self.address,
            card: card_number.masked(),
            card_owner: self.payment.card_owner,
            card_number,
        })
    }
}

impl Checked {
    fn charge(&self, order: Order) -> ChargeRequest {
        ChargeRequest {
            order_id: order.order_id,
            member_id: order.member_id,
            seller_id: order.seller_id,
            product_id: order.product_id,
            product_name: order.product_name,
            quantity: order.quantity,
            amount: order.amount,
            address: order.address,
            card_number: self.card_number.clone(),
            card_owner: self.card_owner.clone(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::not_found("There is no such order."),
            Refusal::Exists => Self::conflict("exists", "There is an order with this id already."),
            Refusal::NoSuchProduct => Self::invalid_field("product_id", "there is no such product"),
            Refusal::Delivered => {
                Self::conflict("delivered", "The order was delivered, so it cannot be cancelled any more.")
            }
            Refusal::Rejected => Self::conflict("rejected", "The order was rejected, so there is nothing to cancel."),
        }
    }
}
