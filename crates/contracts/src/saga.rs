//! The saga of an order, in one table: every step beside its compensation.
//!
//! It is choreographed: nobody conducts it. Each context knows its own lines, as its `policy.rs`; this table is where
//! all of them stand side by side, for readers and for the tests, which walk over all of it and hold the policies to it
//! (`tests/saga`). Steps are in the order in which they happen; compensations run in any order, each by itself.

/// One step of the saga, and what undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who takes it.
    pub context: &'static str,
    /// Whenever one of these events happened; none for a step that somebody asks for over HTTP.
    pub whenever: &'static [&'static str],
    /// What it makes happen.
    pub event: &'static str,
    /// What else may happen instead: the step failed, which sets off the compensations of the steps before it.
    pub or_else: Option<&'static str>,
    /// How it is undone, by the same context.
    pub compensation: Option<Compensation>,
}

/// What undoes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compensation {
    /// Whenever one of these events happened.
    pub whenever: &'static [&'static str],
    /// What it makes happen.
    pub event: &'static str,
}

pub const STEPS: &[Step] = &[
    // A member orders. The order is undone by its member, or because there are not enough kits.
    Step {
        context: "order",
        whenever: &[],
        event: "OrderPlaced",
        or_else: None,
        compensation: Some(Compensation { whenever: &["OutOfStock"], event: "OrderCancelled" }),
    },
    // Order asks payment to charge, and waits for the answer: no order without payment.
    Step {
        context: "payment",
        whenever: &[],
        event: "PaymentCompleted",
        or_else: Some("PaymentDeclined"),
        compensation: Some(Compensation { whenever: &["OrderCancelled", "OrderRejected"], event: "PaymentCancelled" }),
    },
    Step {
        context: "product",
        whenever: &["PaymentCompleted"],
        event: "StockDecreased",
        or_else: Some("OutOfStock"),
        compensation: Some(Compensation { whenever: &["PaymentCancelled"], event: "StockRestored" }),
    },
    Step {
        context: "delivery",
        whenever: &["PaymentCompleted"],
        event: "DeliveryRequested",
        or_else: None,
        compensation: Some(Compensation { whenever: &["OrderCancelled"], event: "DeliveryCancelled" }),
    },
    // The pivot: the member has the kit. From here on nothing is undone; a cancellation is refused.
    Step { context: "delivery", whenever: &[], event: "DeliveryCompleted", or_else: None, compensation: None },
];

/// What a failed step makes of the order, so that the compensations begin: (the failure, the order's event).
pub const FAILURES: &[(&str, &str)] = &[("PaymentDeclined", "OrderRejected"), ("OutOfStock", "OrderCancelled")];
