//! loyalty: a context that joins a shop with a long past. One point for each 1,000 KRW that a member paid and kept paid.
//!
//! It counts, so an event that it took in twice or not at all would show.

use axum::extract::{Path, State};
use contracts::{Event, EventType, PaymentCancelled, PaymentCompleted, ids::MemberId};
use kernel::{
    Context, Decider, Entity, Kernel, Recorded,
    http::{Access, Answer, Problem, Routes},
};
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, sync::Arc};

/// The context `loyalty`.
pub struct Loyalty;

/// What a member has earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    member_id: MemberId,
    /// How many orders they paid and kept.
    orders: i64,
    points: i64,
}

/// It takes no commands.
#[derive(Clone, Copy)]
pub enum Command {}

impl Entity for Account {
    const KIND: &'static str = "account";
    type Id = MemberId;

    fn id(&self) -> &MemberId {
        &self.member_id
    }
}

impl Decider for Loyalty {
    type State = Option<Account>;
    type Command = Command;
    type Refusal = Infallible;

    fn target(command: &Command) -> MemberId {
        match *command {}
    }

    fn decide(_: &Option<Account>, command: Command) -> Result<Vec<Event>, Infallible> {
        match command {}
    }

    fn evolve(account: Option<Account>, recorded: &Recorded) -> Option<Account> {
        let Some((member_id, orders, amount)) = change(&recorded.event) else { return account };
        let account = account.unwrap_or(Account { member_id: member_id.clone(), orders: 0, points: 0 });
        Some(Account { orders: account.orders + orders, points: account.points + orders * amount / 1_000, ..account })
    }
}

impl Context for Loyalty {
    const NAME: &'static str = "loyalty";
    const CONSUMES: &'static [EventType] = &[PaymentCompleted::TYPE, PaymentCancelled::TYPE];
    const APPENDS: &'static [EventType] = &[];
    /// An order's events change the account of its member.
    const BY_SUBJECT: bool = false;

    fn concerns(recorded: &Recorded) -> Option<MemberId> {
        change(&recorded.event).map(|(member, ..)| member.clone())
    }
}

/// Whose account an event changes: by how many orders, of which amount.
fn change(event: &Event) -> Option<(&MemberId, i64, i64)> {
    let amount = |amount| i64::try_from(amount).unwrap_or(i64::MAX);
    match event {
        Event::PaymentCompleted(e) => Some((&e.member_id, 1, amount(e.amount))),
        Event::PaymentCancelled(e) => Some((&e.member_id, -1, amount(e.amount))),
        _ => None,
    }
}

/// The context's routes.
pub fn routes(kernel: Arc<Kernel<Loyalty>>) -> Routes {
    Routes::new().get("/loyalty/{member_id}", Access::SignedIn, show).with_state(kernel)
}

async fn show(State(kernel): State<Arc<Kernel<Loyalty>>>, Path(id): Path<MemberId>) -> Result<Answer, Problem> {
    let account = kernel.find::<Account>(&id).await?;
    let account = account.ok_or_else(|| Problem::not_found("This member has not paid for anything."))?;
    Ok(Answer::ok(account.value).version(account.version))
}

kernel::component!(Loyalty, routes);
