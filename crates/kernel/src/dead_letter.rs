//! Dead letters: events that a context could not work off.
//!
//! Such an event is parked, with its error, and the cursor goes on; later events about the same subject are parked behind
//! it, so that they keep their order. It is tried again a few times, at growing distances, and then waits for somebody to
//! look at it, who has it tried once more or discards it with a reason. Whatever closes it lets the next one in its line
//! go on. `sql/context.sql` keeps the letters and moves them in the same statement as their effects.

use crate::{
    Context, Kernel, Trace,
    context::sql_name,
    error::Error,
    log::{self, Appended, Entry},
    log_line::{self, Level},
    platform::{self, Platform, Row, Value},
    rows::State,
    unit::Unit,
};
use contracts::{Event, EventType, HandlingDelayed, HandlingResumed, ids::OrderId};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{ops::RangeInclusive, time::SystemTime};
use uuid::Uuid;

/// The condition in SQL that a letter is open.
pub(crate) const OPEN: &str = "status IN ('retrying', 'dead', 'waiting')";

/// The columns of a letter, in the order in which [`Letter::read`] reads them.
const COLUMNS: &str = "letter.seq, letter.version, letter.subject, letter.type, letter.status, letter.tries, \
    letter.error, letter.reason, letter.due_at, letter.created_at, letter.updated_at";

/// How many letters are looked at in one go.
const BATCH: usize = 64;
/// The longest error that is kept, in characters.
const LONGEST: usize = 500;

/// How a letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It will be tried again.
    Retrying,
    /// It was tried too often.
    Dead,
    /// An earlier event about the same subject comes first.
    Waiting,
    /// It was worked off after all.
    Resolved,
    /// Somebody decided that it has no effect.
    Discarded,
}

/// An event that could not be worked off, or waits behind one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The event's place in the log.
    pub seq: i64,
    /// Counts its changes.
    pub version: i64,
    pub subject: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub status: Status,
    pub tries: u32,
    /// Why it failed the last time.
    pub error: Option<String>,
    /// Why it was discarded.
    pub reason: Option<String>,
    /// When it is tried again: Unix time, ms.
    pub due_at: Option<i64>,
    /// When it was parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it last changed.
    pub at: String,
    /// How many events wait behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<i64>,
}

/// How often and how soon a letter is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    limit: u32,
    backoff_ms: u64,
}

impl Retry {
    pub(crate) async fn of(platform: &dyn Platform) -> Self {
        Self {
            limit: u32::try_from(platform::number(platform, "retry_limit", 5).await).unwrap_or(u32::MAX),
            backoff_ms: platform::number(platform, "retry_backoff_ms", 1_000).await,
        }
    }

    /// How long to wait after so many tries: twice as long each time.
    fn pause_ms(self, tries: u32) -> i64 {
        let doubled = self.backoff_ms.saturating_mul(1 << tries.saturating_sub(1).min(16));
        i64::try_from(doubled).unwrap_or(i64::MAX)
    }

    /// Up to when a letter is due now; and from when on, since no pause is that long: the clock was set back.
    fn due(self, now: SystemTime) -> RangeInclusive<i64> {
        let now = platform::unix_ms(now);
        now..=now.saturating_add(self.pause_ms(self.limit))
    }

    /// Whether what is due at this time is due now.
    pub(crate) fn is_due(self, due_at: i64, now: SystemTime) -> bool {
        let due = self.due(now);
        due_at <= *due.start() || due_at > *due.end()
    }
}

/// Which letters are asked for.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    /// Of this status only; without it those that are open and failed themselves.
    pub status: Option<Status>,
    /// Behind this event.
    pub after: i64,
    pub limit: usize,
}

