//! Whenever anything happened to an order, its page shows it.

use crate::{MyPages, Rebuild, domain::Command};
use contracts::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, EventType, HandlingDelayed, HandlingResumed, Notified,
    OrderCancelled, OrderPlaced, OrderRejected, OutOfStock, PaymentCancelled, PaymentCompleted, PaymentDeclined,
    StockDecreased, StockRestored, ids::OrderId,
};
use kernel::{Context, Recorded};
use uuid::Uuid;

impl Context for MyPages {
    const NAME: &'static str = "customer-center";
    const SQL: &'static str = include_str!("../../../sql/customer_center.sql");
    /// Everything about an order.
    const CONSUMES: &'static [EventType] = &[
        OrderPlaced::TYPE,
        OrderRejected::TYPE,
        OrderCancelled::TYPE,
        PaymentCompleted::TYPE,
        PaymentDeclined::TYPE,
        PaymentCancelled::TYPE,
        StockDecreased::TYPE,
        OutOfStock::TYPE,
        StockRestored::TYPE,
        DeliveryRequested::TYPE,
        DeliveryCompleted::TYPE,
        DeliveryCancelled::TYPE,
        Notified::TYPE,
        HandlingDelayed::TYPE,
        HandlingResumed::TYPE,
    ];
    const APPENDS: &'static [EventType] = &[];

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        recorded.event.order_id().cloned()
    }

    fn whenever(_: &Recorded, _: Uuid) -> Option<Command> {
        None
    }
}

impl Context for Rebuild {
    const NAME: &'static str = "customer-center-rebuild";
    const SQL: &'static str = MyPages::SQL;
    const CONSUMES: &'static [EventType] = MyPages::CONSUMES;
    const APPENDS: &'static [EventType] = MyPages::APPENDS;

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        MyPages::concerns(recorded)
    }

    fn whenever(recorded: &Recorded, fresh: Uuid) -> Option<Command> {
        MyPages::whenever(recorded, fresh)
    }
}
