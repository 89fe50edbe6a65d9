//! An app that runs, on Spin or on the bundled host.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use http::StatusCode;
use tokio::{process::Command, time::sleep};

use crate::{
    client::{Client, get},
    console::{say, short},
    process::Process,
    redis::without_password,
};

/// How long an app may take to answer for the first time: it compiles its components then.
const START: Duration = Duration::from_secs(180);
const STILL_WAITING: Duration = Duration::from_secs(10);
/// One request may wait that long for its answer while the app starts.
const ONE_ANSWER: Duration = Duration::from_secs(5);

/// What an app is started with.
pub struct Launch {
    /// The program that runs it, with the same options as `spin`.
    pub program: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where its databases and logs are.
    pub state: PathBuf,
    /// Values for its variables.
    pub variables: Vec<(String, String)>,
    /// Values for those that nobody is to see: they go by the environment, not by the command line.
    pub secrets: Vec<(&'static str, String)>,
    /// Where it tells its metrics, if somebody wants to know; only the bundled host does that.
    pub metrics: Option<SocketAddr>,
    /// Whether its components' log lines go to its console, and not only to files.
    pub logs: bool,
    /// Where its output goes; to ours if it is not given.
    pub output: Option<std::fs::File>,
}

/// An app that runs.
pub struct App {
    /// The process that serves it.
    pub process: Process,
    address: SocketAddr,
    started: Instant,
}

impl Launch {
    /// Starts the app.
    pub fn start(self) -> Result<App> {
        let mut command = Command::new(&self.program);
        command.arg("up").arg("-f").arg(&self.manifest).arg("--listen").arg(self.listen.to_string());
        command.arg("--state-dir").arg(&self.state).stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.secrets {
            command.env(format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()), value);
        }
        if let Some(address) = self.metrics {
            command.arg("--metrics").arg(address.to_string());
        }
        if !self.logs {
            command.arg("--quiet");
        }
        if let Some(file) = self.output {
            command.stderr(file.try_clone()?).stdout(file);
        }
        let line = crate::cargo::line(command.as_std());
        say(format!("→ {}", line.split(' ').map(without_password).collect::<Vec<_>>().join(" ")));
        Ok(App { started: Instant::now(), process: Process::start(command)?, address: self.listen })
    }
}

impl App {
    /// Waits until the app answers, and says how long that took since its start.
    pub async fn answers(&mut self, path: &str) -> Result<Duration> {
        let mut said = Instant::now();
        loop {
            let refusal = match tokio::time::timeout(ONE_ANSWER, ask(self.address, path)).await {
                Ok(Ok(())) => return Ok(self.started.elapsed()),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => format!("no answer within {}", short(ONE_ANSWER)),
            };
            if self.process.has_ended() {
                let status = self.process.ended().await?;
                bail!("the app has ended before it answered ({status}); what it printed says why");
            }
            if self.started.elapsed() > START {
                bail!("the app does not answer at {}{path} after {}: {refusal}", self.address, short(START));
            }
            if said.elapsed() > STILL_WAITING {
                said = Instant::now();
                say(format!("  waiting for its first answer since {} ({refusal})", short(self.started.elapsed())));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<()> {
    let answer = Client::connect(address).await?.send(get(path)?).await.context("it broke the connection off")?;
    match answer.status {
        StatusCode::OK => Ok(()),
        status => bail!("it answers {status}: {}", String::from_utf8_lossy(&answer.body)),
    }
}
