//! Reading before and after catching up comes to the same: what is unread is folded onto a row as it will be written there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use contracts::{EventType, ids::OrderId, samples};
use customer_center::{MyPages, domain::MyPage};
use delivery::{Deliveries, domain::Delivery};
use kernel::{
    Context, Entity, Kernel,
    testing::{Native, event},
};
use order::{Orders, domain::Order};
use payment::{Payments, domain::Payment};
use proptest::prelude::*;
use saga_tests::{About, contexts, recorded};
use std::fmt::Debug;

const ORDERS: [&str; 3] = ["order-a", "order-b", "order-c"];

/// A log of events that other contexts, or an earlier self, may have appended, with a catch-up now and then.
fn logs() -> impl Strategy<Value = Vec<(EventType, usize, bool)>> {
    let event_type = prop::sample::select(EventType::ALL.to_vec());
    prop::collection::vec((event_type, 0..ORDERS.len(), prop::bool::weighted(0.1)), 1..40)
}

/// Reads all orders after each event: without catching up, and after that. Both must be the same, the version, which is the
/// ETag, included.
async fn folds<C: Context, E: Entity<Id = OrderId> + Debug>(log: &[(EventType, usize, bool)]) {
    let native = Native::new();
    let (reader, writer) = (open::<C>(&native).await, open::<C>(&native.replica()).await);
    for (event_type, order, catch_up) in log {
        // What a context appends itself is in its rows already.
        if EventType::find(C::CONSUMES, event_type.as_str()).is_some() {
            native.append("another", event(event_type.as_str(), ORDERS[*order]));
        }
        let mut folded = Vec::new();
        for id in ORDERS {
            folded.push(reader.find::<E>(&OrderId::new(id)).await.unwrap());
        }
        if *catch_up {
            writer.catch_up().await.unwrap();
            for (id, folded) in ORDERS.into_iter().zip(folded) {
                assert_eq!(writer.find::<E>(&OrderId::new(id)).await.unwrap(), folded, "{id} in {}", C::NAME);
            }
        }
    }
}

async fn open<C: Context>(native: &std::sync::Arc<Native>) -> std::sync::Arc<Kernel<C>> {
    Kernel::<C>::open(native.clone()).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn folding_comes_to_the_same_as_catching_up(log in logs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            folds::<MyPages, MyPage>(&log).await;
            folds::<Orders, Order>(&log).await;
            folds::<Payments, Payment>(&log).await;
            folds::<Deliveries, Delivery>(&log).await;
        });
    }
}

#[test]
fn what_is_folded_concerns_its_subject_only() {
    const { assert!(!product::Products::BY_SUBJECT && !marketing::Marketing::BY_SUBJECT, "they cannot") };
    for About { name, consumes, rows, .. } in contexts() {
        let consumed = samples::all().into_iter().filter(|event| consumes.contains(&event.event_type()));
        let Some(rows) = rows else { continue };
        for event in consumed {
            let rows = rows(&recorded(event.clone()));
            assert!(rows.iter().all(|id| id == event.subject()), "{} in {name}: {rows:?}", event.name());
        }
    }
}
