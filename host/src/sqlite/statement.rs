//! A running statement: SQLite works in a blocking thread, the guest reads rows and the result.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use rusqlite::{Batch, fallible_iterator::FallibleIterator, types::ValueRef};
use wasmtime::{
    StoreContextMut,
    component::{Destination, StreamProducer, StreamResult, VecBuffer},
};

use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// So many unread rows are held back for a reader, as on Spin: with more of them SQLite waits. Its statement is not over then,
/// and keeps the locks that it has.
const BUFFER: usize = 4;

/// How long unread rows may wait for more of them before a reader is woken: to wake it costs more than a row does.
const WAKE_AFTER: Duration = Duration::from_millis(1);

/// One execution of one statement.
pub struct Statement {
    summary: String,
    progress: Mutex<Progress>,
    /// Told when the reader made room or went away.
    room: Condvar,
}

#[derive(Default)]
struct Progress {
    columns: Vec<String>,
    rows: VecDeque<RowResult>,
    /// How many rows were read so far.
    read: u64,
    /// Whether SQLite has one more row than there is room for.
    is_full: bool,
    reader_gone: bool,
    /// What SQLite said in the end.
    end: Option<Result<(), Error>>,
    wakers: Vec<Waker>,
}

/// What a finished statement leaves behind on its connection.
#[derive(Clone, Copy, Default)]
pub struct Outcome {
    /// How many rows it changed.
    pub changes: u64,
    /// The id of the last row that was inserted.
    pub last_insert_rowid: i64,
}

/// The statement has more rows than Spin holds back, and nobody reads them.
pub struct Stuck;

impl Statement {
    /// A statement that has not started, and the end where its rows come out.
    pub fn new(text: &str) -> (Arc<Self>, Rows) {
        let summary: Vec<_> = text.split_whitespace().take(8).collect();
        let statement = Arc::new(Self { summary: summary.join(" "), progress: Mutex::default(), room: Condvar::new() });
        (statement.clone(), Rows(statement))
    }

    /// Its first words.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Does the work, in this thread, and says how it ended.
    pub fn run(&self, work: impl FnOnce(&mut Sender<'_>) -> Result<(), Error>) {
        struct End<'a>(&'a Statement, Option<Result<(), Error>>);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                let result = self.1.take();
                let mut progress = self.0.progress();
                progress.end = Some(result.unwrap_or_else(|| Err(Error::Io("the statement panicked".to_string()))));
                progress.wake();
            }
        }
        // Also after a panic, or its connection would wait forever.
        let mut end = End(self, None);
        end.1 = Some(work(&mut Sender { statement: self, woken: Instant::now() }));
    }

    /// Whether SQLite is done with it.
    pub fn is_over(&self) -> bool {
        self.progress().end.is_some()
    }

    /// Waits until it is over, as long as it gets on: SQLite works, or somebody reads.
    pub async fn over(&self, patience: Duration) -> Result<(), Stuck> {
        loop {
            let read = match self.wait(|progress| progress.over_or_stuck()).await {
                Ok(()) => return Ok(()),
                Err(read) => read,
            };
            let moved = self.wait(|progress| match progress.over_or_stuck() {
                Poll::Ready(Err(still)) if still == read => Poll::Pending,
                _ => Poll::Ready(()),
            });
            if tokio::time::timeout(patience, moved).await.is_err() {
                return Err(Stuck);
            }
        }
    }

    /// What SQLite said, once it is over.
    pub fn result(&self) -> Result<(), Error> {
        self.progress().end.clone().unwrap_or(Ok(()))
    }

    async fn wait<T>(&self, mut condition: impl FnMut(&mut Progress) -> Poll<T>) -> T {
        poll_fn(|context| {
            let mut progress = self.progress();
            let ready = condition(&mut progress);
            if ready.is_pending() {
                progress.remember(context);
            }
            ready
        })
        .await
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// `Err(rows read so far)`: it can only end when somebody reads.
    fn over_or_stuck(&self) -> Poll<Result<(), u64>> {
        if self.end.is_some() {
            Poll::Ready(Ok(()))
        } else if self.is_full {
            Poll::Ready(Err(self.read))
        } else {
            Poll::Pending
        }
    }

    /// Takes so many rows for the reader, and makes room for others.
    fn take(&mut self, count: usize) -> Vec<RowResult> {
        self.read += count as u64;
        self.is_full = false;
        self.rows.drain(..count).collect()
    }

    fn is_read(&self) -> Result<(), Error> {
        if self.reader_gone {
            return Err(Error::Io("nobody reads the rows of this statement any more".to_string()));
        }
        Ok(())
    }

    fn remember(&mut self, context: &Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            self.wakers.push(context.waker().clone());
        }
    }

    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

/// Where SQLite puts the rows.
pub struct Sender<'a> {
    statement: &'a Statement,
    /// When a reader was woken last.
    woken: Instant,
}

