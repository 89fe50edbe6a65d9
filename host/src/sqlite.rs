//! `spin:sqlite`: every open is a connection of its own to the file or the libSQL server of its label.

mod remote;
mod statement;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use tokio::runtime::Handle;
use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use self::statement::{Outcome, Rows, Sender, Statement, Stuck};
use crate::{
    bindings::spin::sqlite::sqlite::{
        Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
    },
    logs::Logs,
    metrics,
    runtime_config::Location,
    state::{Component, State},
    telemetry::Span,
};

/// The databases that a component was granted; `None`: there is no such database.
pub type Databases = BTreeMap<String, Option<Location>>;

/// How long rows may lie unread before whoever needs their end is told that nobody reads them. On Spin it waits without limit,
/// so no wait may fail here that would have come to an end there. A guest reads or drops its rows in the same breath in which it
/// goes on; but all requests of an instance, 16 at most, breathe in one thread, and where many processes share few cores that may
/// take hundreds of milliseconds. Two seconds are far beyond, and short enough for whoever waits to see what is wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open connection.
#[derive(Clone)]
pub struct Connection(Arc<Database>);

struct Database {
    backend: Backend,
    /// The statement that was started last: the next one waits for its end.
    last: Mutex<Option<Arc<Statement>>>,
    /// Changes and rowid, as the last statement left them.
    outcome: Mutex<Outcome>,
    component: Arc<str>,
    logs: Logs,
}

/// What runs the statements.
enum Backend {
    File(Mutex<rusqlite::Connection>),
    LibSql(libsql::Connection),
}

impl Backend {
    async fn connect(location: Location) -> Result<Self, Error> {
        metrics::CONNECTIONS.count();
        match location {
            Location::File(path) => {
                let sqlite = tokio::task::spawn_blocking(move || connect(&path)).await.map_err(io)?.map_err(io)?;
                Ok(Self::File(Mutex::new(sqlite)))
            }
            Location::LibSql { url, token } => remote::connect(url, token).await.map(Self::LibSql),
        }
    }

    /// Runs a statement, in this thread.
    fn run(
        &self,
        text: &str,
        parameters: Vec<Value>,
        sender: &mut Sender<'_>,
        outcome: &Mutex<Outcome>,
    ) -> Result<(), Error> {
        metrics::STATEMENTS.count();
        let set = |new| *outcome.lock().unwrap_or_else(PoisonError::into_inner) = new;
        match self {
            Self::File(sqlite) => {
                let sqlite = sqlite.lock().unwrap_or_else(PoisonError::into_inner);
                let result = statement::execute(&sqlite, text, parameters, sender);
                set(Outcome { changes: sqlite.changes(), last_insert_rowid: sqlite.last_insert_rowid() });
                result
            }
            Self::LibSql(server) => {
                let result = Handle::current().block_on(remote::execute(server, text, parameters, sender));
                set(Outcome { changes: server.changes(), last_insert_rowid: server.last_insert_rowid() });
                result
            }
        }
    }
}

impl Connection {
    async fn open(component: &Arc<Component>, label: &str) -> Result<Self, Error> {
        let Some(location) = component.databases.get(label) else {
            component.logs.say(format!(
                "component `{}` may not open the database `{label}`: add it to sqlite_databases",
                component.id
            ));
            return Err(Error::AccessDenied);
        };
        let Some(location) = location.clone() else {
            component.logs.say(format!(
                "component `{}`: there is no database `{label}`: configure [sqlite_database.{label}] in the runtime config",
                component.id
            ));
            return Err(Error::NoSuchDatabase);
        };
        Ok(Self(Arc::new(Database {
            backend: Backend::connect(location).await?,
            last: Mutex::default(),
            outcome: Mutex::default(),
            component: component.id.clone(),
            logs: component.logs.clone(),
        })))
    }

    /// Starts a statement, and returns when it is done or its first rows are there. The span ends when it is done.
    async fn start(
        &self,
        text: String,
        parameters: Vec<Value>,
        mut span: Option<Span>,
    ) -> Result<(Vec<String>, Rows), Error> {
        let (statement, rows) = Statement::new(&text);
        if let Some(span) = &mut span {
            span.set("db.system.name", "sqlite");
            span.set("db.query.summary", statement.summary());
        }
        self.next(Some(&statement)).await?;
        let database = self.0.clone();
        tokio::task::spawn_blocking(move || {
            statement.run(|sender| {
                let result = database.backend.run(&text, parameters, sender, &database.outcome);
                if let (Some(span), Err(error)) = (&mut span, &result) {
                    span.fail(error);
                }
                result
            });
        });
        let columns = rows.started().await;
        Ok((columns, rows))
    }

    /// Runs a statement to its end.
    async fn collect(&self, text: String, parameters: Vec<Value>) -> Result<QueryResult, Error> {
        let (columns, mut unread) = self.start(text, parameters, None).await?;
        let mut rows: Vec<RowResult> = Vec::new();
        while let Some(more) = unread.read().await {
            rows.extend(more);
        }
        unread.statement().result()?;
        Ok(QueryResult { columns, rows })
    }

