//! The payment gateway: where money really moves.
//!
//! It is another system, so nothing can be committed here and there at once. Hence the intent is committed before the
//! gateway is asked, every request to it can be repeated (the order's id is its idempotency key), and what is left open,
//! whoever died on the way, is settled by the periodic catch-up, which asks the gateway what it did.

mod http;
mod sandbox;

use crate::{
    Payments,
    domain::{Command, Payment, Verdict},
    store::{self, Open},
};
use contracts::{charge::ChargeRequest, ids::OrderId};
use futures::future::{BoxFuture, join_all};
use http::HttpGateway;
use kernel::{
    Error, Failure, Kernel, Trace,
    log_line::{self, Level},
    platform::Platform,
};
use sandbox::Sandbox;
use serde_json::json;
use std::sync::Arc;

/// How many payments are settled at once, and how many in one go.
const AT_ONCE: usize = 16;
const AT_MOST: usize = 256;

/// The value of `payment_gateway_url` that means the sandbox: a host that cannot be (RFC 2606).
const SANDBOX: &str = "http://sandbox.invalid";

/// The gateway gave no answer that could be relied on: it may have done what it was asked, or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// It answered with an error, or something that makes no sense.
    #[error("the gateway failed: {0}")]
    Failed(String),
    /// It could not be reached, or took too long.
    #[error("the gateway could not be reached: {0}")]
    Unreachable(String),
}

/// Somebody who charges cards.
pub trait PaymentGateway: Send + Sync {
    /// Charges the order's amount, unless that was done before; `None` when the charge was cancelled before.
    fn charge<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, Result<Option<Verdict>, GatewayError>>;

    /// What it said to the order's charge; `None` when it knows of none, or has cancelled it.
    fn look_up<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Result<Option<Verdict>, GatewayError>>;

    /// Gives the money back, if the order was charged, and charges it never more.
    fn cancel<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Result<(), GatewayError>>;
}

/// The gateway that the variables name.
pub async fn open(platform: &dyn Platform) -> Box<dyn PaymentGateway + '_> {
    let url = platform.variable("payment_gateway_url").await;
    match url.filter(|url| url != SANDBOX) {
        Some(url) => Box::new(HttpGateway::new(platform, url).await),
        None => Box::new(Sandbox::new(platform).await),
    }
}

/// Does what is left to be done at the gateway: asks it about charges whose answer nobody got, and has it cancel what was
/// cancelled here. What it does not answer for now stays open for the next time.
///
/// # Errors
/// When the database cannot be used.
pub async fn settle(kernel: &Arc<Kernel<Payments>>) -> Result<(), Error> {
    let gateway = open(&**kernel.platform()).await;
    for what in [Open::Cancel, Open::Charge] {
        let payments = store::open(kernel, what, AT_MOST).await?;
        for payments in payments.chunks(AT_ONCE) {
            let settled = join_all(payments.iter().map(async |payment| {
                let outcome = match what {
                    Open::Cancel => cancel(kernel, &*gateway, &payment.order_id).await,
                    Open::Charge => look_up(kernel, &*gateway, payment).await,
                };
                outcome.map_err(|error| (payment, error))
            }));
            let mut refused = false;
            for outcome in settled.await {
                match outcome {
                    Ok(()) => {}
                    Err((payment, Unsettled::Gateway(error))) => {
                        refused = true;
                        let fields = json!({"correlation_id": payment.order_id, "error": error.to_string()});
                        log_line::write(Level::Warn, "payment", "a payment could not be settled", fields);
                    }
                    Err((_, Unsettled::Here(error))) => return Err(error),
                }
            }
            // It would not answer for the others either.
            if refused {
                break;
            }
        }
    }
    Ok(())
}

/// Why a payment could not be settled.
enum Unsettled {
    Gateway(GatewayError),
    Here(Error),
}

async fn cancel(kernel: &Kernel<Payments>, gateway: &dyn PaymentGateway, order_id: &OrderId) -> Result<(), Unsettled> {
    gateway.cancel(order_id).await.map_err(Unsettled::Gateway)?;
    let done = |payment: &Option<Payment>| Ok(payment.clone().map(|payment| Payment { cancel_due: false, ..payment }));
    done_or_later(kernel.remember(order_id, order_id.as_str(), done).await)
}

async fn look_up(kernel: &Kernel<Payments>, gateway: &dyn PaymentGateway, payment: &Payment) -> Result<(), Unsettled> {
    let verdict = gateway.look_up(&payment.order_id).await.map_err(Unsettled::Gateway)?;
    let (Some(verdict), Some(intent)) = (verdict, payment.intent.clone()) else { return Ok(()) };
    let command = Command::Record { intent: Box::new(intent), verdict };
    done_or_later(kernel.execute(&payment.order_id, command, &Trace::own(), None, None).await)
}

/// Whatever came in between, the next catch-up sees it.
fn done_or_later<T, R>(outcome: Result<T, Failure<R>>) -> Result<(), Unsettled> {
    match outcome {
        Err(Failure::Failed(error)) if !matches!(error, Error::Delayed(_) | Error::Contended) => {
            Err(Unsettled::Here(error))
        }
        _ => Ok(()),
    }
}