impl Sender<'_> {
    /// The names of the columns, before the first row. If nobody waits for them any more the statement must not run, as on
    /// Spin.
    pub fn columns(&self, columns: Vec<String>) -> Result<(), Error> {
        let mut progress = self.statement.progress();
        progress.columns = columns;
        progress.is_read()
    }

    /// The next row. Waits while the reader is behind.
    pub fn send(&mut self, row: RowResult) -> Result<(), Error> {
        let mut progress = self.statement.progress();
        if progress.rows.len() >= BUFFER {
            progress.is_full = true;
            self.wake(&mut progress);
            let room = &self.statement.room;
            progress = room.wait_while(progress, |it| it.is_full).unwrap_or_else(PoisonError::into_inner);
        }
        progress.is_read()?;
        progress.rows.push_back(row);
        if self.woken.elapsed() > WAKE_AFTER {
            self.wake(&mut progress);
        }
        Ok(())
    }

    fn wake(&mut self, progress: &mut Progress) {
        progress.wake();
        self.woken = Instant::now();
    }
}

/// Where the rows come out. Dropped before the end, the statement is stopped at its next row.
pub struct Rows(Arc<Statement>);

impl Rows {
    /// The statement that they are of.
    pub fn statement(&self) -> &Arc<Statement> {
        &self.0
    }

    /// Waits until the statement is done or its first rows are there; returns the names of its columns.
    pub async fn started(&self) -> Vec<String> {
        self.0
            .wait(|progress| {
                if progress.end.is_some() || !progress.rows.is_empty() {
                    Poll::Ready(std::mem::take(&mut progress.columns))
                } else {
                    Poll::Pending
                }
            })
            .await
    }

    /// The next rows; `None` after the last one.
    pub async fn read(&mut self) -> Option<Vec<RowResult>> {
        let rows = self
            .0
            .wait(|progress| match progress.rows.len() {
                0 if progress.end.is_some() => Poll::Ready(None),
                0 => Poll::Pending,
                count => Poll::Ready(Some(progress.take(count))),
            })
            .await;
        self.0.room.notify_all();
        rows
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        let mut progress = self.0.progress();
        progress.reader_gone = true;
        progress.is_full = false;
        progress.rows.clear();
        progress.wake();
        self.0.room.notify_all();
    }
}

impl<D> StreamProducer<D> for Rows {
    type Item = RowResult;
    type Buffer = VecBuffer<RowResult>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // No more than the guest asked for: what it did not ask for it has not read.
        let room = destination.remaining(store).unwrap_or(BUFFER);
        if room == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut progress = self.0.progress();
        let count = room.min(progress.rows.len());
        if count > 0 {
            destination.set_buffer(progress.take(count).into());
            self.0.room.notify_all();
            // Others may wait for rows to be read: the next statement, and the result.
            progress.wake();
        }
        if progress.rows.is_empty() && progress.end.is_some() {
            Poll::Ready(Ok(StreamResult::Dropped))
        } else if count > 0 {
            Poll::Ready(Ok(StreamResult::Completed))
        } else if finish {
            Poll::Ready(Ok(StreamResult::Cancelled))
        } else {
            progress.remember(context);
            Poll::Pending
        }
    }
}

/// Runs the first statement of a text; what follows it is ignored, as on Spin.
pub fn execute(
    sqlite: &rusqlite::Connection,
    text: &str,
    parameters: Vec<Value>,
    sender: &mut Sender<'_>,
) -> Result<(), Error> {
    match sqlite.prepare_cached(text) {
        Ok(mut statement) => query(&mut statement, parameters, sender),
        Err(rusqlite::Error::MultipleStatement) => match Batch::new(sqlite, text).next().map_err(io)? {
            Some(mut statement) => query(&mut statement, parameters, sender),
            None => Ok(()),
        },
        Err(error) => Err(io(error)),
    }
}

fn query(
    statement: &mut rusqlite::Statement<'_>,
    parameters: Vec<Value>,
    sender: &mut Sender<'_>,
) -> Result<(), Error> {
    sender.columns(statement.column_names().map(str::to_string).collect())?;
    let columns = statement.column_count();
    let parameters = parameters.into_iter().map(|value| match value {
        Value::Null => rusqlite::types::Value::Null,
        Value::Integer(value) => rusqlite::types::Value::Integer(value),
        Value::Real(value) => rusqlite::types::Value::Real(value),
        Value::Text(value) => rusqlite::types::Value::Text(value),
        Value::Blob(value) => rusqlite::types::Value::Blob(value),
    });
    let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(io)?;
    while let Some(row) = rows.next().map_err(io)? {
        let values = (0..columns).map(|column| value(row.get_ref(column).map_err(io)?)).collect::<Result<_, _>>()?;
        sender.send(RowResult { values })?;
    }
    Ok(())
}

fn value(value: ValueRef<'_>) -> Result<Value, Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => Value::Text(str::from_utf8(text).map_err(io)?.to_string()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

fn io(error: impl std::fmt::Display) -> Error {
    Error::Io(error.to_string())
}
