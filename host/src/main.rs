//! `mealkit-host`: a small stand-in for `spin up`, for development and tests only.
//!
//! The Spin CLI is in none of the package registries, so on a machine without it the shop runs on this. It reads the same
//! `spin.toml`, is built on the same parts as Spin (wasmtime, wasmtime-wasi, wasmtime-wasi-http), and does what Spin 4.1
//! does as far as the shop needs it: HTTP and Redis triggers, service chaining, SQLite, key-value stores, variables,
//! outbound HTTP and Redis. It is as strict as Spin or stricter: what it does not know in the manifest it refuses by
//! name, and where Spin would hang on rows that nobody reads it fails and says so.
//!
//! Different from Spin, on purpose:
//! - One process serves both triggers. Redis may be down at the start or go away: HTTP goes on, and the channels come back.
//! - TCP_NODELAY is set. SIGTERM and Ctrl-C first make `GET /health/ready` answer 503 (for as long as `--drain` says), then let
//!   requests and messages in flight finish, for up to ten seconds.
//! - No https, no `self` hosts, no `:param` routes, no other stores than SQLite files (databases may be
//!   on a libSQL server), no composition of components.
//!
//! It has no limits on time and memory of guests, no TLS, and hardly any metrics: it is not for production.

mod allowed_hosts;
mod app;
mod bindings;
mod http;
mod key_value;
mod logs;
mod manifest;
mod metrics;
mod outbound_http;
mod redis;
mod redis_trigger;
mod routes;
mod runtime_config;
mod sqlite;
mod state;
mod telemetry;
mod variables;

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{
    app::{App, Phase, Shutdown},
    http::Instances,
    logs::Logs,
    manifest::Manifest,
    redis_trigger::{Handler, Subscriber},
    routes::Routes,
    runtime_config::RuntimeConfig,
    variables::Variables,
};

/// How long requests and messages in flight may take when the host ends, after its drain.
const PATIENCE: Duration = Duration::from_secs(10);

/// A small stand-in for the Spin CLI, for development and tests only. Use Spin in production.
#[derive(Parser)]
#[command(name = "mealkit-host", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the application
    Up(Up),
}

