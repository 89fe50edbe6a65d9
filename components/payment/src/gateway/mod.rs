//! The payment gateway: where money really moves.
//!
//! It is another system, so nothing can be committed here and there at once. Hence what is to be charged stands in the log
//! before the gateway is asked, every request to it can be repeated (the order's id is its idempotency key), and what is
//! left open, whoever died on the way, is settled by the periodic catch-up, which asks the gateway what it did
//! ([`crate::settle`]).

mod http;
mod sandbox;

use crate::domain::Verdict;
use contracts::{charge::ChargeRequest, ids::OrderId};
use futures::future::BoxFuture;
use http::HttpGateway;
use kernel::platform::Platform;
use sandbox::Sandbox;

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
