//! order -> payment: request/response, with a time-out and the circuit breaker.

use crate::{
    Orders,
    breaker::{Breaker, Permit, Settings},
};
use axum::body::Bytes;
use contracts::charge::{self, ChargeRequest};
use kernel::{
    Kernel, Trace,
    correlation::{CAUSATION_HEADER, CORRELATION_HEADER},
    log_line::{self, Level},
    metrics::Sample,
    platform::{self, Platform},
};
use serde_json::json;
use std::time::Duration;

/// Where the breaker's state is kept.
const BREAKER_KEY: &str = "order/breaker/payment";

/// Payment gave no answer, or was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// When to come back, in seconds.
    pub retry_after: u64,
}

/// Asks payment to charge. What came of it stands in the log, not in the answer: the caller catches up.
///
/// # Errors
/// [`Unavailable`] when payment did not answer in time, or fails too often to be asked.
pub async fn charge(kernel: &Kernel<Orders>, request: &ChargeRequest, trace: &Trace) -> Result<(), Unavailable> {
    let platform = &**kernel.platform();
    let settings = settings(platform).await;
    let breaker = read(platform).await;
    let breaker = match breaker.permit(now(platform), settings) {
        Permit::Call => breaker,
        Permit::Try(trying) => {
            write(platform, trying).await;
            trying
        }
        Permit::Refuse { retry_after_ms } => return Err(Unavailable::for_ms(retry_after_ms)),
    };
    match send(kernel, request, trace).await {
        Ok(()) => {
            if breaker != breaker.succeeded() {
                write(platform, breaker.succeeded()).await;
            }
            Ok(())
        }
        Err(error) => {
            let fields = json!({"correlation_id": request.order.order_id, "error": error});
            log_line::write(Level::Warn, "order", "payment did not answer", fields);
            // Others may have failed meanwhile: count on from what they wrote.
            let failed = read(platform).await.failed(now(platform), settings);
            write(platform, failed).await;
            match failed.permit(now(platform), settings) {
                Permit::Refuse { retry_after_ms } => Err(Unavailable::for_ms(retry_after_ms)),
                Permit::Call | Permit::Try(_) => Err(Unavailable::for_ms(0)),
            }
        }
    }
}

/// How the breaker stands, for operators.
pub async fn samples(kernel: &Kernel<Orders>) -> Vec<Sample> {
    let platform = &**kernel.platform();
    let state = read(platform).await.name(now(platform), settings(platform).await);
    let help = "The circuit breaker before the payment: 1 for the state that it is in.";
    let sample = |name| Sample::gauge("mealkit_breaker_state", help, &[("state", name)], i64::from(name == state));
    ["closed", "open", "half_open"].map(sample).to_vec()
}

async fn settings(platform: &dyn Platform) -> Settings {
    Settings {
        failures: platform::number(platform, "breaker_failures", 5).await,
        cooldown_ms: platform::number(platform, "breaker_cooldown_ms", 10_000).await,
    }
}

async fn send(kernel: &Kernel<Orders>, charge: &ChargeRequest, trace: &Trace) -> Result<(), String> {
    let platform = &**kernel.platform();
    let url = platform.variable("payment_url").await.unwrap_or_else(|| "http://payment.spin.internal".into());
    let body = serde_json::to_vec(charge).map_err(|error| error.to_string())?;
    let request = ::http::Request::post(format!("{url}{}", charge::PATH))
        .header("content-type", "application/json")
        .header(CORRELATION_HEADER, charge.order.order_id.as_str())
        .header(CAUSATION_HEADER, &trace.causation_id)
        .header("traceparent", &trace.traceparent)
        .body(Bytes::from(body))
        .map_err(|error| error.to_string())?;
    let patience = Duration::from_millis(platform::number(platform, "payment_timeout_ms", 2_000).await);
    match platform::within(platform, patience, kernel.keys().send(request)).await {
        Some(Ok(answer)) if answer.status().is_server_error() => Err(format!("it said {}", answer.status())),
        // An order that it will not charge is an answer, too.
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error),
        None => Err(format!("no answer within {} ms", patience.as_millis())),
    }
}

impl Unavailable {
    fn for_ms(ms: u64) -> Self {
        Self { retry_after: ms.div_ceil(1_000).max(1) }
    }
}

/// The breaker as it was last written. Without its state it counts as closed: better one call too many than no order.
async fn read(platform: &dyn Platform) -> Breaker {
    let found = platform.get(BREAKER_KEY).await.unwrap_or_else(|error| {
        log_line::write(Level::Warn, "order", "the breaker could not be read", json!({"error": error}));
        None
    });
    found.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

async fn write(platform: &dyn Platform, breaker: Breaker) {
    let written = match serde_json::to_vec(&breaker) {
        Ok(bytes) => platform.set(BREAKER_KEY, bytes).await,
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = written {
        log_line::write(Level::Warn, "order", "the breaker could not be written", json!({"error": error}));
    }
}

fn now(platform: &dyn Platform) -> u64 {
    platform::unix_ms(platform.now()).unsigned_abs()
}
