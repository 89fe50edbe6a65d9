//! Rows and what a context makes of them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Something that is kept in a row of its own: `{context}_row` in SQL.
pub trait Entity: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    /// The row's kind, as the context's SQL file names it.
    const KIND: &'static str;
    /// Its id within the context.
    type Id: AsRef<str> + Clone + Send + Sync + 'static;

    fn id(&self) -> &Self::Id;
}

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    pub kind: &'static str,
    pub id: String,
}

impl RowKey {
    /// The row of an entity.
    pub fn of<E: Entity>(id: &E::Id) -> Self {
        Self { kind: E::KIND, id: id.as_ref().to_owned() }
    }
}

/// An entity with the version of its row, which counts its changes from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    pub version: i64,
    pub value: T,
}

#[derive(Clone, Debug, Default)]
struct Row {
    version: i64,
    json: String,
    /// The version that was read, once the row has changed.
    was: Option<i64>,
}

/// A row as a unit of work takes it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangedRow {
    pub kind: String,
    pub id: String,
    /// The version that was decided on; 0 when there was no row.
    pub was: i64,
    pub version: i64,
    pub row: Box<RawValue>,
}

/// The rows that decisions work on.
#[derive(Clone, Debug, Default)]
pub struct Rows(BTreeMap<RowKey, Row>);

impl Rows {
    pub(crate) fn insert(&mut self, key: RowKey, version: i64, json: String) {
        self.0.insert(key, Row { version, json, was: None });
    }

    /// The entity in a row, if there is one.
    ///
    /// # Errors
    /// When the row is not of the entity's form.
    pub fn get<E: Entity>(&self, id: &E::Id) -> serde_json::Result<Option<E>> {
        self.at(&RowKey::of::<E>(id))
    }

    pub(crate) fn at<E: Entity>(&self, key: &RowKey) -> serde_json::Result<Option<E>> {
        self.0.get(key).map(|row| serde_json::from_str(&row.json)).transpose()
    }

    /// The entity in a row with the row's version, if there is one.
    pub(crate) fn versioned<E: Entity>(&self, key: &RowKey) -> serde_json::Result<Option<Versioned<E>>> {
        Ok(self.at(key)?.map(|value| Versioned { version: self.version(key), value }))
    }

    /// The version of a row; 0 when there is none.
    pub fn version(&self, key: &RowKey) -> i64 {
        self.0.get(key).map_or(0, |row| row.version)
    }

    /// Writes an entity into its row, if it differs from what is there.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn put<E: Entity>(&mut self, entity: &E) -> serde_json::Result<()> {
        let key = RowKey::of::<E>(entity.id());
        if self.at::<E>(&key)?.as_ref() != Some(entity) {
            let json = serde_json::to_string(entity)?;
            let row = self.0.entry(key).or_default();
            row.json = json;
            row.was.get_or_insert(row.version);
            row.version += 1;
        }
        Ok(())
    }

    /// The rows that changed, for a unit of work.
    pub(crate) fn changes(self) -> serde_json::Result<Vec<ChangedRow>> {
        let change = |(key, row): (RowKey, Row)| {
            let Row { version, json, was } = row;
            let (kind, id) = (key.kind.to_owned(), key.id);
            let changed = |was| Ok(ChangedRow { kind, id, was, version, row: RawValue::from_string(json)? });
            was.map(changed)
        };
        self.0.into_iter().filter_map(change).collect()
    }
}

/// What a context decides on: one entity, or several that change together.
pub trait State: Default + Clone + PartialEq + Send + Sync + 'static {
    /// Which one.
    type Key: Clone + Send + Sync + 'static;

    /// The rows that it consists of. The first one's version is the state's.
    fn rows(key: &Self::Key) -> Vec<RowKey>;

    /// Reads it.
    ///
    /// # Errors
    /// When a row is not of its entity's form.
    fn read(key: &Self::Key, rows: &Rows) -> serde_json::Result<Self>;

    /// Writes it back.
    ///
    /// # Errors
    /// When an entity cannot be written as JSON.
    fn write(&self, rows: &mut Rows) -> serde_json::Result<()>;
}

/// Most contexts decide on one entity, which may not exist yet.
impl<E: Entity> State for Option<E> {
    type Key = E::Id;

    fn rows(key: &E::Id) -> Vec<RowKey> {
        vec![RowKey::of::<E>(key)]
    }

    fn read(key: &E::Id, rows: &Rows) -> serde_json::Result<Self> {
        rows.get(key)
    }

    fn write(&self, rows: &mut Rows) -> serde_json::Result<()> {
        self.as_ref().map_or(Ok(()), |entity| rows.put(entity))
    }
}
