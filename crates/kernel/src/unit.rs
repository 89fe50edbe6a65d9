//! Units of work, committed. Those of concurrent requests of an instance go into one statement: one wait for the write
//! lock, one sync to the disk, however many they are.

use crate::{
    database::Patience,
    dead_letter::Letter,
    error::Error,
    gate::Gate,
    log::Appended,
    platform::{Platform, PlatformError, Value},
    rows::ChangedRow,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// One row into `{context}_commit_v{version}`; see `sql/context.sql`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Unit {
    pub subject: Option<String>,
    pub seen: Option<i64>,
    pub from_position: Option<i64>,
    pub to_position: Option<i64>,
    pub conflicts: u32,
    pub keys: Vec<Key>,
    pub letters: Vec<Letter>,
    pub rows: Vec<ChangedRow>,
    pub events: Vec<Appended>,
}

/// An idempotency key with what it was used for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Key {
    pub key: String,
    pub request: String,
    pub subject: String,
    pub replaces: Option<String>,
}

impl Unit {
    /// A unit that only steps over what does not concern the context.
    pub(crate) fn step(from: i64, to: i64) -> Self {
        Self { from_position: Some(from), to_position: Some(to), ..Self::default() }
    }
}

/// What commits the units in a JSON array, and returns which were not skipped, by their places in it, each with the place of its
/// last event in the log.
pub(crate) fn statement(context: &str, version: i64) -> String {
    format!(
        "INSERT INTO {context}_commit_v{version} SELECT key, value ->> 'subject', value ->> 'seen', \
         value ->> 'from_position', value ->> 'to_position', value ->> 'conflicts', value -> 'keys', \
         value -> 'letters', value -> 'rows', value -> 'events' FROM json_each(?) \
         RETURNING unit, (SELECT seq FROM event WHERE id = events ->> '$[#-1].id')"
    )
}

/// Commits the units of a context in one instance.
pub(crate) struct Committer {
    statement: String,
    queue: Mutex<Vec<Waiting>>,
    /// One statement at a time.
    committing: Gate,
}

/// A unit that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Where its last event stands in the log; 0 if it has none.
    pub seq: i64,
}

/// A unit that somebody wants to be committed, as JSON, and where the answer goes: nothing, if it was skipped.
#[derive(Clone)]
struct Waiting {
    unit: String,
    answer: Place,
}

/// Where an answer goes.
type Place = Arc<Mutex<Option<Result<Option<Committed>, PlatformError>>>>;

impl Committer {
    /// For the context with this SQL name and the version of its schema.
    pub(crate) fn new(context: &str, version: i64) -> Self {
        Self { statement: statement(context, version), queue: Mutex::default(), committing: Gate::default() }
    }

    /// Commits a unit; nothing is returned when it was skipped.
    pub(crate) async fn commit(&self, platform: &dyn Platform, unit: &Unit) -> Result<Option<Committed>, Error> {
        let waiting = Waiting { unit: serde_json::to_string(unit)?, answer: Arc::default() };
        let answer = waiting.answer.clone();
        self.enqueue([waiting]);
        // A request that is given up takes back what nobody has begun to commit.
        let _withdrawn = Withdrawn { committer: self, answer: &answer };
        loop {
            if let Some(answer) = answer.lock().ok().and_then(|mut answer| answer.take()) {
                return Ok(answer?);
            }
            match self.committing.try_pass() {
                Some(_committing) => Batch::of(self).commit(platform).await,
                None => Gate::moment(platform).await,
            }
        }
    }

    fn enqueue(&self, waiting: impl IntoIterator<Item = Waiting>) {
        if let Ok(mut queue) = self.queue.lock() {
            queue.extend(waiting);
        }
    }

    /// All that is waiting.
    fn take(&self) -> Vec<Waiting> {
        self.queue.lock().map(|mut queue| std::mem::take(&mut *queue)).unwrap_or_default()
    }

    /// Runs the statement once; returns which units were not skipped, by their place in it.
    async fn run(
        &self,
        platform: &dyn Platform,
        waiting: &[Waiting],
    ) -> Result<BTreeMap<usize, Committed>, PlatformError> {
        let units: Vec<&str> = waiting.iter().map(|waiting| waiting.unit.as_str()).collect();
        let units = format!("[{}]", units.join(","));
        let rows = platform.query(&self.statement, vec![units.into()]).await?;
        let committed = |row: &Vec<Value>| {
            let place = usize::try_from(row.first()?.integer()?).ok()?;
            Some((place, Committed { seq: row.get(1).and_then(Value::integer).unwrap_or(0) }))
        };
        Ok(rows.iter().filter_map(committed).collect())
    }
}

/// What is committed together. When the request that leads is given up in the middle, the others' units go back into the
/// queue; if they were committed all the same, their rows have another version by then, and they are skipped.
struct Batch<'a> {
    committer: &'a Committer,
    waiting: Vec<Waiting>,
}

impl<'a> Batch<'a> {
    fn of(committer: &'a Committer) -> Self {
        Self { committer, waiting: committer.take() }
    }

    async fn commit(mut self, platform: &dyn Platform) {
        let mut patience = Patience::new(platform);
        loop {
            match self.committer.run(platform, &self.waiting).await {
                Ok(committed) => return self.answer(&committed),
                // One unit may have spoilt the statement for all: each on its own, then.
                Err(PlatformError::Failed(_)) if self.waiting.len() > 1 => break,
                Err(error) => match patience.after(error).await {
                    // Whoever came while we waited for the lock goes along.
                    Ok(()) => self.waiting.extend(self.committer.take()),
                    Err(error) => return self.fail(&error),
                },
            }
        }
        while let Some(waiting) = self.waiting.pop() {
            let alone = Batch { committer: self.committer, waiting: vec![waiting] };
            Box::pin(alone.commit(platform)).await;
        }
    }

    fn answer(&mut self, committed: &BTreeMap<usize, Committed>) {
        for (place, waiting) in self.waiting.drain(..).enumerate() {
            waiting.tell(Ok(committed.get(&place).copied()));
        }
    }

    fn fail(&mut self, error: &PlatformError) {
        for waiting in self.waiting.drain(..) {
            waiting.tell(Err(error.clone()));
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // Not those whose request is gone, too: nobody else holds the place of their answer.
        self.waiting.retain(|waiting| Arc::strong_count(&waiting.answer) > 1);
        self.committer.enqueue(self.waiting.drain(..));
    }
}

/// Takes units back out of the queue when their request ends, if they are still there.
struct Withdrawn<'a> {
    committer: &'a Committer,
    answer: &'a Place,
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        if let Ok(mut queue) = self.committer.queue.lock() {
            queue.retain(|waiting| !Arc::ptr_eq(&waiting.answer, self.answer));
        }
    }
}

impl Waiting {
    fn tell(self, answer: Result<Option<Committed>, PlatformError>) {
        if let Ok(mut place) = self.answer.lock() {
            *place = Some(answer);
        }
    }
}