/// Why a letter cannot be tried again or discarded.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("there is no such letter")]
    Unknown,
    #[error("it is closed")]
    Closed,
    #[error("it waits behind an earlier one")]
    Waiting,
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Letter {
    /// An event that was read and cannot be worked off now.
    pub(crate) fn parked(entry: &Entry, status: Status, at: &str) -> Self {
        Self {
            seq: entry.seq,
            version: 1,
            subject: entry.subject.clone(),
            event_type: entry.event_type.clone(),
            status,
            tries: 0,
            error: None,
            reason: None,
            due_at: None,
            created_at: None,
            at: at.to_owned(),
            waiting: None,
        }
    }

    /// After one more try that failed.
    fn failed(mut self, error: &Error, retry: Retry, now: SystemTime) -> Self {
        self.tries = self.tries.saturating_add(1);
        self.error = Some(error.to_string().chars().take(LONGEST).collect());
        let again = self.status != Status::Dead && self.tries < retry.limit;
        self.status = if again { Status::Retrying } else { Status::Dead };
        self.due_at = again.then(|| platform::unix_ms(now).saturating_add(retry.pause_ms(self.tries)));
        self
    }

    fn closed(self, status: Status, reason: Option<String>) -> Self {
        Self { status, reason, due_at: None, ..self }
    }

    /// As the next version of itself.
    fn next(self, at: &str) -> Self {
        Self { version: self.version + 1, at: at.to_owned(), created_at: None, waiting: None, ..self }
    }

    fn is_open(&self) -> bool {
        matches!(self.status, Status::Retrying | Status::Dead | Status::Waiting)
    }

    fn read(row: &[Value]) -> Result<Self, Error> {
        let text = |index: usize| row.get(index).and_then(Value::text).map(str::to_owned);
        let integer = |index: usize| row.get(index).and_then(Value::integer);
        let status = text(4).unwrap_or_default();
        Ok(Self {
            seq: integer(0).ok_or(Error::Missing("a column"))?,
            version: integer(1).ok_or(Error::Missing("a column"))?,
            subject: text(2).unwrap_or_default(),
            event_type: text(3).unwrap_or_default(),
            status: serde_json::from_value(Json::String(status))?,
            tries: integer(5).and_then(|tries| u32::try_from(tries).ok()).unwrap_or(0),
            error: text(6),
            reason: text(7),
            due_at: integer(8),
            created_at: text(9),
            at: text(10).unwrap_or_default(),
            waiting: integer(11),
        })
    }
}

impl<C: Context> Kernel<C> {
    /// Tries the letters that are due and not left to a newer build. Returns how many there were.
    pub(crate) async fn retry_due(&self) -> Result<usize, Error> {
        let sql = format!(
            "SELECT {COLUMNS}, NULL, {} FROM {}_dead_letter AS letter JOIN event USING (seq) \
             WHERE due_at <= ?1 OR due_at > ?2 ORDER BY seq LIMIT {BATCH}",
            event_columns(),
            sql_name(C::NAME)
        );
        let due = self.retry.due(self.platform().now());
        let rows = self.query(&sql, vec![(*due.start()).into(), (*due.end()).into()]).await?;
        let mut tried = 0;
        for row in &rows {
            let (letter, entry) = with_event(row)?;
            if !self.is_left_to_newer(&entry).await? {
                // Whoever was faster has tried it.
                self.try_again(letter, &entry).await?;
                tried += 1;
            }
        }
        Ok(tried)
    }

    /// Whether only a newer build can work an event off: it would come to nothing here, or be tried in vain until it is dead.
    /// (A type that the newest build has given up comes to nothing, and that is all right.)
    async fn is_left_to_newer(&self, entry: &Entry) -> Result<bool, Error> {
        if EventType::find(C::CONSUMES, &entry.event_type).is_some() {
            return Ok(!entry.is_known(C::CONSUMES));
        }
        let sql = "SELECT 1 FROM consumer, json_each(consumes) WHERE name = ? AND value = ?";
        Ok(!self.query(sql, vec![C::NAME.into(), entry.event_type.as_str().into()]).await?.is_empty())
    }

    /// Tries a letter once more; whether it was this try that counted, not another instance's.
    async fn try_again(&self, letter: Letter, entry: &Entry) -> Result<bool, Error> {
        let outcome = match self.follow(entry).await {
            Ok(unit) => self.commit(&self.closing(letter.clone(), entry, unit, Status::Resolved, None)?).await,
            Err(error) => Err(error),
        };
        match outcome {
            Err(error) if error.is_poison() => self.commit(&self.failing(letter, entry, &error)?).await,
            other => other,
        }
    }

