//! Carrying out commands: decide on what is known, commit on the condition that it is still all there is to know, and
//! decide again whenever something came in between.

use crate::{
    Context, Kernel, Recorded, Trace,
    error::{Error, Failure},
    http::ETag,
    idempotency::Attempt,
    log, platform,
    read::{Basis, Known},
    rows::{Rows, State, Versioned},
    unit::Unit,
};
use futures::future::BoxFuture;
use uuid::Uuid;

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Executed<S> {
    /// The state with the version of its first row.
    pub state: Versioned<S>,
    /// What happened; nothing, if all was already as the command wanted it.
    pub events: Vec<Recorded>,
}

/// A command on its way. Awaiting it carries it out; the errors are those of [`Failure`], and nothing was changed then.
#[must_use = "nothing happens before it is awaited"]
pub struct Execution<'a, C: Context> {
    kernel: &'a Kernel<C>,
    command: C::Command,
    trace: &'a Trace,
    attempt: Option<&'a Attempt>,
    known: Option<Basis>,
}

impl<'a, C: Context> Execution<'a, C> {
    /// Only if nobody came with the attempt's idempotency key before ([`Failure::KeyTaken`] otherwise).
    pub fn once(self, attempt: &'a Attempt) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    /// Decided on what was known before: if anything has happened since, it is decided again on that.
    pub fn on(self, known: Known<C>) -> Self {
        Self { known: Some(known.basis), ..self }
    }
}

impl<'a, C: Context> IntoFuture for Execution<'a, C> {
    type Output = Result<Executed<C::State>, Failure<C::Refusal>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { kernel, command, trace, attempt, known } = self;
        let key = C::target(&command);
        let decide = move |state: &C::State| {
            let decided = C::decide(state, command.clone())?;
            let subject = decided.first().map(|event| event.subject().to_owned());
            let time = platform::timestamp(kernel.platform().now());
            let mut state = state.clone();
            let events = happen::<C>(decided, trace, &time, &mut state);
            Ok(Decision { subject, state, events })
        };
        Box::pin(async move { kernel.change(&key, attempt, known, trace, decide).await })
    }
}

/// What a unit of work is made of.
struct Decision<S> {
    subject: Option<String>,
    state: S,
    events: Vec<Recorded>,
}

impl<C: Context> Kernel<C> {
    /// Carries out a command on what it is about ([`target`](crate::Decider::target)), if that is as the conditions of the
    /// trace say ([`Failure::Stale`] otherwise).
    pub fn execute<'a>(&'a self, command: C::Command, trace: &'a Trace) -> Execution<'a, C> {
        Execution { kernel: self, command, trace, attempt: None, known: None }
    }

    /// Changes the state by itself, without an event: what only this context has to remember about the subject. What it
    /// decides on is as fresh as a command's.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed then.
    pub async fn remember(
        &self,
        key: &<C::State as State>::Key,
        subject: &str,
        change: impl Fn(C::State) -> C::State,
    ) -> Result<Versioned<C::State>, Failure<C::Refusal>> {
        let decide = |state: &C::State| {
            Ok(Decision { subject: Some(subject.to_owned()), state: change(state.clone()), events: vec![] })
        };
        Ok(self.change(key, None, None, &Trace::own(), decide).await?.state)
    }

    /// Carries out what events do not tell all of, since not everything may stand in the log: `decide` gives the state as well
    /// as what happens. What it decides on is as fresh as a command's.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed then.
    pub async fn conclude(
        &self,
        key: &<C::State as State>::Key,
        trace: &Trace,
        attempt: Option<&Attempt>,
        decide: impl Fn(&C::State) -> Result<(C::State, Vec<contracts::Event>), C::Refusal>,
    ) -> Result<Executed<C::State>, Failure<C::Refusal>> {
        let decide = |before: &C::State| {
            let (state, decided) = decide(before)?;
            let subject = decided.first().map(|event| event.subject().to_owned());
            let time = platform::timestamp(self.platform().now());
            let events = decided.into_iter().map(|event| log::fresh(event, trace, Uuid::now_v7(), &time)).collect();
            Ok(Decision { subject, state, events })
        };
        self.change(key, attempt, None, trace, decide).await
    }

    async fn change(
        &self,
        key: &<C::State as State>::Key,
        attempt: Option<&Attempt>,
        mut known: Option<Basis>,
        trace: &Trace,
        decide: impl Fn(&C::State) -> Result<Decision<C::State>, C::Refusal>,
    ) -> Result<Executed<C::State>, Failure<C::Refusal>> {
        let mut lost = 0;
        loop {
            let row_keys = C::State::rows(key);
            let Basis { seen, mut rows } = match known.take() {
                Some(known) => known,
                None => self.basis(&row_keys, false).await?,
            };
            let version = |rows: &Rows| row_keys.first().map_or(0, |first| rows.version(first));
            let before = C::State::read(key, &rows).map_err(Error::from)?;
            let actual = version(&rows);
            // What is not there yet can be made, or is refused for that.
            if actual > 0 && !trace.conditions.allow_change(Some(&ETag::of_version(actual))) {
                return Err(Failure::Stale { actual: Some(actual) });
            }
            let Decision { subject, state, events } = decide(&before).map_err(Failure::Refused)?;
            if events.is_empty() && state == before {
                return Ok(Executed { state: Versioned { version: actual, value: state }, events });
            }
            state.write(&mut rows).map_err(Error::from)?;
            let version = version(&rows);
            let unit = Unit {
                subject: subject.clone(),
                seen: Some(seen),
                conflicts: lost,
                keys: attempt.map(Attempt::key).into_iter().collect(),
                rows: rows.changes().map_err(Error::from)?,
                events: log::appended(C::NAME, C::APPENDS, &events)?,
                ..Unit::default()
            };
            if !self.commit_delay.is_zero() {
                self.platform().sleep(self.commit_delay).await;
            }
            // A unit that is tried again after its request's leader was given up may find itself committed already.
            if self.commit(&unit).await? || self.is_logged(events.first()).await? {
                trace.happened(events.iter().map(|event| event.event.name()));
                return Ok(Executed { state: Versioned { version, value: state }, events });
            }
            if let Some(attempt) = attempt
                && self.is_taken(attempt).await?
            {
                return Err(Failure::KeyTaken);
            }
            if let Some(subject) = subject
                && !self.parked(&[&subject]).await?.is_empty()
            {
                return Err(Error::Delayed(subject).into());
            }
            self.lose(&mut lost).await?;
        }
    }

    /// Whether an event is in the log.
    async fn is_logged(&self, event: Option<&Recorded>) -> Result<bool, Error> {
        let Some(event) = event else { return Ok(false) };
        let rows = self.query("SELECT seq FROM event WHERE id = ?", vec![event.id.as_str().into()]).await?;
        let seq = rows.first().and_then(|row| row.first()?.integer());
        // Whoever committed it is gone, and with him whoever would have rung.
        self.bell.is_wanted_for(seq.unwrap_or(0));
        Ok(seq.is_some())
    }
}

/// What was decided becomes what happened, and changes the state.
pub(crate) fn happen<C: Context>(
    decided: Vec<contracts::Event>,
    trace: &Trace,
    time: &str,
    state: &mut C::State,
) -> Vec<Recorded> {
    let happened: Vec<_> = decided.into_iter().map(|event| log::fresh(event, trace, Uuid::now_v7(), time)).collect();
    *state = happened.iter().fold(std::mem::take(state), C::evolve);
    happened
}
