//! Whenever anything happened to an order, its page shows it.

use crate::{MyPages, Rebuild, domain::Command};
use contracts::{EventType, ids::OrderId};
use kernel::{Context, Recorded};
use uuid::Uuid;

impl Context for MyPages {
    const NAME: &'static str = "customer-center";
    const SQL: &'static str = include_str!("../../../sql/customer_center.sql");
    const CONSUMES: &'static [EventType] = EventType::ABOUT_AN_ORDER;
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
    const SCHEMA_VERSION: i64 = MyPages::SCHEMA_VERSION;
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
