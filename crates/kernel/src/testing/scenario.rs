//! Given these events, when this command, then those events: how a context's decisions are told and tested.
#![allow(clippy::expect_used, reason = "only tests use it")]

use crate::{Context, Recorded, actor::Auth};
use contracts::{Event, EventType};
use uuid::Uuid;

/// The id that [`whenever`](Scenario::whenever) offers for what a policy creates.
pub const FRESH: Uuid = Uuid::from_u128(0x01980000_0000_7000_8000_00000000f5e5);

/// What has happened so far.
pub struct Scenario<C: Context> {
    state: C::State,
    heard: i64,
}

/// What comes of a command.
#[must_use = "say what is expected of it"]
pub struct Outcome<C: Context> {
    before: Scenario<C>,
    decided: Result<Vec<Event>, C::Refusal>,
}

impl<C: Context> Scenario<C> {
    /// These events have happened.
    #[track_caller]
    pub fn given(events: impl IntoIterator<Item = Event>) -> Self {
        events.into_iter().fold(Self { state: C::State::default(), heard: 0 }, Self::after)
    }

    /// The state now.
    pub fn state(&self) -> &C::State {
        &self.state
    }

    /// Somebody wants this.
    pub fn when(self, command: C::Command) -> Outcome<C> {
        Outcome { decided: C::decide(&self.state, command), before: self }
    }

    /// This has happened elsewhere, and the context reads it.
    #[track_caller]
    pub fn whenever(mut self, event: impl Into<Event>) -> Outcome<C> {
        let recorded = self.record(event.into());
        let name = recorded.event.name();
        assert!(EventType::find(C::CONSUMES, name).is_some(), "{} does not read {name}", C::NAME);
        self.state = C::evolve(self.state, &recorded);
        match C::whenever(&recorded, FRESH) {
            Some(command) => self.when(command),
            None => Outcome { decided: Ok(vec![]), before: self },
        }
    }

    #[track_caller]
    fn after(mut self, event: Event) -> Self {
        let recorded = self.record(event);
        let name = recorded.event.name();
        let known = [C::CONSUMES, C::APPENDS].iter().any(|types| EventType::find(types, name).is_some());
        assert!(known, "{} neither reads nor appends {name}", C::NAME);
        self.state = C::evolve(self.state, &recorded);
        self
    }

    /// Each event is a second after the one before it.
    fn record(&mut self, event: Event) -> Recorded {
        self.heard += 1;
        Recorded {
            seq: Some(self.heard),
            id: format!("event-{}", self.heard),
            time: format!("2026-01-01T00:00:{:02}.000Z", self.heard),
            correlation_id: event.subject().to_owned(),
            causation_id: format!("event-{}", self.heard - 1),
            traceparent: String::new(),
            auth: Auth::default(),
            event,
        }
    }
}

impl<C: Context> Outcome<C> {
    /// Then this happens, and nothing else. The scenario goes on from there.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = Event>) -> Scenario<C> {
        let decided = self.decided.expect("should not be refused");
        assert_eq!(decided, expected.into_iter().collect::<Vec<_>>());
        for name in decided.iter().map(Event::name) {
            assert!(EventType::find(C::APPENDS, name).is_some(), "{} does not append {name}", C::NAME);
        }
        decided.into_iter().fold(self.before, Scenario::after)
    }

    /// Then all stays as it is.
    #[track_caller]
    pub fn then_nothing(self) -> Scenario<C> {
        self.then([])
    }

    /// Then it is refused.
    #[track_caller]
    pub fn then_refused(self, refusal: C::Refusal) -> Scenario<C>
    where
        C::Refusal: PartialEq,
    {
        assert_eq!(self.decided, Err(refusal));
        self.before
    }
}
