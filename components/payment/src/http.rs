//! Routes -> commands and queries.

use crate::{
    Payments,
    domain::{self, Charge, Command, Payment, Refusal, Status},
    gateway::{self, GatewayError},
    store,
};
use ::http::StatusCode;
use axum::extract::{Path, State};
use contracts::{
    Event, OrderPlaced,
    charge::{self, ChargeRequest},
    ids::{MemberId, OrderId, PaymentId},
};
use kernel::{
    Failure, Kernel, Trace, Versioned,
    actor::Role,
    http::{Access, Answer, Body, Page, Problem, Query, Routes},
};
use serde::Serialize;
use std::sync::Arc;

/// The context's routes. No public route leads to the charge.
pub fn routes(kernel: Arc<Kernel<Payments>>) -> Routes {
    Routes::new()
        .get("/payments", Access::Roles(&[Role::Member, Role::Operator]), list)
        .get("/payments/{id}", Access::Roles(&[Role::Member, Role::Operator]), show)
        .post(charge::PATH, Access::Context, charge)
        .with_state(kernel)
}

/// A payment as its readers see it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a Option<PaymentId>,
    order_id: &'a OrderId,
    member_id: &'a MemberId,
    amount: u64,
    status: Status,
    approval_number: Option<&'a str>,
    card: Option<&'a str>,
    card_owner: Option<&'a str>,
    reason: Option<&'a str>,
    created_at: &'a str,
    updated_at: &'a str,
}

/// Charges an order, unless that was done already. It stands in the log what is to be charged, and no more than that is,
/// whatever the caller says: and whatever happens to this request, the catch-up knows that the gateway has to be asked what
/// it did. What was known of the order before the
/// gateway was asked is what the verdict is written down on: if it was closed meanwhile, it is decided again.
async fn charge(
    State(kernel): State<Arc<Kernel<Payments>>>,
    trace: Trace,
    Body(ChargeRequest { order, card_number }): Body<ChargeRequest>,
) -> Result<Answer, Problem> {
    let order_id = order.order_id;
    let known = kernel.known(&order_id).await?;
    if domain::charge(&known.state)? == Charge::Done {
        return Ok(shown(&find(&kernel, &order_id).await?));
    }
    let Some(Event::OrderPlaced(order)) = kernel.told(OrderPlaced::TYPE, order_id.as_str()).await? else {
        return Err(Problem::not_found("There is no such order."));
    };
    let charge = ChargeRequest { order, card_number };
    let gateway = gateway::open(&**kernel.platform()).await;
    let verdict = gateway.charge(&charge).await.map_err(|error| unavailable(&order_id, &error))?;
    // Cancelled there, so it was closed here.
    let verdict = verdict.ok_or(Refusal::OrderClosed)?;
    let command = Command::Record { order: Box::new(charge.order), verdict };
    match kernel.execute(command, &trace).on(known).await {
        Ok(executed) => {
            let Versioned { version, value } = executed.state;
            let payment = Versioned { version, value: value.ok_or(Refusal::Unknown)? };
            Ok(shown(&payment))
        }
        Err(Failure::Refused(Refusal::OrderClosed)) => {
            kernel.remember(&order_id, order_id.as_str(), domain::cancel_is_due).await?;
            Err(Refusal::OrderClosed.into())
        }
        Err(failure) => Err(failure.into()),
    }
}

async fn find(kernel: &Kernel<Payments>, order_id: &OrderId) -> Result<Versioned<Payment>, Problem> {
    Ok(kernel.find::<Payment>(order_id).await?.ok_or(Refusal::Unknown)?)
}

async fn show(
    State(kernel): State<Arc<Kernel<Payments>>>,
    Trace { actor, .. }: Trace,
    Path(id): Path<PaymentId>,
) -> Result<Answer, Problem> {
    let payment = store::find(&kernel, &id).await?.filter(|payment| payment.value.is_shown_to(&actor));
    Ok(shown(&payment.ok_or(Refusal::Unknown)?))
}

async fn list(
    State(kernel): State<Arc<Kernel<Payments>>>,
    Trace { actor, .. }: Trace,
    query: Query,
) -> Result<Answer, Problem> {
    let listing = query.listing(&["order_id"])?;
    let payments = store::list(&kernel, &listing, &actor).await?;
    let views = payments.iter().map(View::of).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.order_id.to_string())))
}

fn shown(payment: &Versioned<Payment>) -> Answer {
    Answer::ok(View::of(payment)).version(payment.version).about(payment.value.order_id.as_str())
}

fn unavailable(order_id: &OrderId, error: &GatewayError) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "gateway-unavailable", "The payment gateway gave no answer.")
        .about(order_id.as_str())
        .caused_by(error)
}

impl<'a> View<'a> {
    fn of(Versioned { value, .. }: &'a Versioned<Payment>) -> Self {
        Self {
            id: &value.payment_id,
            order_id: &value.order_id,
            member_id: &value.member_id,
            amount: value.amount,
            status: value.status,
            approval_number: value.approval_number.as_deref(),
            card: value.card.as_deref(),
            card_owner: value.card_owner.as_deref(),
            reason: value.reason.as_deref(),
            created_at: &value.created_at,
            updated_at: &value.updated_at,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::not_found("There is no such payment."),
            Refusal::OrderClosed => Self::conflict("order-closed", "The order is closed, so it is not charged."),
        }
    }
}