#[derive(Args)]
struct Up {
    /// The manifest, or the directory that it is in
    #[arg(short = 'f', long = "from", default_value = "spin.toml")]
    from: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Where databases and logs are; `.spin` beside the manifest if it is not given
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Set a variable of the application: name=value
    #[arg(long = "variable", value_parser = name_and_value)]
    variables: Vec<(String, String)>,
    /// Where databases and key-value stores are
    #[arg(long)]
    runtime_config_file: Option<PathBuf>,
    /// For tests: a statement trips over this text in one of its parameters, and the guest traps there as by a panic
    #[arg(long, value_name = "TEXT")]
    trap: Option<String>,
    /// Where to tell metrics, in Prometheus' text format: how often guests have used their databases
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// How many seconds to go on serving after SIGTERM while `GET /health/ready` answers 503, so that a proxy sends new
    /// requests elsewhere before this stops listening. Give it longer than the proxy takes to notice
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    drain: Duration,
    /// Do not print what components print
    #[arg(short, long)]
    quiet: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_string(), value.to_string()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or("write it as seconds, such as 5 or 0.5".to_string())
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Up(up) = Cli::parse().command;
    match up.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line that scripts may wait for. A console that was closed is no reason to stop.
fn console(text: &str) {
    let mut console = std::io::stdout().lock();
    let _ = writeln!(console, "{text}").and_then(|()| console.flush());
}

impl Up {
    async fn run(self) -> Result<()> {
        let from = if self.from.is_dir() { self.from.join("spin.toml") } else { self.from };
        let manifest = Manifest::read(&from)?;
        let variables = Variables::resolve(&manifest.variables, &self.variables, |key| std::env::var(key).ok())?;
        let directory = from.parent().unwrap_or(Path::new("")).to_path_buf();
        let state_directory = self.state_dir.unwrap_or_else(|| directory.join(".spin"));
        let config = RuntimeConfig::read(self.runtime_config_file.as_deref(), &state_directory)?;
        let logs = Logs::start(&state_directory.join("logs"), self.quiet)?;
        telemetry::start(&logs)?;
        metrics::syncs::count()?;
        let listener = listen(self.listen, "--listen").await?;
        if let Some(address) = self.metrics {
            let listener = listen(address, "--metrics").await?;
            console(&format!("Metrics at http://{}", listener.local_addr()?));
            tokio::spawn(metrics::serve(listener));
        }

        let (switch, shutdown) = Shutdown::new();
        // Compiling takes all cores for a while; nothing else is there to be held up.
        let (app, mut ended) =
            App::load(&manifest, &directory, &variables, &config, &logs, self.trap.as_deref(), shutdown.clone())
                .with_context(|| from.display().to_string())?;
        let app = Arc::new(app);

        let mut callable = BTreeMap::new();
        for trigger in &manifest.http {
            callable.insert(trigger.component.clone(), Instances::new(&app, app.component(&trigger.component)?)?);
        }
        let _ = app.network.components.set(callable);
        let subscribers = subscribers(&manifest, &app, &variables)?;
        let routes = Routes::new(&manifest.http);

        announce(&manifest, &routes, listener.local_addr()?);
        let mut triggers = JoinSet::new();
        triggers.spawn(http::serve(app.clone(), listener, routes, shutdown.clone()));
        for subscriber in subscribers {
            triggers.spawn(subscriber.run(app.clone(), shutdown.clone()));
        }

        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let finished = async {
            switch.send_replace(Phase::Draining);
            tokio::time::sleep(self.drain).await;
            switch.send_replace(Phase::Ending);
            let finished = tokio::time::timeout(PATIENCE, async {
                while triggers.join_next().await.is_some() {}
                // What guests still do after their answers.
                app.wait_for_no_more();
                ended.recv().await;
            });
            if finished.await.is_err() {
                logs.say("some requests or messages took too long and were dropped");
                return 1;
            }
            0
        };
        // Asked once more, it ends at once.
        let status = tokio::select! {
            status = finished => status,
            _ = terminate.recv() => 1,
            _ = interrupt.recv() => 1,
        };
        telemetry::flush().await;
        logs.flush();
        // Not by returning: that would wait for statements that are still running.
        std::process::exit(status);
    }
}

async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another address with {option}, or port 0 for a free one")
    })
}

fn subscribers(manifest: &Manifest, app: &Arc<App>, variables: &Variables) -> Result<Vec<Subscriber>> {
    let mut addresses: BTreeMap<String, BTreeMap<String, Vec<Arc<Handler>>>> = BTreeMap::new();
    for trigger in &manifest.redis {
        let place = || format!("trigger.redis of `{}`", trigger.component);
        let address = variables.expand(&trigger.address).with_context(place)?;
        let channel = variables.expand(&trigger.channel).with_context(place)?;
        let handler = Handler::new(app.component(&trigger.component)?)?;
        addresses.entry(address).or_default().entry(channel).or_default().push(Arc::new(handler));
    }
    addresses.into_iter().map(|(address, channels)| Subscriber::new(&address, channels)).collect()
}

fn announce(manifest: &Manifest, routes: &Routes, address: SocketAddr) {
    let url = format!("http://{address}");
    let mut text = format!("Serving {url}\nAvailable Routes:");
    for entry in routes.iter() {
        let path = if entry.prefix().is_empty() { "/" } else { entry.prefix() };
        let wildcard = if entry.route.ends_with("/...") { " (wildcard)" } else { "" };
        text += &format!("\n  {}: {url}{path}{wildcard}", entry.component);
        let component = manifest.components.get(&entry.component);
        if let Some(description) = component.and_then(|component| component.description.as_ref()) {
            text += &format!("\n    {description}");
        }
    }
    console(&text);
}