    /// The unit of work that follows from an event by itself.
    async fn follow(&self, entry: &Entry) -> Result<Unit, Error> {
        let Some(recorded) = entry.recorded(C::CONSUMES)? else { return Ok(Unit::default()) };
        let Some(key) = C::concerns(&recorded) else { return Ok(Unit::default()) };
        let mut rows = self.load(&C::State::rows(&key)).await?;
        let time = platform::timestamp(self.platform().now());
        let events = self.handle(&recorded, &key, &mut rows, &time)?;
        let events = log::appended(C::NAME, C::APPENDS, &events)?;
        Ok(Unit { rows: rows.changes()?, events, ..Unit::default() })
    }

    /// The unit of work that parks an event which cannot be worked off.
    pub(crate) fn parking(&self, entry: &Entry, error: &Error) -> Result<Unit, Error> {
        let time = platform::timestamp(self.platform().now());
        // It gets its first version when it is counted up.
        let letter = Letter { version: 0, ..Letter::parked(entry, Status::Retrying, &time) };
        self.failing(letter, entry, error)
    }

    fn failing(&self, letter: Letter, entry: &Entry, error: &Error) -> Result<Unit, Error> {
        let now = self.platform().now();
        let was = letter.status;
        let letter = letter.failed(error, self.retry, now).next(&platform::timestamp(now));
        let fields = json!({"correlation_id": entry.correlation_id, "type": entry.event_type, "sequence": entry.seq,
            "tries": letter.tries, "status": letter.status, "error": letter.error});
        log_line::write(Level::Error, C::NAME, "an event could not be worked off", fields);
        let died = was != Status::Dead && letter.status == Status::Dead;
        let events = if died { self.report(entry, Event::from)? } else { vec![] };
        Ok(Unit { letters: vec![letter], events, ..Unit::default() })
    }

    /// The unit with which a letter is closed.
    fn closing(
        &self,
        letter: Letter,
        entry: &Entry,
        mut unit: Unit,
        status: Status,
        reason: Option<String>,
    ) -> Result<Unit, Error> {
        if letter.status == Status::Dead {
            let resumed = |HandlingDelayed { order_id, context, sequence, event_type }| {
                HandlingResumed { order_id, context, sequence, event_type }.into()
            };
            unit.events.extend(self.report(entry, resumed)?);
        }
        let fields = json!({"correlation_id": entry.correlation_id, "type": entry.event_type, "sequence": entry.seq,
            "status": status, "reason": reason});
        log_line::write(Level::Info, C::NAME, "a dead letter is closed", fields);
        unit.letters.push(letter.closed(status, reason).next(&platform::timestamp(self.platform().now())));
        Ok(unit)
    }

    /// What the log is told about the order whose event it is: that it is delayed, or what is made of that. A read model
    /// tells the log nothing.
    fn report(&self, entry: &Entry, what: impl FnOnce(HandlingDelayed) -> Event) -> Result<Vec<Appended>, Error> {
        if C::APPENDS.is_empty() || !Event::is_about_an_order(&entry.event_type) {
            return Ok(vec![]);
        }
        let trace = Trace::of_event(&entry.id, &entry.correlation_id, &entry.traceparent);
        let time = platform::timestamp(self.platform().now());
        let delayed = HandlingDelayed {
            order_id: OrderId::new(entry.subject.clone()),
            context: C::NAME.to_owned(),
            sequence: entry.seq.unsigned_abs(),
            event_type: entry.event_type.clone(),
        };
        let event = log::fresh(what(delayed), &trace, Uuid::now_v7(), &time);
        log::appended(C::NAME, &[HandlingDelayed::TYPE, HandlingResumed::TYPE], &[event])
    }

