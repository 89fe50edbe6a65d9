//! Bookmarks: places in the log that a context keeps besides its cursor, for what it looks through at leisure.

use crate::{
    Context, Kernel, Recorded,
    error::Error,
    log::{self, COLUMNS},
    platform::Value,
};
use contracts::EventType;

/// A bookmark, and the end of the log when it was looked up.
#[derive(Clone, Debug)]
pub struct Bookmark {
    name: &'static str,
    /// All up to this event is done with.
    pub position: i64,
    /// The newest event's sequence number.
    pub head: i64,
}

impl<C: Context> Kernel<C> {
    /// The bookmark of this name. A new one lies where the log begins. It stands among the consumers of the log, so that
    /// nothing behind it is archived by mistake.
    ///
    /// # Errors
    /// When the database cannot be used; [`Error::Archived`] when what lies behind it is not in the log any more.
    pub async fn bookmark(&self, name: &'static str) -> Result<Bookmark, Error> {
        let sql = format!(
            "SELECT position, ({}), (SELECT archived_to FROM log_archive) FROM consumer WHERE name = ?",
            log::HEAD
        );
        let mut found = self.query(&sql, vec![name.into()]).await?;
        if found.is_empty() {
            let new = "INSERT INTO consumer (name, position, consumes) SELECT ?, archived_to, '[]' FROM log_archive \
                WHERE true ON CONFLICT DO NOTHING";
            self.query(new, vec![name.into()]).await?;
            found = self.query(&sql, vec![name.into()]).await?;
        }
        match found.first().map(Vec::as_slice) {
            Some([Value::Integer(position), Value::Integer(_), Value::Integer(to)]) if to > position => {
                Err(Error::Archived { to: *to })
            }
            Some([Value::Integer(position), Value::Integer(head), _]) => {
                Ok(Bookmark { name, position: *position, head: *head })
            }
            _ => Err(Error::Missing("a bookmark")),
        }
    }

    /// The events of a type behind a bookmark for which this condition holds, the first ones first, so many at most.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn behind(
        &self,
        bookmark: &Bookmark,
        event_type: EventType,
        condition: &str,
        limit: usize,
    ) -> Result<Vec<Recorded>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM event WHERE seq > ?1 AND seq <= ?2 AND type = '{event_type}' AND {condition} \
             ORDER BY seq LIMIT {limit}"
        );
        let found = self.query(&sql, vec![bookmark.position.into(), bookmark.head.into()]).await?;
        let recorded = |row: &Vec<Value>| log::entry(row)?.recorded(&[event_type]).map(Option::into_iter);
        Ok(found.iter().map(recorded).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Moves a bookmark on, unless somebody else did.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn turn(&self, bookmark: &Bookmark, to: i64) -> Result<(), Error> {
        if to > bookmark.position {
            let sql = "UPDATE consumer SET position = ?3 WHERE name = ?1 AND position = ?2";
            self.query(sql, vec![bookmark.name.into(), bookmark.position.into(), to.into()]).await?;
        }
        Ok(())
    }
}
