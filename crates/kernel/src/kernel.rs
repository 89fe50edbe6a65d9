//! The engine: a context at work in one instance. It reads ([`crate::read`]), catches up ([`crate::catch_up`]), carries out
//! commands ([`crate::execute`]), and commits ([`crate::unit`]).

use crate::{
    Context,
    bell::Bell,
    call::Keys,
    context::sql_name,
    database,
    dead_letter::Retry,
    error::Error,
    gate::Gate,
    log, migration,
    platform::{self, Platform, Row, Value},
    read::Looks,
    unit::{Committed, Committer, Unit},
};
use std::{
    collections::BTreeSet,
    marker::PhantomData,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

const CONTEXT_SQL: &str = include_str!("../../../sql/context.sql");

/// A context at work in one instance. Shared by all its requests.
pub struct Kernel<C: Context> {
    platform: Arc<dyn Platform>,
    keys: Arc<Keys>,
    pub(crate) looks: Looks,
    committer: Committer,
    /// How dead letters are tried again.
    pub(crate) retry: Retry,
    /// Whether any letter was open when last looked.
    pub(crate) letters: AtomicBool,
    pub bell: Bell,
    pub(crate) commit_delay: Duration,
    /// One catch-up at a time.
    pub(crate) reading: Gate,
    /// How many catch-ups have begun, and the number of the last one that came to its end, with the log's end then.
    pub(crate) begun: AtomicU64,
    pub(crate) ended: Mutex<(u64, i64)>,
    context: PhantomData<C>,
}

impl<C: Context> Kernel<C> {
    /// Migrates the context's tables, if need be, and reads its settings.
    ///
    /// # Errors
    /// When the database cannot be used, or is newer than this code.
    pub async fn open(platform: Arc<dyn Platform>) -> Result<Arc<Self>, Error> {
        let (name, version) = (sql_name(C::NAME), C::SCHEMA_VERSION);
        log::migrate(&*platform).await?;
        migration::migrate(&*platform, &name, version, schema::<C>).await?;
        platform.renew();
        let keys = Keys::new(C::NAME, platform.clone());
        Ok(Arc::new(Self {
            looks: Looks::new(C::NAME, C::CONSUMES),
            committer: Committer::new(&name, version),
            retry: Retry::of(&*platform).await,
            letters: AtomicBool::new(false),
            bell: Bell::new(C::NAME, platform.clone(), keys.clone()).await,
            commit_delay: Duration::from_millis(platform::number(&*platform, "commit_delay_ms", 0).await),
            reading: Gate::default(),
            begun: AtomicU64::new(0),
            ended: Mutex::default(),
            platform,
            keys,
            context: PhantomData,
        }))
    }

    /// The world around the context.
    pub fn platform(&self) -> &Arc<dyn Platform> {
        &self.platform
    }

    /// By what it calls other contexts.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Whether any dead letter was open when last looked.
    pub(crate) fn has_letters(&self) -> bool {
        self.letters.load(Ordering::Relaxed)
    }

    /// Runs a statement on the context's own tables.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, Error> {
        Ok(database::query(&*self.platform, sql, parameters).await?)
    }

    /// Commits a unit; `false` when it was skipped.
    pub(crate) async fn commit(&self, unit: &Unit) -> Result<bool, Error> {
        let committed = self.committer.commit(&*self.platform, unit).await?;
        if let Some(Committed { seq }) = committed {
            self.bell.is_wanted_for(seq);
        }
        Ok(committed.is_some())
    }
}

/// The SQL that makes the context's tables, indexes and unit of work.
pub fn schema<C: Context>() -> [String; 2] {
    let watched: BTreeSet<_> = C::CONSUMES.iter().chain(C::APPENDS).copied().collect();
    let consumes: BTreeSet<_> = C::CONSUMES.iter().map(|event_type| format!("\"{event_type}\"")).collect();
    let consumes = format!("[{}]", consumes.into_iter().collect::<Vec<_>>().join(","));
    // The context's own file comes second: its indexes are on its rows.
    [CONTEXT_SQL, C::SQL].map(|file| {
        file.replace("{context}", &sql_name(C::NAME))
            .replace("{name}", C::NAME)
            .replace("{version}", &C::SCHEMA_VERSION.to_string())
            .replace("{consumes}", &consumes)
            .replace("{watched}", &log::types(watched.iter().copied()))
    })
}
