//! The payment gateway: where money really moves.

use crate::domain::Verdict;
use contracts::charge::ChargeRequest;
use futures::future::BoxFuture;
use kernel::platform::{self, Platform};
use std::time::Duration;
use uuid::Uuid;

/// The gateway gave no answer that could be relied on: it may have charged or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// It answered with an error.
    #[error("the gateway failed")]
    Failed,
    /// It could not be reached.
    #[error("the gateway could not be reached")]
    Unreachable,
}

/// Somebody who charges cards.
pub trait PaymentGateway: Send + Sync {
    /// Charges the order's amount. The order's id is the idempotency key: the same order is charged once.
    fn charge<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, Result<Verdict, GatewayError>>;
}

/// What the sandbox plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Slow(Duration),
    Failing,
    Unreachable,
}

/// A gateway without money: for development, tests and demonstrations.
pub struct Sandbox<'a> {
    platform: &'a dyn Platform,
    fault: Fault,
}

/// The card that is always declined.
const DECLINED_CARD: &str = "4000000000000002";
/// The most that is approved, in KRW.
const LIMIT: u64 = 10_000_000;

impl<'a> Sandbox<'a> {
    /// The sandbox, with the fault that the variable `sandbox_fault` wants.
    pub async fn new(platform: &'a dyn Platform) -> Self {
        let fault = match platform.variable("sandbox_fault").await.as_deref() {
            Some("slow") => {
                Fault::Slow(Duration::from_millis(platform::number(platform, "sandbox_delay_ms", 5_000).await))
            }
            Some("failing") => Fault::Failing,
            Some("unreachable") => Fault::Unreachable,
            _ => Fault::None,
        };
        Self { platform, fault }
    }
}

impl PaymentGateway for Sandbox<'_> {
    fn charge<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, Result<Verdict, GatewayError>> {
        Box::pin(async move {
            match self.fault {
                Fault::None => {}
                Fault::Slow(delay) => self.platform.sleep(delay).await,
                Fault::Failing => return Err(GatewayError::Failed),
                Fault::Unreachable => return Err(GatewayError::Unreachable),
            }
            Ok(verdict(charge))
        })
    }
}

fn verdict(charge: &ChargeRequest) -> Verdict {
    if charge.card_number.expose() == DECLINED_CARD {
        Verdict::Declined { reason: "card_declined" }
    } else if charge.amount > LIMIT {
        Verdict::Declined { reason: "limit_exceeded" }
    } else {
        Verdict::Approved { approval_number: Uuid::now_v7().simple().to_string() }
    }
}
