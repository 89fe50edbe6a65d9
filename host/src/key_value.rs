//! `spin:key-value`: stores in an SQLite file, with the table that Spin uses, so that either can open the other's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension};
use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use crate::{
    bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore},
    metrics,
    state::State,
    telemetry::Span,
};

/// The stores that a component was granted; `None`: there is no such store.
pub type KeyValueStores = BTreeMap<String, Option<Arc<StoreFile>>>;

/// A file with stores in it, opened when it is first used.
pub struct StoreFile {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl StoreFile {
    /// The stores in this file.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), connection: Mutex::new(None) }
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match slot.take() {
            Some(connection) => connection,
            None => {
                let mut connection = Connection::open(&self.path)?;
                metrics::count_commits(&mut connection)?;
                connection.execute_batch(
                    "CREATE TABLE IF NOT EXISTS spin_key_value (
                       store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))",
                )?;
                connection
            }
        };
        let result = work(&connection);
        *slot = Some(connection);
        result
    }
}

/// An open store.
#[derive(Clone)]
pub struct Store {
    label: String,
    file: Arc<StoreFile>,
}

impl Store {
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&Connection, &str) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        tokio::task::spawn_blocking(move || self.file.with(|connection| work(connection, &self.label)))
            .await
            .map_err(|error| Error::Other(error.to_string()))?
            .map_err(|error| Error::Other(error.to_string()))
    }
}

fn store<T>(accessor: &Accessor<T, HasSelf<State>>, store: &Resource<Store>) -> Result<Store, Error> {
    accessor.with(|mut access| match access.get().table.get(store) {
        Ok(store) => Ok(store.clone()),
        Err(error) => Err(Error::Other(error.to_string())),
    })
}

impl Host for State {}

impl HostStore for State {
    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T> HostStoreWithStore<T> for HasSelf<State> {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Resource<Store>, Error> {
        let _span = Span::call(accessor, "spin_key_value.open");
        accessor.with(|mut access| {
            let state = access.get();
            let component = &state.component;
            let Some(file) = component.stores.get(&label) else {
                component.logs.say(format!(
                    "component `{}` may not open the key-value store `{label}`: add it to key_value_stores",
                    component.id
                ));
                return Err(Error::AccessDenied);
            };
            let Some(file) = file.clone() else {
                component.logs.say(format!(
                    "component `{}`: there is no key-value store `{label}`: configure [key_value_store.{label}] in the \
                     runtime config",
                    component.id
                ));
                return Err(Error::NoSuchStore);
            };
            state.table.push(Store { label, file }).map_err(|_| Error::StoreTableFull)
        })
    }

    async fn get(accessor: &Accessor<T, Self>, this: Resource<Store>, key: String) -> Result<Option<Vec<u8>>, Error> {
        let _span = Span::call(accessor, "spin_key_value.get");
        store(accessor, &this)?
            .run(move |connection, label| {
                connection
                    .prepare_cached("SELECT value FROM spin_key_value WHERE store = ? AND key = ?")?
                    .query_row((label, key), |row| row.get(0))
                    .optional()
            })
            .await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        this: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let _span = Span::call(accessor, "spin_key_value.set");
        store(accessor, &this)?
            .run(move |connection, label| {
                connection
                    .prepare_cached(
                        "INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?)
                         ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
                    )?
                    .execute((label, key, value))
                    .map(drop)
            })
            .await
    }

    async fn delete(accessor: &Accessor<T, Self>, this: Resource<Store>, key: String) -> Result<(), Error> {
        let _span = Span::call(accessor, "spin_key_value.delete");
        store(accessor, &this)?
            .run(move |connection, label| {
                connection
                    .prepare_cached("DELETE FROM spin_key_value WHERE store = ? AND key = ?")?
                    .execute((label, key))
                    .map(drop)
            })
            .await
    }

    async fn exists(accessor: &Accessor<T, Self>, this: Resource<Store>, key: String) -> Result<bool, Error> {
        let _span = Span::call(accessor, "spin_key_value.exists");
        store(accessor, &this)?
            .run(move |connection, label| {
                connection
                    .prepare_cached("SELECT 1 FROM spin_key_value WHERE store = ? AND key = ?")?
                    .exists((label, key))
            })
            .await
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        this: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let _span = Span::call(accessor, "spin_key_value.get_keys");
        let keys = match store(accessor, &this) {
            Ok(store) => {
                store
                    .run(|connection, label| {
                        connection
                            .prepare_cached("SELECT key FROM spin_key_value WHERE store = ? ORDER BY key")?
                            .query_map([label], |row| row.get(0))?
                            .collect::<rusqlite::Result<Vec<String>>>()
                    })
                    .await
            }
            Err(error) => Err(error),
        };
        let (keys, result) = match keys {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let result = FutureReader::new(&mut access, async { wasmtime::error::Ok(result) })?;
            Ok((keys, result))
        })
    }
}
