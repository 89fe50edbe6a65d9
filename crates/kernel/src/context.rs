//! What makes a bounded context.

use crate::{Kernel, State, actor::Auth, error::Error, metrics::Sample};
use contracts::{Event, EventType};
use std::{future::Future, sync::Arc};
use uuid::Uuid;

/// An event with what the log says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its place in the log; `None` while it is being appended.
    pub seq: Option<i64>,
    pub id: String,
    /// When it was appended: RFC 3339, UTC.
    pub time: String,
    /// The order's id, or the id of the conversation where there is no order.
    pub correlation_id: String,
    /// The event or the request that caused it.
    pub causation_id: String,
    /// W3C trace context.
    pub traceparent: String,
    /// Who made it happen.
    pub auth: Auth,
    pub event: Event,
}

/// The pure half of a context: what it decides, and what it remembers. No I/O, no clock, no randomness.
///
/// (The name is Jérémie Chassaing's: <https://thinkbeforecoding.com/post/2021/12/17/functional-event-sourcing-decider>.)
pub trait Decider: Sized + Send + Sync + 'static {
    /// What it decides on.
    type State: State;
    /// What it can be told to do.
    type Command: Clone + Send + Sync + 'static;
    /// Why it may not do so.
    type Refusal: std::error::Error + Send + Sync + 'static;

    /// What a command is about.
    fn target(command: &Self::Command) -> <Self::State as State>::Key;

    /// What happens when the command is carried out on the state. No events: it is already as the command wants it.
    ///
    /// # Errors
    /// The reason why it may not be carried out.
    fn decide(state: &Self::State, command: Self::Command) -> Result<Vec<Event>, Self::Refusal>;

    /// The state after an event.
    fn evolve(state: Self::State, event: &Recorded) -> Self::State;
}

/// A bounded context: what it reads, and what it does whenever something happened.
///
/// An event that the context consumes first changes its state ([`evolve`](Decider::evolve)), then may call for a command
/// ([`whenever`](Self::whenever)); a command, from there or from outside, becomes events or a refusal
/// ([`decide`](Decider::decide)), which change the state in their turn.
pub trait Context: Decider {
    /// Its name, in kebab-case: the component's id, and the CloudEvents source `/mealkit/<name>`.
    const NAME: &'static str;
    /// The version of its tables and unit of work: one more whenever its SQL file, `sql/context.sql`, or the types that it
    /// consumes or appends change (docs/zero-downtime.md).
    const SCHEMA_VERSION: i64 = 4;
    /// The indexes by which its lists are read, and the checks of its rows.
    const SQL: &'static str = "";
    /// The types of the events it reads.
    const CONSUMES: &'static [EventType];
    /// The types of the events it appends.
    const APPENDS: &'static [EventType];
    /// Whether an event changes no other row than the one that has its subject as id. Then what is unread can be folded onto
    /// a row without looking at anything else.
    const BY_SUBJECT: bool = true;

    /// Which state an event changes.
    fn concerns(event: &Recorded) -> Option<<Self::State as State>::Key>;

    /// The policy: what to do whenever this happened, to the state that the event changed. `fresh` is an id for what the
    /// command may create. Who only shows what happened has none.
    fn whenever(event: &Recorded, fresh: Uuid) -> Option<Self::Command> {
        let _ = (event, fresh);
        None
    }

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
