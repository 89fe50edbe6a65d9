//! Why something was not done.

use crate::platform::PlatformError;

/// Why something could not be done, none of it the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] PlatformError),
    /// A row or an event is not of the form that this code knows.
    #[error("a row or an event could not be read or written: {0}")]
    Data(#[from] serde_json::Error),
    /// Others were always faster.
    #[error("too many others work on the same at the moment")]
    Contended,
    /// The database was migrated by a newer build.
    #[error(
        "the tables of {name} have version {found}, but this build knows only {known}: deploy the newer build again"
    )]
    NewerSchema {
        /// Whose tables.
        name: String,
        /// The database's version.
        found: i64,
        /// This build's.
        known: i64,
    },
    /// The database was last used by a build that this one does not work beside.
    #[error(
        "the tables of {name} have version {found}, and this build takes on {oldest} and later: deploy what came between first"
    )]
    OlderSchema {
        /// Whose tables.
        name: String,
        /// The database's version.
        found: i64,
        /// The oldest one that this build takes on.
        oldest: i64,
    },
    /// Something that the migration makes is not there.
    #[error("{0} is missing from the database")]
    Missing(&'static str),
    /// Events that are to be read are not in the log any more.
    #[error("the log is archived up to event {to}, which is to be read: restore it first")]
    Archived {
        /// The last one.
        to: i64,
    },
    /// An event about it could not be worked off, so what is known of it is not all.
    #[error("an event about {0} waits to be worked off")]
    Delayed(String),
}

impl Error {
    /// Whether it lies in what was to be done, and not in the state of the database: it would fail every time. A
    /// schema that is not as this code knows it lies in the database.
    pub(crate) fn is_poison(&self) -> bool {
        matches!(self, Self::Data(_) | Self::Database(PlatformError::Failed(_)))
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure<R> {
    #[error("{0}")]
    Refused(R),
    /// It is not in the version that the caller's conditions are for (`If-Match`).
    #[error("it has version {actual:?} by now")]
    Stale {
        /// The version it has, if it is something that has versions.
        actual: Option<i64>,
    },
    /// Another request with the same idempotency key came first.
    #[error("another request with this idempotency key came first")]
    KeyTaken,
    /// The idempotency key came with another body before.
    #[error("this idempotency key came with another body before")]
    KeyReused,
    /// It could not be tried.
    #[error(transparent)]
    Failed(#[from] Error),
}
