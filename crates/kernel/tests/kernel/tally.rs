//! A tiny context: it counts how often kits were taken for an order, and closes an order that got none.

use contracts::{
    Event, EventType, OrderCancelled, OrderPlaced, OutOfStock, StockDecreased, StockRestored, ids::OrderId,
};
use kernel::{
    Context, Decider, Entity, Executed, Failure, Kernel, Recorded, Trace,
    testing::{self, Native},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

pub struct Tallies;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub order_id: OrderId,
    pub taken: u32,
    pub closed: bool,
}

#[derive(Clone, Debug)]
pub enum Command {
    Place(OrderId),
    Close(OrderId),
}

#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("it exists")]
    Exists,
    #[error("it has taken kits, so it stays open")]
    Taken,
}

impl Entity for Tally {
    const KIND: &'static str = "tally";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

impl Decider for Tallies {
    type State = Option<Tally>;
    type Command = Command;
    type Refusal = Refusal;

    fn target(command: &Command) -> OrderId {
        match command {
            Command::Place(id) | Command::Close(id) => id.clone(),
        }
    }

    fn decide(tally: &Option<Tally>, command: Command) -> Result<Vec<Event>, Refusal> {
        match (command, tally) {
            (Command::Place(_), Some(_)) => Err(Refusal::Exists),
            (Command::Place(id), None) => Ok(vec![testing::event("OrderPlaced", id.as_str())]),
            (Command::Close(_), Some(tally)) if tally.taken > 0 => Err(Refusal::Taken),
            (Command::Close(_), Some(tally)) if tally.closed => Ok(vec![]),
            (Command::Close(id), _) => Ok(vec![testing::event("OrderCancelled", id.as_str())]),
        }
    }

    fn evolve(tally: Option<Tally>, recorded: &Recorded) -> Option<Tally> {
        let order_id = recorded.event.order_id()?.clone();
        let mut tally = tally.unwrap_or(Tally { order_id, taken: 0, closed: false });
        match &recorded.event {
            Event::StockDecreased(_) => tally.taken += 1,
            Event::OrderCancelled(_) => tally.closed = true,
            _ => {}
        }
        Some(tally)
    }
}

impl Context for Tallies {
    const NAME: &'static str = "tally";
    const SQL: &'static str = "
CREATE TRIGGER IF NOT EXISTS tally_row_check BEFORE INSERT ON tally_row WHEN NEW.row ->> 'taken' >= 1000 BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: taken');
END;
";
    const CONSUMES: &'static [EventType] = &[StockDecreased::TYPE, OutOfStock::TYPE];
    const APPENDS: &'static [EventType] = &[OrderPlaced::TYPE, OrderCancelled::TYPE];

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        recorded.event.order_id().cloned()
    }

    fn whenever(recorded: &Recorded, _: Uuid) -> Option<Command> {
        match &recorded.event {
            Event::OutOfStock(e) => Some(Command::Close(e.order_id.clone())),
            _ => None,
        }
    }
}

/// The tally of the next release: it reads one more type of event, and one in another version.
pub struct NextTallies;

impl Decider for NextTallies {
    type State = <Tallies as Decider>::State;
    type Command = Command;
    type Refusal = Refusal;

    fn target(command: &Command) -> OrderId {
        Tallies::target(command)
    }

    fn decide(state: &Self::State, command: Command) -> Result<Vec<Event>, Refusal> {
        Tallies::decide(state, command)
    }

    fn evolve(state: Self::State, recorded: &Recorded) -> Self::State {
        match &recorded.event {
            Event::StockRestored(_) => state.map(|tally| Tally { taken: tally.taken.saturating_sub(1), ..tally }),
            _ => Tallies::evolve(state, recorded),
        }
    }
}

impl Context for NextTallies {
    const NAME: &'static str = Tallies::NAME;
    const SCHEMA_VERSION: i64 = Tallies::SCHEMA_VERSION + 1;
    const SQL: &'static str = Tallies::SQL;
    const CONSUMES: &'static [EventType] =
        &[StockDecreased::TYPE.with_past(&[|data| data]), OutOfStock::TYPE, StockRestored::TYPE];
    const APPENDS: &'static [EventType] = Tallies::APPENDS;

    fn concerns(recorded: &Recorded) -> Option<OrderId> {
        Tallies::concerns(recorded)
    }

    fn whenever(recorded: &Recorded, fresh: Uuid) -> Option<Command> {
        Tallies::whenever(recorded, fresh)
    }
}

/// The context in a new instance on this platform.
pub async fn open(native: &Arc<Native>) -> Arc<Kernel<Tallies>> {
    Kernel::open(native.clone()).await.unwrap()
}

pub async fn place(kernel: &Kernel<Tallies>, id: &str) -> Result<Executed<Option<Tally>>, Failure<Refusal>> {
    kernel.execute(Command::Place(OrderId::new(id)), &Trace::own()).await
}

pub async fn close(kernel: &Kernel<Tallies>, id: &str) -> Result<Executed<Option<Tally>>, Failure<Refusal>> {
    kernel.execute(Command::Close(OrderId::new(id)), &Trace::own()).await
}

/// How often kits were taken for the order, once the context has caught up.
pub async fn taken(kernel: &Kernel<Tallies>, id: &str) -> u32 {
    kernel.find::<Tally>(&OrderId::new(id)).await.unwrap().map_or(0, |tally| tally.value.taken)
}
