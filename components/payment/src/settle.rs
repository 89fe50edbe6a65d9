//! What the periodic catch-up does about the gateway: it has it cancel what was cancelled here, and asks it about orders that
//! were placed a while ago and have no payment. Whoever was to charge them died on the way, before the gateway was asked or
//! before its answer was written down.
//!
//! The orders are found in the log, behind a bookmark: all before it have a payment, or will have none.

use crate::{
    Payments,
    domain::{self, Command},
    gateway::{self, GatewayError, PaymentGateway},
    store,
};
use contracts::{Event, OrderPlaced, ids::OrderId};
use futures::future::{BoxFuture, FutureExt, join_all};
use kernel::{
    Bookmark, Error, Failure, Kernel, Recorded, Trace,
    log_line::{self, Level},
    platform,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The bookmark's name among the consumers of the log.
const BOOKMARK: &str = "payment-settlement";

/// How many payments are settled at once, and how many in one go.
const AT_ONCE: usize = 16;
const AT_MOST: usize = 256;

/// Does what is left to be done at the gateway. What it does not answer for now stays open for the next time.
///
/// # Errors
/// When the database cannot be used.
pub async fn settle(kernel: &Arc<Kernel<Payments>>) -> Result<(), Error> {
    let gateway = gateway::open(&**kernel.platform()).await;
    let due = store::cancel_due(kernel, AT_MOST).await?;
    all(due.iter().map(|payment| cancel(kernel, &*gateway, &payment.order_id).boxed())).await?;
    let bookmark = kernel.bookmark(BOOKMARK).await?;
    let open = open(kernel, &bookmark).await?;
    let settled_to = open.first().and_then(|placed| placed.seq).map_or(bookmark.head, |first| first - 1);
    let overdue = overdue(kernel, open).await?;
    all(overdue.iter().map(|order| look_up(kernel, &*gateway, order).boxed())).await?;
    kernel.turn(&bookmark, settled_to).await
}

/// How many orders behind the bookmark have waited for their payment for too long.
///
/// # Errors
/// When the database cannot be used.
pub async fn unsettled(kernel: &Kernel<Payments>) -> Result<i64, Error> {
    let bookmark = kernel.bookmark(BOOKMARK).await?;
    let overdue = overdue(kernel, open(kernel, &bookmark).await?).await?;
    Ok(i64::try_from(overdue.len()).unwrap_or(i64::MAX))
}

/// The placed orders that have no payment, the first ones first.
async fn open(kernel: &Kernel<Payments>, bookmark: &Bookmark) -> Result<Vec<Recorded>, Error> {
    let open = "NOT EXISTS (SELECT 1 FROM payment_row WHERE id = event.subject AND kind = 'payment' \
        AND row ->> 'status' <> 'requested')";
    kernel.behind(bookmark, OrderPlaced::TYPE, open, AT_MOST).await
}

/// Those of them that were placed a while ago. One from the future counts, too: the clock was set back.
async fn overdue(kernel: &Kernel<Payments>, open: Vec<Recorded>) -> Result<Vec<OrderPlaced>, Error> {
    let platform = &**kernel.platform();
    let patience = Duration::from_millis(platform::number(platform, "gateway_timeout_ms", 1_500).await);
    let recent = platform::around_now(platform, patience);
    let overdue = open.into_iter().filter(|placed| !recent.contains(&placed.time));
    let orders = overdue.filter_map(|placed| match placed.event {
        Event::OrderPlaced(order) => Some(order),
        _ => None,
    });
    Ok(orders.collect())
}

/// Why a payment could not be settled.
enum Unsettled {
    /// Of which order.
    Gateway(OrderId, GatewayError),
    Here(Error),
}

/// Does all of it, some at once, until the gateway does not answer.
async fn all<'a>(mut work: impl Iterator<Item = BoxFuture<'a, Result<(), Unsettled>>>) -> Result<(), Error> {
    loop {
        let some: Vec<_> = work.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return Ok(());
        }
        let mut refused = false;
        for outcome in join_all(some).await {
            match outcome {
                Ok(()) => {}
                Err(Unsettled::Gateway(order_id, error)) => {
                    refused = true;
                    let fields = json!({"correlation_id": order_id, "error": error.to_string()});
                    log_line::write(Level::Warn, "payment", "a payment could not be settled", fields);
                }
                Err(Unsettled::Here(error)) => return Err(error),
            }
        }
        // It would not answer for the others either.
        if refused {
            return Ok(());
        }
    }
}

async fn cancel(kernel: &Kernel<Payments>, gateway: &dyn PaymentGateway, order_id: &OrderId) -> Result<(), Unsettled> {
    gateway.cancel(order_id).await.map_err(|error| Unsettled::Gateway(order_id.clone(), error))?;
    done_or_later(kernel.remember(order_id, order_id.as_str(), domain::is_cancelled_there).await)
}

async fn look_up(
    kernel: &Kernel<Payments>,
    gateway: &dyn PaymentGateway,
    order: &OrderPlaced,
) -> Result<(), Unsettled> {
    let order_id = &order.order_id;
    let verdict = gateway.look_up(order_id).await.map_err(|error| Unsettled::Gateway(order_id.clone(), error))?;
    let Some(verdict) = verdict else { return Ok(()) };
    let order = Box::new(order.clone());
    done_or_later(kernel.execute(Command::Record { order, verdict }, &Trace::own()).await)
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