    /// The letters, in the order of the log.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn letters(&self, wanted: &Letters) -> Result<Vec<Letter>, Error> {
        let status = match wanted.status {
            Some(status) => json!([status]),
            None => json!([Status::Retrying, Status::Dead]),
        };
        let sql = format!(
            "SELECT {COLUMNS}, {} FROM {context}_dead_letter AS letter \
             WHERE seq > ?1 AND status IN (SELECT value FROM json_each(?2)) ORDER BY seq LIMIT ?3",
            waiting(&sql_name(C::NAME)),
            context = sql_name(C::NAME),
        );
        let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX);
        let rows = self.query(&sql, vec![wanted.after.into(), status.to_string().into(), limit.into()]).await?;
        rows.iter().map(|row| Letter::read(row)).collect()
    }

    /// The events about these subjects that are parked.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn parked(&self, subjects: &[&str]) -> Result<Vec<Entry>, Error> {
        if !self.has_letters() {
            return Ok(vec![]);
        }
        let sql = format!(
            "SELECT {} FROM {}_dead_letter AS letter JOIN event USING (seq) \
             WHERE letter.subject IN (SELECT value FROM json_each(?)) AND letter.{OPEN} ORDER BY seq",
            event_columns(),
            sql_name(C::NAME)
        );
        let rows = self.query(&sql, vec![json!(subjects).to_string().into()]).await?;
        rows.iter().map(|row| log::entry(row)).collect()
    }

    /// Tries a letter now, dead or not, and whatever waits behind it. Returns it as it is then.
    ///
    /// # Errors
    /// [`LetterError`].
    pub async fn retry(&self, seq: i64) -> Result<Letter, LetterError> {
        let (letter, entry) = self.open_letter(seq).await?;
        if !self.is_left_to_newer(&entry).await? {
            self.try_again(letter, &entry).await?;
        }
        self.catch_up().await?;
        self.letter(seq).await?.map(|(letter, _)| letter).ok_or(LetterError::Unknown)
    }

    /// Closes a letter without its effect, for this reason, and goes on with what waits behind it. Returns it as it is then.
    ///
    /// # Errors
    /// [`LetterError`].
    pub async fn discard(&self, seq: i64, reason: &str) -> Result<Letter, LetterError> {
        loop {
            let (letter, entry) = self.open_letter(seq).await?;
            let unit = self.closing(letter, &entry, Unit::default(), Status::Discarded, Some(reason.to_owned()))?;
            // Else somebody else did something with it: look again.
            if self.commit(&unit).await? {
                self.catch_up().await?;
                return self.letter(seq).await?.map(|(letter, _)| letter).ok_or(LetterError::Unknown);
            }
        }
    }

    /// A letter that something can be done with.
    async fn open_letter(&self, seq: i64) -> Result<(Letter, Entry), LetterError> {
        match self.letter(seq).await? {
            None => Err(LetterError::Unknown),
            Some((letter, _)) if letter.status == Status::Waiting => Err(LetterError::Waiting),
            Some((letter, _)) if !letter.is_open() => Err(LetterError::Closed),
            Some(found) => Ok(found),
        }
    }

    async fn letter(&self, seq: i64) -> Result<Option<(Letter, Entry)>, Error> {
        let sql = format!(
            "SELECT {COLUMNS}, {}, {} FROM {context}_dead_letter AS letter JOIN event USING (seq) WHERE seq = ?",
            waiting(&sql_name(C::NAME)),
            event_columns(),
            context = sql_name(C::NAME),
        );
        self.query(&sql, vec![seq.into()]).await?.first().map(with_event).transpose()
    }
}

/// How many events wait behind a letter, in SQL.
fn waiting(context: &str) -> String {
    format!(
        "(SELECT count(*) FROM {context}_dead_letter AS other \
         WHERE other.subject = letter.subject AND other.status = 'waiting' AND other.{OPEN})"
    )
}

/// The columns of the event that a letter is about.
fn event_columns() -> String {
    let columns: Vec<String> = log::COLUMNS.split(", ").map(|column| format!("event.{column}")).collect();
    columns.join(", ")
}

fn with_event(row: &Row) -> Result<(Letter, Entry), Error> {
    let letter = row.get(..12).ok_or(Error::Missing("a column"))?;
    let event = row.get(12..).ok_or(Error::Missing("a column"))?;
    Ok((Letter::read(letter)?, log::entry(event)?))
}
