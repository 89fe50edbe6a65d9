//! What must hold in the shop, whatever happens in whatever order.

use crate::Shop;
use contracts::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event, EventType, OrderCancelled, OrderPlaced,
    OrderRejected, OutOfStock, PaymentCancelled, PaymentCompleted, PaymentDeclined, StockDecreased, StockRestored,
    ids::{OrderId, ProductId},
    saga,
};
use customer_center::{MyPages, domain::MyPage};
use delivery::domain::{Delivery, Status as DeliveryStatus};
use kernel::{Context, Decider, Recorded, testing::model::Member};
use marketing::Marketing;
use order::domain::{Order, Status as OrderStatus};
use payment::domain::{Payment, Status as PaymentStatus};
use product::domain::Product;
use std::collections::{BTreeMap, BTreeSet};

/// What was broken.
pub type Broken = String;

/// Of each of these, one at most ever happens to an order.
const ONE_OF: &[&[EventType]] = &[
    &[OrderPlaced::TYPE],
    &[OrderRejected::TYPE, OrderCancelled::TYPE, DeliveryCompleted::TYPE],
    &[PaymentCompleted::TYPE, PaymentDeclined::TYPE],
    &[PaymentCancelled::TYPE],
    &[StockDecreased::TYPE, OutOfStock::TYPE],
    &[StockRestored::TYPE],
    &[DeliveryRequested::TYPE],
    &[DeliveryCompleted::TYPE, DeliveryCancelled::TYPE],
];

/// What holds at every moment.
///
/// # Errors
/// [`Broken`].
pub fn always(shop: &Shop) -> Result<(), Broken> {
    for order in orders(shop) {
        happens_once(shop, &order)?;
    }
    the_stock_adds_up(shop)?;
    nobody_is_told_twice(shop)
}

/// What holds when every context has read the log to its end.
///
/// # Errors
/// [`Broken`].
pub fn at_rest(shop: &Shop) -> Result<(), Broken> {
    for order in orders(shop) {
        all_agree(shop, &order)?;
        the_page_shows_it(shop, &order)?;
    }
    whoever_is_to_be_told_was_told(shop)
}

/// Nothing but the kit itself is left of an order that came to nothing.
///
/// # Errors
/// [`Broken`].
pub fn clean_slate(shop: &Shop, order: &OrderId) -> Result<(), Broken> {
    let status = shop.order.find::<Order>(order).map(|order| order.status);
    law(matches!(status, Some(OrderStatus::Cancelled | OrderStatus::Rejected)), || format!("{order} is {status:?}"))?;
    all_agree(shop, order)?;
    the_page_shows_it(shop, order)
}

/// The kits that the order holds by now: taken, and not given back.
pub fn held(shop: &Shop, order: &OrderId) -> i64 {
    let moves = shop.story(order).map(|event| match event {
        Event::StockDecreased(e) => i64::from(e.quantity),
        Event::StockRestored(e) => -i64::from(e.quantity),
        _ => 0,
    });
    moves.sum()
}

fn law(holds: bool, broken: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(broken()) }
}

fn orders(shop: &Shop) -> BTreeSet<OrderId> {
    shop.log.entries().iter().filter_map(|entry| entry.recorded.event.order_id().cloned()).collect()
}

/// An order is placed once, charged once and given back once, and never both delivered and cancelled; and nothing is
/// undone that was not done.
fn happens_once(shop: &Shop, order: &OrderId) -> Result<(), Broken> {
    let types: Vec<_> = shop.story(order).map(Event::event_type).collect();
    let count = |wanted: &[EventType]| types.iter().filter(|event| wanted.contains(event)).count();
    for wanted in ONE_OF {
        law(count(wanted) <= 1, || format!("{order}: more than one of {wanted:?} in {types:?}"))?;
    }
    for step in saga::STEPS {
        if let Some(undo) = step.compensation
            && undo.event != OrderCancelled::TYPE
        {
            law(count(&[undo.event]) <= count(&[step.event]), || format!("{order}: {} of nothing", undo.event))?;
        }
    }
    law(count(&[DeliveryCompleted::TYPE]) <= count(&[StockDecreased::TYPE]), || {
        format!("{order}: delivered without its kits")
    })
}

