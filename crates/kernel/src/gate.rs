//! A lock between the requests of one instance.
//!
//! A request cannot wake another one: each is a task of its own to the host, and wit-bindgen's `inter-task-wakeup`
//! traps on wasmtime 48 (docs/decisions/0002-waiting-within-an-instance.md). So whoever waits looks again after a
//! moment.

use crate::{database::jitter, platform::Platform};
use std::{
    sync::atomic::{AtomicBool, Ordering},
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
    /// With nobody inside.
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
