//! A gateway without money: for development, tests and demonstrations.

use super::{GatewayError, PaymentGateway};
use crate::domain::Verdict;
use contracts::{charge::ChargeRequest, ids::OrderId};
use futures::future::BoxFuture;
use kernel::platform::{self, Platform};
use std::time::Duration;
use uuid::Uuid;

/// What the sandbox plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Slow(Duration),
    Failing,
    Unreachable,
}

/// The sandbox. It keeps no books: what it approved is true once it is committed here, and there is nothing to give back.
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

    async fn play(&self) -> Result<(), GatewayError> {
        let as_asked = || "as the variable sandbox_fault wants".to_owned();
        match self.fault {
            Fault::None => Ok(()),
            Fault::Slow(delay) => {
                self.platform.sleep(delay).await;
                Ok(())
            }
            Fault::Failing => Err(GatewayError::Failed(as_asked())),
            Fault::Unreachable => Err(GatewayError::Unreachable(as_asked())),
        }
    }
}

impl PaymentGateway for Sandbox<'_> {
    fn charge<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, Result<Option<Verdict>, GatewayError>> {
        Box::pin(async move {
            self.play().await?;
            Ok(Some(verdict(charge)))
        })
    }

    fn look_up<'a>(&'a self, _: &'a OrderId) -> BoxFuture<'a, Result<Option<Verdict>, GatewayError>> {
        Box::pin(async { Ok(None) })
    }

    fn cancel<'a>(&'a self, _: &'a OrderId) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async { Ok(()) })
    }
}

#[expect(clippy::disallowed_methods, reason = "the sandbox plays another system")]
fn verdict(charge: &ChargeRequest) -> Verdict {
    if charge.card_number.expose() == DECLINED_CARD {
        Verdict::Declined { reason: "card_declined".into() }
    } else if charge.order.amount > LIMIT {
        Verdict::Declined { reason: "limit_exceeded".into() }
    } else {
        Verdict::Approved { approval_number: Uuid::now_v7().simple().to_string() }
    }
}
