//! One of several processes that run the same shop.

use crate::{
    Client, eventually,
    process::Process,
    redis::free_port,
    shop::{host, root},
    within,
};
use std::{
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

/// A process on files and a Redis that it shares with others.
pub struct Replica {
    process: Process,
    port: u16,
}

impl Replica {
    /// Starts one on a free port, with its files in this folder and these arguments for the host.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_on(free_port(), folder, arguments)
    }

    /// Starts one in the place of another, and waits until it is ready.
    pub fn start_on(port: u16, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(host());
        command.arg("up").arg("-f").arg(root().join("spin.toml")).arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.arg("--state-dir").arg(folder.join("state")).args(arguments).current_dir(root());
        let output = format!("replica-{port}-{}.log", uuid::Uuid::now_v7().simple());
        let mut process = Process::start(&mut command, folder, &output);
        within(Duration::from_secs(180), "up", || {
            let ended = process.ended();
            let output = process.output();
            assert!(ended.is_none(), "a replica ended at once:\n{output}");
            if output.contains("Serving ") { Ok(()) } else { Err(output) }
        });
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        eventually("ready", || match client.call("GET", "/health/ready").exchange() {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.to_string()),
            Err(error) => Err(error.to_string()),
        });
        Self { process, port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks it to end, and waits until it has.
    pub fn leave(self) -> ExitStatus {
        self.process.terminate()
    }
}
