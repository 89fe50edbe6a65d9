//! Whenever something happened elsewhere …

use crate::{Deliveries, domain::Command};
use contracts::{
    DeliveryAssigned, DeliveryCancelled, DeliveryCompleted, DeliveryRequested, Event, EventType, OrderCancelled,
    PaymentCompleted, StockDecreased, ids::OrderId,
};
use kernel::{Context, Recorded};
use uuid::Uuid;

impl Context for Deliveries {
    const NAME: &'static str = "delivery";
    const SQL: &'static str = include_str!("../../../sql/delivery.sql");
    const CONSUMES: &'static [EventType] = &[PaymentCompleted::TYPE, StockDecreased::TYPE, OrderCancelled::TYPE];
    const APPENDS: &'static [EventType] =
        &[DeliveryRequested::TYPE, DeliveryAssigned::TYPE, DeliveryCompleted::TYPE, DeliveryCancelled::TYPE];

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        recorded.event.order_id().cloned()
    }

    fn whenever(recorded: &Recorded, fresh: Uuid) -> Option<Command> {
        match &recorded.event {
            // … an order was paid: request its delivery.
            Event::PaymentCompleted(e) => Some(Command::Request {
                delivery_id: fresh.into(),
                order_id: e.order_id.clone(),
                member_id: e.member_id.clone(),
                address: e.address.clone(),
            }),
            // … an order was cancelled: cancel its delivery.
            Event::OrderCancelled(e) => {
                Some(Command::Cancel { order_id: e.order_id.clone(), reason: e.reason.clone() })
            }
            _ => None,
        }
    }
}
