//! The saga of an order, in one table: every step beside its compensation.
//!
//! It is choreographed: nobody conducts it. Each context knows its own lines, as its `policy.rs`; this table is where
//! all of them stand side by side, for readers and for the tests, which walk over all of it and hold the policies to it
//! (`tests/saga`). Steps are in the order in which they happen; compensations run in any order, each by itself.

use crate::{
    DeliveryCancelled, DeliveryCompleted, DeliveryRequested, EventType, OrderCancelled, OrderPlaced, OrderRejected,
    OutOfStock, PaymentCancelled, PaymentCompleted, PaymentDeclined, StockDecreased, StockRestored,
};

/// One step of the saga, and what undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who takes it.
    pub context: &'static str,
    /// Whenever one of these events happened; none for a step that somebody asks for over HTTP.
    pub whenever: &'static [EventType],
    /// What it makes happen.
    pub event: EventType,
    /// What else may happen instead: the step failed, which sets off the compensations of the steps before it.
    pub or_else: Option<EventType>,
    /// How it is undone, by the same context.
    pub compensation: Option<Compensation>,
}

/// What undoes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compensation {
    /// Whenever one of these events happened.
    pub whenever: &'static [EventType],
    /// What it makes happen.
    pub event: EventType,
}

pub const STEPS: &[Step] = &[
    // A member orders. The order is undone by its member, or because there are not enough kits.
    Step {
        context: "order",
        whenever: &[],
        event: OrderPlaced::TYPE,
        or_else: None,
        compensation: Some(Compensation { whenever: &[OutOfStock::TYPE], event: OrderCancelled::TYPE }),
    },
    // Order asks payment to charge, and waits for the answer: no order without payment.
    Step {
        context: "payment",
        whenever: &[],
        event: PaymentCompleted::TYPE,
        or_else: Some(PaymentDeclined::TYPE),
        compensation: Some(Compensation {
            whenever: &[OrderCancelled::TYPE, OrderRejected::TYPE],
            event: PaymentCancelled::TYPE,
        }),
    },
    Step {
        context: "product",
        whenever: &[PaymentCompleted::TYPE],
        event: StockDecreased::TYPE,
        or_else: Some(OutOfStock::TYPE),
        compensation: Some(Compensation { whenever: &[PaymentCancelled::TYPE], event: StockRestored::TYPE }),
    },
    Step {
        context: "delivery",
        whenever: &[PaymentCompleted::TYPE],
        event: DeliveryRequested::TYPE,
        or_else: None,
        compensation: Some(Compensation { whenever: &[OrderCancelled::TYPE], event: DeliveryCancelled::TYPE }),
    },
    // The pivot: the member has the kit. From here on nothing is undone; a cancellation is refused.
    Step { context: "delivery", whenever: &[], event: DeliveryCompleted::TYPE, or_else: None, compensation: None },
];

/// What a failed step makes of the order, so that the compensations begin: (the failure, the order's event).
pub const FAILURES: &[(EventType, EventType)] =
    &[(PaymentDeclined::TYPE, OrderRejected::TYPE), (OutOfStock::TYPE, OrderCancelled::TYPE)];