/// The stock goes from event to event without a gap, is never negative, and product has it in its row. A change of name
/// leaves it as it is.
fn the_stock_adds_up(shop: &Shop) -> Result<(), Broken> {
    let mut kits: BTreeMap<&ProductId, (&str, u32)> = BTreeMap::new();
    for Recorded { seq, event, .. } in shop.log.entries().iter().map(|entry| &entry.recorded) {
        let (id, stock, expected) = match event {
            Event::ProductRegistered(e) => {
                law(!kits.contains_key(&e.product_id), || format!("{} is registered twice", e.product_id))?;
                kits.insert(&e.product_id, (&e.name, e.stock));
                continue;
            }
            Event::ProductModified(e) => {
                let before = kits.insert(&e.product_id, (&e.name, e.stock)).unwrap_or_default();
                (&e.product_id, e.stock, if before.0 == e.name { Some(e.stock) } else { Some(before.1) })
            }
            Event::StockDecreased(e) => (&e.product_id, e.stock, left(&kits, &e.product_id).checked_sub(e.quantity)),
            Event::StockRestored(e) => (&e.product_id, e.stock, left(&kits, &e.product_id).checked_add(e.quantity)),
            Event::OutOfStock(e) => {
                law(e.stock < e.quantity, || {
                    format!("{} of {} are not enough for {}", e.stock, e.product_id, e.quantity)
                })?;
                (&e.product_id, e.stock, Some(left(&kits, &e.product_id)))
            }
            _ => continue,
        };
        law(expected == Some(stock), || format!("event {seq:?} leaves {stock} of {id}, not {expected:?}"))?;
        if let Some(kit) = kits.get_mut(id) {
            kit.1 = stock;
        }
    }
    for (id, (_, stock)) in kits {
        let row = shop.product.find::<Product>(id).map(|product| product.kit.stock);
        law(row == Some(stock), || format!("product has {row:?} of {id}, the log {stock}"))?;
    }
    Ok(())
}

fn left(kits: &BTreeMap<&ProductId, (&str, u32)>, id: &ProductId) -> u32 {
    kits.get(id).map_or(0, |(_, stock)| *stock)
}

/// One notification per cause.
fn nobody_is_told_twice(shop: &Shop) -> Result<(), Broken> {
    let mut causes = BTreeSet::new();
    for Recorded { causation_id, event, .. } in shop.log.entries().iter().map(|entry| &entry.recorded) {
        let told = matches!(event, Event::Notified(_));
        law(!told || causes.insert(causation_id), || format!("somebody is told twice: {event:?}"))?;
    }
    Ok(())
}

/// Every context says the same of an order. A cancelled one has no live payment, no live delivery and no kits; a
/// delivered one has all three.
fn all_agree(shop: &Shop, id: &OrderId) -> Result<(), Broken> {
    let Some(order) = shop.order.find::<Order>(id) else { return Err(format!("{id} has no order")) };
    // A payment or delivery without id is only remembered so that there will be none.
    let payment = shop.payment.find::<Payment>(id).filter(|payment| payment.payment_id.is_some()).map(|it| it.status);
    let delivery = shop.delivery.find::<Delivery>(id).filter(|it| it.delivery_id.is_some()).map(|it| it.status);
    let kits = held(shop, id);
    let quantity = i64::from(order.placed.quantity);
    let agreed = match order.status {
        OrderStatus::Pending => (payment, delivery, kits) == (None, None, 0),
        OrderStatus::Paid => false,
        OrderStatus::DeliveryRequested => {
            (payment, delivery, kits) == (Some(PaymentStatus::Completed), Some(DeliveryStatus::Requested), quantity)
        }
        OrderStatus::Delivered => {
            (payment, delivery, kits) == (Some(PaymentStatus::Completed), Some(DeliveryStatus::Completed), quantity)
        }
        OrderStatus::Rejected | OrderStatus::Cancelled => {
            payment != Some(PaymentStatus::Completed)
                && matches!(delivery, None | Some(DeliveryStatus::Cancelled))
                && kits == 0
        }
    };
    law(agreed, || {
        format!("{id} is {:?}, its payment {payment:?}, its delivery {delivery:?}, it holds {kits} kits", order.status)
    })
}

/// My page is what a fresh reading of the log would make of it, and says of the order what the order says.
fn the_page_shows_it(shop: &Shop, id: &OrderId) -> Result<(), Broken> {
    let page = shop.customer_center.find::<MyPage>(id);
    let story = shop.log.entries().iter().map(|entry| &entry.recorded).filter(|it| it.event.order_id() == Some(id));
    let fresh = story.fold(None, MyPages::evolve);
    law(page == fresh, || format!("the page of {id} is {page:?}, from the log it would be {fresh:?}"))?;
    let shown = page.map(|page| page.order_status);
    let status = shop.order.find::<Order>(id).map(|order| {
        match order.status {
            OrderStatus::Pending => "pending",
            OrderStatus::Paid => "paid",
            OrderStatus::DeliveryRequested => "delivery_requested",
            OrderStatus::Delivered => "delivered",
            OrderStatus::Rejected => "rejected",
            OrderStatus::Cancelled => "cancelled",
        }
        .to_owned()
    });
    law(shown == status, || format!("{id} is {status:?}, its page says {shown:?}"))
}

/// Every event that marketing cares about has its notification.
fn whoever_is_to_be_told_was_told(shop: &Shop) -> Result<(), Broken> {
    let entries = || shop.log.entries().iter().map(|entry| &entry.recorded);
    let told: BTreeSet<_> =
        entries().filter(|it| matches!(it.event, Event::Notified(_))).map(|it| &it.causation_id).collect();
    let to_be_told = entries().filter(|it| Marketing::CONSUMES.iter().any(|known| known.as_str() == it.event.name()));
    let forgotten: Vec<_> = to_be_told.filter(|it| !told.contains(&it.id)).collect();
    law(forgotten.is_empty(), || {
        format!("nobody was told of {forgotten:?}; marketing is at {}", shop.marketing.position())
    })
}
