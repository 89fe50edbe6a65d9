//! What makes a bounded context.

use crate::{Kernel, State, error::Error, metrics::Sample, rows};
use contracts::Event;
use std::{future::Future, sync::Arc};
use uuid::Uuid;

/// An event with what the log says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its place in the log; `None` while it is being appended.
    pub seq: Option<i64>,
    /// Its id.
    pub id: String,
    /// When it was appended: RFC 3339, UTC.
    pub time: String,
    /// The order's id, or the id of the conversation where there is no order.
    pub correlation_id: String,
    /// The event or the request that caused it.
    pub causation_id: String,
    /// W3C trace context.
    pub traceparent: String,
    /// What happened.
    pub event: Event,
}

/// A bounded context: what it reads, what it decides, what it remembers. All of it is pure.
///
/// An event that the context consumes first changes its state ([`evolve`](Self::evolve)), then may call for a command
/// ([`whenever`](Self::whenever)); a command, from there or from outside, becomes events or a refusal
/// ([`decide`](Self::decide)), which change the state in their turn.
pub trait Context: Send + Sync + Sized + 'static {
    /// Its name, in kebab-case: the component's id, and the CloudEvents source `/mealkit/<name>`.
    const NAME: &'static str;
    /// The version of its tables, views and unit of work: one more whenever its SQL file, `sql/context.sql`, or the types
    /// that it consumes or appends change (docs/zero-downtime.md).
    const SCHEMA_VERSION: i64 = 2;
    /// Its SQL file.
    const SQL: &'static str;
    /// The types of the events it reads.
    const CONSUMES: &'static [&'static str];
    /// The types of the events it appends.
    const APPENDS: &'static [&'static str];

    /// What it decides on.
    type State: State;
    /// What it can be told to do.
    type Command: Clone + Send + Sync + 'static;
    /// Why it may not do so.
    type Refusal: std::error::Error + Send + Sync + 'static;

    /// Which state an event changes.
    fn concerns(event: &Recorded) -> Option<<Self::State as rows::State>::Key>;

    /// The policy: what to do whenever this happened. `fresh` is an id for what the command may create.
    fn whenever(event: &Recorded, fresh: Uuid) -> Option<Self::Command>;

    /// What happens when the command is carried out on the state. No events: it is already as the command wants it.
    ///
    /// # Errors
    /// The reason why it may not be carried out.
    fn decide(state: &Self::State, command: Self::Command) -> Result<Vec<Event>, Self::Refusal>;

    /// The state after an event.
    fn evolve(state: Self::State, event: &Recorded) -> Self::State;

    /// Figures of its own for operators.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn samples(kernel: &Arc<Kernel<Self>>) -> impl Future<Output = Result<Vec<Sample>, Error>> + Send {
        let _ = kernel;
        async { Ok(vec![]) }
    }

    /// What the periodic catch-up does beyond reading the log, such as closing what was left open too long.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    fn settle(kernel: &Arc<Kernel<Self>>) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = kernel;
        async { Ok(()) }
    }
}

/// The context's name as SQL wants it.
pub(crate) fn sql_name(name: &str) -> String {
    name.replace('-', "_")
}
