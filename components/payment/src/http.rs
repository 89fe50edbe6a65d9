//! Routes -> commands and queries.

use crate::{
    Payments,
    domain::{self, Command, Intent, Payment, Refusal, Status},
    gateway::{self, GatewayError},
    store,
};
use ::http::StatusCode;
use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use contracts::{
    charge::{self, ChargeRequest},
    ids::{MemberId, OrderId, PaymentId},
};
use kernel::{
    Failure, Kernel, Trace, Versioned,
    http::{Answer, Body, Page, Problem, Query},
    platform,
};
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

/// The context's routes. No public route leads to the charge.
pub fn routes(kernel: Arc<Kernel<Payments>>) -> Router {
    Router::new()
        .route("/payments", get(list))
        .route("/payments/{id}", get(show))
        .route(charge::PATH, post(charge))
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

/// Charges an order, unless that was done already. The intent is committed first: whatever happens to this request, the
/// catch-up knows that the gateway has to be asked what it did.
async fn charge(
    State(kernel): State<Arc<Kernel<Payments>>>,
    trace: Trace,
    Body(charge): Body<ChargeRequest>,
) -> Result<Answer, Problem> {
    let order_id = charge.order_id.clone();
    let intent = Intent::new(PaymentId::from(Uuid::now_v7()), &charge);
    let time = platform::timestamp(kernel.platform().now());
    let request = |payment: &Option<Payment>| domain::request(payment, &intent, &time);
    let payment = kernel.remember(&order_id, order_id.as_str(), request).await?;
    let Some(intent) = payment.value.as_ref().and_then(|payment| payment.intent.clone()) else {
        return answer(payment);
    };
    let gateway = gateway::open(&**kernel.platform()).await;
    let verdict = gateway.charge(&charge).await.map_err(|error| unavailable(&order_id, &error))?;
    // Cancelled there, so it was closed here.
    let verdict = verdict.ok_or(Refusal::OrderClosed)?;
    let command = Command::Record { intent: Box::new(intent), verdict };
    match kernel.execute(&order_id, command, &trace, None, None).await {
        Ok(executed) => answer(executed.state),
        Err(Failure::Refused(Refusal::OrderClosed)) => {
            // The gateway may have been told to cancel before it charged: tell it again.
            let due =
                |payment: &Option<Payment>| Ok(payment.clone().map(|payment| Payment { cancel_due: true, ..payment }));
            kernel.remember(&order_id, order_id.as_str(), due).await?;
            Err(Refusal::OrderClosed.into())
        }
        Err(failure) => Err(failure.into()),
    }
}

fn answer(Versioned { version, value }: Versioned<Option<Payment>>) -> Result<Answer, Problem> {
    Ok(shown(&Versioned { version, value: value.ok_or(Refusal::Unknown)? }))
}

async fn show(State(kernel): State<Arc<Kernel<Payments>>>, Path(id): Path<String>) -> Result<Answer, Problem> {
    Ok(shown(&store::find(&kernel, &id).await?.ok_or(Refusal::Unknown)?))
}

async fn list(State(kernel): State<Arc<Kernel<Payments>>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing(&["order_id"])?;
    let payments = store::list(&kernel, &listing).await?;
    let views = payments.iter().map(View::of).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.order_id.to_string())))
}

fn shown(payment: &Versioned<Payment>) -> Answer {
    Answer::ok(View::of(payment)).version(payment.version).about(payment.value.order_id.as_str())
}

fn unavailable(order_id: &OrderId, error: &GatewayError) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "gateway-unavailable", "The payment gateway gave no answer.")
        .caused_by(error)
        .about(order_id.as_str())
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
