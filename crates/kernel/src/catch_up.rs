//! Catching up: a context reads the log to its end, in batches, and does what follows from it. A batch is one unit of work:
//! all of it takes effect, and the cursor moves, or nothing does and it is read again.

use crate::{
    Context, Kernel, Recorded, Trace,
    correlation::trace_id,
    database::jitter,
    dead_letter::{Letter, Status},
    error::Error,
    execute::happen,
    gate::Gate,
    log,
    log_line::{self, Level},
    platform,
    read::{Unheard, Unread},
    rows::{RowKey, Rows, State},
    unit::Unit,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{sync::atomic::Ordering::SeqCst, time::Duration};
use uuid::Uuid;

/// How often a unit of work may lose its race before the request is answered with 503.
const TRIES: u32 = 30;

/// Where a context stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last event that it has worked off.
    pub cursor: i64,
    /// How many events there are behind that.
    pub lag: i64,
}

impl<C: Context> Kernel<C> {
    /// Reads the log to its end and does what follows from it. Returns the sequence number up to which the
    /// context now knows everything.
    ///
    /// Mostly there is nothing to do, and looking is cheap. When there is, one catch-up runs at a time in an instance:
    /// whoever asks meanwhile waits, and is served by the next one, which began after the question and so has seen what
    /// the asker knows to be in the log. When the request that leads is given up, the next in line leads.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn catch_up(&self) -> Result<i64, Error> {
        let asked = self.begun.load(SeqCst);
        self.catch_up_from(asked, self.look(&[]).await?.unread).await
    }

    /// Catches up from what was just read, `asked` being how many catch-ups had begun before that.
    pub(crate) async fn catch_up_from(&self, asked: u64, unread: Unread) -> Result<i64, Error> {
        if unread.is_done() {
            return Ok(unread.head);
        }
        let mut unread = Some(unread);
        loop {
            if let Ok(ended) = self.ended.lock()
                && ended.0 > asked
            {
                return Ok(ended.1);
            }
            if let Some(_reading) = self.reading.try_pass() {
                let number = self.begun.fetch_add(1, SeqCst) + 1;
                let (serves, unread) = match unread {
                    // Read when we asked, so it may be older than the questions of those who asked since.
                    Some(unread) if number == asked + 1 => (asked, unread),
                    _ => (number, self.look(&[]).await?.unread),
                };
                let head = self.work_off(unread).await?;
                if let Ok(mut ended) = self.ended.lock() {
                    *ended = (serves, head);
                }
                return Ok(head);
            }
            // What was read before the wait is old by now.
            unread = None;
            Gate::moment(&**self.platform()).await;
        }
    }

    async fn work_off(&self, mut unread: Unread) -> Result<i64, Error> {
        if unread.position < unread.archived_to {
            return Err(Error::Archived { to: unread.archived_to });
        }
        let mut lost = 0;
        let mut at_once = usize::MAX;
        while !unread.is_done() {
            if unread.due {
                if self.retry_due().await? == 0 {
                    // Their events are in the log no more, so nothing can be done here.
                    unread.due = false;
                    continue;
                }
            } else {
                // A newer build will take it from there.
                if let Some(unknown) = unread.stop_at_unknown(C::CONSUMES) {
                    return Ok(unknown - 1);
                }
                let all = unread.take(at_once);
                match self.work_off_batch(&unread, all, lost).await {
                    Ok(true) if all => return Ok(unread.head),
                    Ok(true) => at_once = usize::MAX,
                    // Another instance was ahead of us, or somebody changed a row: the smaller, the sooner it gets through.
                    Ok(false) => {
                        at_once = (unread.events.len() / 2).max(1);
                        self.lose(&mut lost).await?;
                    }
                    Err(error) if error.is_poison() => match unread.events.as_slice() {
                        [] => return Err(error),
                        [poison] => {
                            let (from, to) = (Some(unread.position), Some(poison.entry.seq));
                            let parking = self.parking(&poison.entry, &error)?;
                            self.commit(&Unit { from_position: from, to_position: to, ..parking }).await?;
                            at_once = usize::MAX;
                        }
                        // One of them spoils it for all.
                        several => at_once = several.len() / 2,
                    },
                    Err(error) => return Err(error),
                }
            }
            unread = self.look(&[]).await?.unread;
        }
        Ok(unread.head)
    }

    /// Does what follows from what was read; `all` says that it is all there is. `false` when others were faster.
    async fn work_off_batch(&self, unread: &Unread, all: bool, lost: u32) -> Result<bool, Error> {
        let unit = self.react(unread, all).await?;
        self.commit(&Unit { conflicts: lost, ..unit }).await
    }

    /// The unit of work that follows from what was read.
    async fn react(&self, unread: &Unread, all: bool) -> Result<Unit, Error> {
        let time = platform::timestamp(self.platform().now());
        let mut letters = Vec::new();
        let mut heard = Vec::with_capacity(unread.events.len());
        for Unheard { entry, waits } in &unread.events {
            if *waits {
                letters.push(Letter::parked(entry, Status::Waiting, &time));
            } else if let Some(recorded) = entry.recorded(C::CONSUMES)? {
                heard.extend(C::concerns(&recorded).map(|key| (recorded, key)));
            }
        }
        let keys: Vec<RowKey> = heard.iter().flat_map(|(_, key)| C::State::rows(key)).collect();
        let mut rows = if keys.is_empty() { Rows::default() } else { self.load(&keys).await? };
        let mut events = Vec::new();
        for (recorded, key) in &heard {
            events.extend(self.handle(recorded, key, &mut rows, &time)?);
        }
        // What lies between the last event and the end of what was read does not concern this context.
        let last = unread.events.last().map_or(unread.position, |unheard| unheard.entry.seq);
        let end = if all { unread.head } else { last };
        let events = log::appended(C::NAME, C::APPENDS, &events)?;
        Ok(Unit { letters, rows: rows.changes()?, events, ..Unit::step(unread.position, end) })
    }

    /// What follows from one event: it changes the state, and a policy may make more happen.
    pub(crate) fn handle(
        &self,
        event: &Recorded,
        key: &<C::State as State>::Key,
        rows: &mut Rows,
        time: &str,
    ) -> Result<Vec<Recorded>, Error> {
        let mut state = C::evolve(C::State::read(key, rows)?, event);
        let mut events = Vec::new();
        if let Some(command) = C::whenever(event, Uuid::now_v7()) {
            let trace = Trace::of_event(&event.id, &event.correlation_id, &event.traceparent);
            match C::decide(&state, command) {
                Ok(decided) => events = happen::<C>(decided, &trace, time, &mut state),
                // What a policy wants may have become pointless; the event was heard all the same.
                Err(refusal) => {
                    let fields = json!({"correlation_id": event.correlation_id, "detail": refusal.to_string(),
                        "trace_id": trace_id(&event.traceparent)});
                    log_line::write(Level::Info, C::NAME, "a policy was refused", fields);
                }
            }
        }
        state.write(rows)?;
        Ok(events)
    }

    /// Reads the log to its end, moves the cursor there, past what does not concern the context, and returns where it stands.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn rest(&self) -> Result<Position, Error> {
        self.catch_up().await?;
        let unread = self.look(&[]).await?.unread;
        if unread.events.is_empty() && unread.head > unread.position {
            // Refused when another instance moves it at this moment; then it moves anyway.
            self.commit(&Unit::step(unread.position, unread.head)).await?;
        }
        self.position().await
    }

    /// Whether the log can be read from its very beginning.
    ///
    /// # Errors
    /// [`Error::Archived`] when it cannot.
    pub async fn whole_log(&self) -> Result<(), Error> {
        match self.look(&[]).await?.unread.archived_to {
            0 => Ok(()),
            to => Err(Error::Archived { to }),
        }
    }

    /// Where the context stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn position(&self) -> Result<Position, Error> {
        let unread = self.look(&[]).await?.unread;
        // Only what concerns the context counts: the rest is no work.
        let lag = i64::try_from(unread.events.len()).unwrap_or(i64::MAX);
        let lag = if unread.more { unread.head - unread.position } else { lag };
        Ok(Position { cursor: unread.position, lag })
    }

    /// After a lost race: waits for a moment, but not too often.
    pub(crate) async fn lose(&self, lost: &mut u32) -> Result<(), Error> {
        *lost += 1;
        if *lost > TRIES {
            return Err(Error::Contended);
        }
        self.platform().sleep(jitter(Duration::from_millis(u64::from(*lost).min(10)))).await;
        Ok(())
    }
}
