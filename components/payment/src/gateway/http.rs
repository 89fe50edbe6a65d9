//! A gateway over HTTP, as payment service providers have them; `docs/payment-gateway.md` is what it has to answer.

use super::{GatewayError, PaymentGateway};
use crate::domain::Verdict;
use ::http::{Method, Request, Response, StatusCode};
use axum::body::Bytes;
use contracts::{charge::ChargeRequest, ids::OrderId};
use futures::future::BoxFuture;
use kernel::platform::{self, Platform};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// The gateway at `payment_gateway_url`.
pub struct HttpGateway<'a> {
    platform: &'a dyn Platform,
    url: String,
    token: String,
    patience: Duration,
}

/// What it says.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Said {
    Approved { approval_number: String },
    Declined { reason: String },
    Cancelled {},
}

impl Said {
    fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Approved { approval_number } => Some(Verdict::Approved { approval_number }),
            Self::Declined { reason } => Some(Verdict::Declined { reason }),
            Self::Cancelled {} => None,
        }
    }
}

impl<'a> HttpGateway<'a> {
    pub async fn new(platform: &'a dyn Platform, url: String) -> Self {
        Self {
            platform,
            url: url.trim_end_matches('/').to_owned(),
            token: platform.variable("payment_gateway_token").await.unwrap_or_default(),
            patience: Duration::from_millis(platform::number(platform, "gateway_timeout_ms", 1_500).await),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        order_id: &OrderId,
        body: Bytes,
    ) -> Result<Response<Bytes>, GatewayError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("idempotency-key", order_id.as_str());
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let request = request.body(body).map_err(|error| GatewayError::Unreachable(error.to_string()))?;
        match platform::within(self.platform, self.patience, self.platform.send(request)).await {
            Some(answer) => answer.map_err(GatewayError::Unreachable),
            None => Err(GatewayError::Unreachable(format!("no answer within {} ms", self.patience.as_millis()))),
        }
    }
}

/// What an answer of one of these statuses says. Of any other only the status is repeated, whatever it says of the card.
fn read(answer: &Response<Bytes>, statuses: &[StatusCode]) -> Result<Said, GatewayError> {
    if !statuses.contains(&answer.status()) {
        return Err(GatewayError::Failed(format!("it said {}", answer.status())));
    }
    serde_json::from_slice(answer.body()).map_err(|_| GatewayError::Failed("its answer makes no sense".into()))
}

impl PaymentGateway for HttpGateway<'_> {
    fn charge<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, Result<Option<Verdict>, GatewayError>> {
        Box::pin(async move {
            let body = json!({
                "order_id": charge.order.order_id,
                "amount": charge.order.amount,
                "currency": "KRW",
                "card_number": charge.card_number.expose(),
                "card_owner": charge.order.card_owner,
            });
            let answer = self.send(Method::POST, "/charges", &charge.order.order_id, body.to_string().into()).await?;
            match answer.status() {
                // It was cancelled before.
                StatusCode::CONFLICT => Ok(None),
                _ => Ok(read(&answer, &[StatusCode::OK, StatusCode::CREATED])?.verdict()),
            }
        })
    }

    fn look_up<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Result<Option<Verdict>, GatewayError>> {
        Box::pin(async move {
            let answer = self.send(Method::GET, &format!("/charges/{order_id}"), order_id, Bytes::new()).await?;
            match answer.status() {
                StatusCode::NOT_FOUND => Ok(None),
                _ => Ok(read(&answer, &[StatusCode::OK])?.verdict()),
            }
        })
    }

    fn cancel<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let answer =
                self.send(Method::POST, &format!("/charges/{order_id}/cancel"), order_id, Bytes::new()).await?;
            match read(&answer, &[StatusCode::OK])? {
                Said::Cancelled {} => Ok(()),
                _ => Err(GatewayError::Failed("it did not cancel".into())),
            }
        })
    }
}
