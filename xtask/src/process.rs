//! Programs that run beside this one, and end with it.

use std::{io, process::ExitStatus, time::Duration};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    signal::unix,
    time::timeout,
};

/// A program in a process group of its own: Ctrl-C in a terminal does not reach it, so that it ends when we say so, and
/// those that it starts end with it.
pub struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    /// Starts a program.
    pub fn start(mut command: Command) -> Result<Self> {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{name} did not start"))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self { child, group: id.and_then(Pid::from_raw) })
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, and ends it if it takes longer than `patience`. Says whether it ended by itself.
    pub async fn stop(&mut self, patience: Duration) -> bool {
        self.signal(Signal::TERM);
        let ended = timeout(patience, self.child.wait()).await.is_ok();
        self.kill();
        ended
    }

    /// Ends it at once, and those that it started.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.group = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ctrl-C, or SIGTERM.
pub struct Ending {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Ending {
    /// From now on these two do not end this program by themselves.
    pub fn new() -> Result<Self> {
        Ok(Self {
            interrupt: unix::signal(unix::SignalKind::interrupt())?,
            terminate: unix::signal(unix::SignalKind::terminate())?,
        })
    }

    /// Waits until one of them comes.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
