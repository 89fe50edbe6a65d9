//! A lock between the requests of one instance.
//!
//! A request cannot wake another one: each is a task of its own to the host, and wit-bindgen's `inter-task-wakeup`
//! traps on wasmtime 48 (docs/decisions/0002-waiting-within-an-instance.md). So whoever waits looks again after a
//! moment.

use crate::{database::jitter, platform::Platform};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long to wait before looking again. The host's timers have a resolution of a millisecond.
const MOMENT: Duration = Duration::from_millis(1);

/// One at a time.
#[derive(Default)]
pub struct Gate(AtomicBool);

/// Having passed the gate. It opens again when this is dropped, also by a request that was given up.
pub struct Passed<'a>(&'a AtomicBool);

impl Gate {
    /// A gate that is open.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Passes, if nobody else is inside.
    pub fn try_pass(&self) -> Option<Passed<'_>> {
        // Not `then_some`: a `Passed` that nobody gets would open the gate when it is dropped.
        (!self.0.swap(true, Ordering::SeqCst)).then(|| Passed(&self.0))
    }

    /// Whether somebody is inside.
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits for a moment.
    pub(crate) async fn moment(platform: &dyn Platform) {
        platform.sleep(jitter(MOMENT)).await;
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// What an instance opens once. Whoever comes while it is being opened waits for it; when that fails, or is given up, the next
/// one tries.
pub struct Once<T> {
    kept: Mutex<Option<Arc<T>>>,
    opening: Gate,
}

impl<T> Once<T> {
    /// Not open yet.
    pub const fn new() -> Self {
        Self { kept: Mutex::new(None), opening: Gate::new() }
    }

    /// What is open; opens it on this platform, if it is not. That platform is made only then, not by every request.
    ///
    /// # Errors
    /// When it could not be opened.
    pub async fn get<E>(
        &self,
        platform: impl Fn() -> Arc<dyn Platform>,
        open: impl AsyncFnOnce(Arc<dyn Platform>) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        loop {
            if let Some(kept) = self.kept() {
                return Ok(kept);
            }
            let Some(_opening) = self.opening.try_pass() else {
                Gate::moment(&*platform()).await;
                continue;
            };
            // Somebody else may have opened it between the look and the gate.
            if let Some(kept) = self.kept() {
                return Ok(kept);
            }
            let opened = Arc::new(open(platform()).await?);
            if let Ok(mut kept) = self.kept.lock() {
                *kept = Some(opened.clone());
            }
            return Ok(opened);
        }
    }

    fn kept(&self) -> Option<Arc<T>> {
        self.kept.lock().ok()?.clone()
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}
