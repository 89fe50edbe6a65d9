//! Units of work, committed. Those of concurrent requests of an instance go into one statement: one wait for the write
//! lock, one sync to the disk, however many they are.

use crate::{
    database,
    dead_letter::Letter,
    error::Error,
    gate::Gate,
    platform::{Platform, PlatformError, Value},
};
use serde::Serialize;
use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use uuid::Uuid;

/// One row into `{context}_commit_v{version}`; see `sql/context.sql`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Unit {
    pub subject: Option<String>,
    pub seen: Option<i64>,
    pub from_position: Option<i64>,
    pub to_position: Option<i64>,
    pub batch: Option<Uuid>,
    pub follows: bool,
    pub conflicts: u32,
    pub keys: Vec<Json>,
    pub letters: Vec<Letter>,
    pub rows: Vec<Json>,
    pub events: Vec<Json>,
}

impl Unit {
    /// A unit that only steps over what does not concern the context.
    pub(crate) fn step(from: i64, to: i64) -> Self {
        Self { from_position: Some(from), to_position: Some(to), ..Self::default() }
    }
}

/// Commits the units of a context in one instance.
pub(crate) struct Committer {
    statement: String,
    queue: Mutex<Vec<Waiting>>,
    /// One statement at a time.
    committing: Gate,
}

/// What somebody wants to be committed, and where the answer goes.
#[derive(Clone)]
struct Waiting {
    /// The units as JSON, without the brackets of an array.
    units: String,
    count: usize,
    /// How many of them were not skipped.
    answer: Place,
}

/// Where an answer goes.
type Place = Arc<Mutex<Option<Result<usize, PlatformError>>>>;

impl Committer {
    /// For the context with this SQL name and the version of its schema.
    pub(crate) fn new(context: &str, version: i64) -> Self {
        let statement = format!(
            "INSERT INTO {context}_commit_v{version} SELECT key, value ->> 'subject', value ->> 'seen', \
             value ->> 'from_position', value ->> 'to_position', value ->> 'batch', value ->> 'follows', \
             value ->> 'conflicts', value -> 'keys', value -> 'letters', value -> 'rows', value -> 'events' \
             FROM json_each(?) RETURNING unit"
        );
        Self { statement, queue: Mutex::default(), committing: Gate::default() }
    }

    /// Commits units, in their order; returns how many of them were not skipped.
    pub(crate) async fn commit(&self, platform: &dyn Platform, units: &[Unit]) -> Result<usize, Error> {
        let json = units.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?.join(",");
        let waiting = Waiting { units: json, count: units.len(), answer: Arc::default() };
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

    /// Runs the statement; returns which units were not skipped, by their place in it.
    async fn run(&self, platform: &dyn Platform, waiting: &[Waiting]) -> Result<BTreeSet<i64>, PlatformError> {
        let units: Vec<&str> = waiting.iter().map(|waiting| waiting.units.as_str()).collect();
        let units = format!("[{}]", units.join(","));
        let rows = database::query(platform, &self.statement, vec![units.into()]).await?;
        Ok(rows.iter().filter_map(|row| row.first().and_then(Value::integer)).collect())
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
        let waiting = committer.queue.lock().map(|mut queue| std::mem::take(&mut *queue)).unwrap_or_default();
        Self { committer, waiting }
    }

    async fn commit(mut self, platform: &dyn Platform) {
        match self.committer.run(platform, &self.waiting).await {
            Ok(committed) => self.answer(&committed),
            // One unit may have spoilt the statement for all: each on its own, then.
            Err(PlatformError::Failed(_)) if self.waiting.len() > 1 => {
                while let Some(waiting) = self.waiting.pop() {
                    let mut alone = Batch { committer: self.committer, waiting: vec![waiting] };
                    match self.committer.run(platform, &alone.waiting).await {
                        Ok(committed) => alone.answer(&committed),
                        Err(error) => alone.fail(&error),
                    }
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn answer(&mut self, committed: &BTreeSet<i64>) {
        let mut places = 0_i64..;
        for waiting in self.waiting.drain(..) {
            let count = places.by_ref().take(waiting.count).filter(|place| committed.contains(place)).count();
            waiting.tell(Ok(count));
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
    fn tell(self, answer: Result<usize, PlatformError>) {
        if let Ok(mut place) = self.answer.lock() {
            *place = Some(answer);
        }
    }
}