    /// Waits for the end of the last statement and takes its place. On Spin this would wait forever if nobody reads that
    /// statement's rows; here it fails.
    async fn next(&self, next: Option<&Arc<Statement>>) -> Result<(), Error> {
        loop {
            let last = {
                let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
                match &*last {
                    Some(statement) if !statement.is_over() => statement.clone(),
                    _ => {
                        if let Some(next) = next {
                            *last = Some(next.clone());
                        }
                        return Ok(());
                    }
                }
            };
            if let Err(Stuck) = last.over(PATIENCE).await {
                self.0.complain(&last, "and another one was started on the same connection");
                return Err(Error::Io(format!(
                    "a statement on this connection still has rows nobody read ({}); collect them first",
                    last.summary()
                )));
            }
        }
    }

    async fn outcome(&self) -> Outcome {
        // Nothing can be said about a failure here: then it is the outcome of the statement before.
        let _ = self.next(None).await;
        *self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of a statement. On Spin this would wait forever if nobody reads its rows; here it fails.
    async fn result(self, statement: Arc<Statement>) -> Result<(), Error> {
        match statement.over(PATIENCE).await {
            Ok(()) => statement.result(),
            Err(Stuck) => {
                self.0.complain(&statement, "and its result is waited for");
                Err(Error::Io(format!(
                    "this statement still has rows nobody read ({}); collect them before you wait for its result",
                    statement.summary()
                )))
            }
        }
    }
}

impl Database {
    fn complain(&self, statement: &Statement, why: &str) {
        self.logs.say(format!(
            "component `{}`: a statement has rows that nobody read, {why}: `{}`. On Spin this hangs: collect the rows first",
            self.component,
            statement.summary()
        ));
    }
}

fn connect(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let mut sqlite = rusqlite::Connection::open(path)?;
    metrics::count_commits(&mut sqlite)?;
    sqlite.authorizer(Some(|context: AuthContext<'_>| match context.action {
        // Temporary and in-memory databases are its own; any other file is not.
        AuthAction::Attach { filename } if !matches!(filename, "" | ":memory:") => Authorization::Deny,
        _ => Authorization::Allow,
    }))?;
    Ok(sqlite)
}

/// As a panic of the guest at this statement would, if a test asked for it.
fn trap_if_asked(component: &Component, parameters: &[Value]) -> wasmtime::Result<()> {
    let Some(text) = &component.trap else { return Ok(()) };
    let contains = |value: &Value| matches!(value, Value::Text(value) if value.contains(&**text));
    wasmtime::ensure!(!parameters.iter().any(contains), "a statement trapped on `{text}`, as asked with --trap");
    Ok(())
}

fn io(error: impl std::fmt::Display) -> Error {
    Error::Io(error.to_string())
}

fn connection<T>(accessor: &Accessor<T, HasSelf<State>>, this: &Resource<Connection>) -> Result<Connection, Error> {
    accessor.with(|mut access| access.get().connection(this))
}

impl State {
    fn connection(&self, this: &Resource<Connection>) -> Result<Connection, Error> {
        self.table.get(this).cloned().map_err(|_| Error::InvalidConnection)
    }
}

impl Host for State {}

impl HostConnection for State {
    async fn open(&mut self, label: String) -> Result<Resource<Connection>, Error> {
        let connection = Connection::open(&self.component, &label).await?;
        self.table.push(connection).map_err(io)
    }

    async fn execute(
        &mut self,
        this: Resource<Connection>,
        text: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        trap_if_asked(&self.component, &parameters)?;
        Ok(match self.connection(&this) {
            Ok(connection) => connection.collect(text, parameters).await,
            Err(error) => Err(error),
        })
    }

    async fn changes(&mut self, this: Resource<Connection>) -> u64 {
        match self.connection(&this) {
            Ok(connection) => connection.outcome().await.changes,
            Err(_) => 0,
        }
    }

    async fn last_insert_rowid(&mut self, this: Resource<Connection>) -> i64 {
        match self.connection(&this) {
            Ok(connection) => connection.outcome().await.last_insert_rowid,
            Err(_) => 0,
        }
    }

    async fn drop(&mut self, this: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T> HostConnectionWithStore<T> for HasSelf<State> {
    async fn open_async(accessor: &Accessor<T, Self>, label: String) -> Result<Resource<Connection>, Error> {
        let _span = Span::call(accessor, "spin_sqlite.open");
        let component = accessor.with(|mut access| access.get().component.clone());
        let connection = Connection::open(&component, &label).await?;
        accessor.with(|mut access| access.get().table.push(connection)).map_err(io)
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        text: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<(Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>), Error>> {
        accessor.with(|mut access| trap_if_asked(&access.get().component, &parameters))?;
        let span = Span::call(accessor, "spin_sqlite.execute");
        let connection = match connection(accessor, &this) {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let (columns, rows) = match connection.start(text, parameters, span).await {
            Ok(started) => started,
            Err(error) => return Ok(Err(error)),
        };
        let statement = rows.statement().clone();
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, rows)?;
            let result = async move { wasmtime::error::Ok(connection.result(statement).await) };
            let result = FutureReader::new(&mut access, result)?;
            Ok(Ok((columns, rows, result)))
        })
    }

    async fn changes_async(accessor: &Accessor<T, Self>, this: Resource<Connection>) -> u64 {
        match connection(accessor, &this) {
            Ok(connection) => connection.outcome().await.changes,
            Err(_) => 0,
        }
    }

    async fn last_insert_rowid_async(accessor: &Accessor<T, Self>, this: Resource<Connection>) -> i64 {
        match connection(accessor, &this) {
            Ok(connection) => connection.outcome().await.last_insert_rowid,
            Err(_) => 0,
        }
    }
}
