//! A running shop.

use crate::{Call, Client, Redis, process::Process, within};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

/// The first start compiles the components.
const START: Duration = Duration::from_secs(180);
/// How much of what the app printed a failed test shows.
const LAST_WORDS: usize = 40;

/// Where the bells ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On a Redis of the shop's own.
    Redis,
    /// At the journal; there is no Redis.
    Http,
}

/// A shop about to start.
pub struct Builder {
    mode: Mode,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    libsql: Option<String>,
}

impl Builder {
    /// With its database on a libSQL server, which it may share with other shops.
    pub fn libsql(mut self, url: &str) -> Self {
        self.libsql = Some(url.to_owned());
        self
    }

    /// Adds an argument to the command line; only for what `mealkit-host` alone can do.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable of the app.
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        set(&mut self.variables, name, &value.to_string());
        self
    }

    /// Starts it, and waits until it answers and listens.
    pub fn open(self) -> Shop {
        let directory = tempfile::Builder::new().prefix("mealkit-test-").tempdir().expect("a folder for the test");
        let redis = (self.mode == Mode::Redis).then(|| Redis::start(directory.path()));
        let mut own =
            Own { mode: self.mode, variables: vec![], arguments: self.arguments, process: None, redis, directory };
        match (&own.redis, manifest_without_redis()) {
            (Some(redis), _) => own.variables.push(("redis_address".into(), redis.address())),
            (None, Some(_)) => {}
            // Nobody listens there: a Redis that this machine may have is not ours.
            (None, None) => {
                set(&mut own.variables, "bell", "http");
                set(&mut own.variables, "redis_address", "redis://127.0.0.1:1");
            }
        }
        own.set(&self.variables);
        if let Some(url) = self.libsql {
            let config = own.directory.path().join("runtime.toml");
            let database = format!("[sqlite_database.default]\ntype = \"libsql\"\nurl = \"{url}\"\ntoken = \"none\"\n");
            std::fs::write(&config, database).expect("a runtime config");
            own.arguments.extend(["--runtime-config-file".into(), config.to_string_lossy().into_owned()]);
        }
        let url = own.start();
        Shop { client: Client::new(&url), own: Some(own) }
    }
}

/// A running shop. It ends when it is dropped.
pub struct Shop {
    client: Client,
    own: Option<Own>,
}

/// What we started ourselves. In the order in which it has to go: the folder last.
struct Own {
    process: Option<Process>,
    redis: Option<Redis>,
    mode: Mode,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    directory: TempDir,
}

impl Shop {
    /// A shop of the test's own.
    pub fn start(mode: Mode) -> Builder {
        Builder { mode, variables: vec![], arguments: vec![], libsql: None }
    }

    /// One that somebody else started.
    pub fn at(url: &str) -> Self {
        Self { client: Client::new(url.trim_end_matches('/')), own: None }
    }

    /// For requests. A clone goes on asking the same address.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A request.
    pub fn call(&self, method: &str, path: &str) -> Call<'_> {
        self.client.call(method, path)
    }

    /// Whether the test started it, so that nobody else does anything there.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Where everything is that it writes.
    pub fn folder(&self) -> &Path {
        self.own().directory.path()
    }

    /// Its SQLite file.
    pub fn database(&self) -> PathBuf {
        self.folder().join("state/sqlite_db.db")
    }

    /// Stops it in good order and starts it again on the same files, with these variables changed.
    pub fn restart_with(&mut self, variables: &[(&str, &str)]) {
        if let Some(process) = self.own_mut().process.take() {
            process.terminate();
        }
        self.start_again_with(variables);
    }

    /// SIGKILL.
    pub fn crash(&mut self) {
        if let Some(process) = self.own_mut().process.take() {
            process.kill();
        }
    }

    /// Starts it again on the same files after [`crash`](Self::crash).
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    fn start_again_with(&mut self, variables: &[(&str, &str)]) {
        let own = self.own_mut();
        own.set(variables);
        let url = own.start();
        self.client = Client::new(&url);
    }

    /// Its Redis.
    pub fn redis(&self) -> &Redis {
        self.own().redis.as_ref().expect("a shop with a Redis")
    }

    /// Takes its Redis away: from now on all bells are lost.
    pub fn lose_redis(&mut self) {
        if let Some(redis) = self.own_mut().redis.take() {
            redis.kill();
        }
    }

    /// Everything that the app has printed.
    pub fn output(&self) -> String {
        self.own.as_ref().and_then(|own| own.process.as_ref()).map(Process::output).unwrap_or_default()
    }

    /// For a failed test: the end of what the app printed.
    pub fn print_last_words(&self) {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        eprintln!(
            "--- the end of what the app printed\n{}\n---",
            lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
        );
    }

    fn own(&self) -> &Own {
        self.own.as_ref().expect("a shop that the test started")
    }

    fn own_mut(&mut self) -> &mut Own {
        self.own.as_mut().expect("a shop that the test started")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_last_words();
        }
    }
}

impl Own {
    fn set(&mut self, variables: &[(impl AsRef<str>, impl AsRef<str>)]) {
        for (name, value) in variables {
            set(&mut self.variables, name.as_ref(), value.as_ref());
        }
    }

    /// Starts the app; returns its URL.
    fn start(&mut self) -> String {
        let directory = self.directory.path();
        let _ = std::fs::remove_file(directory.join("app.log"));
        let manifest = match self.mode {
            Mode::Redis => root().join("spin.toml"),
            Mode::Http => manifest_without_redis().unwrap_or(root().join("spin.toml")),
        };
        let mut command = Command::new(host());
        command.arg("up").arg("-f").arg(manifest).args(["--listen", "127.0.0.1:0"]);
        command.arg("--state-dir").arg(directory.join("state")).args(&self.arguments).current_dir(root());
        for (name, value) in &self.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        let process = self.process.insert(Process::start(&mut command, directory, "app.log"));
        let listens = if self.redis.is_some() { "Active channels" } else { "" };
        within(START, "up", || {
            // First whether it has ended, then what it said: so nothing that it said is missed.
            let ended = process.ended();
            let output = process.output();
            if output.contains(listens)
                && let Some((_, url)) = output.split_once("Serving ")
                && let Some((url, _)) = url.split_once('\n')
            {
                return Ok(url.trim_end_matches('/').to_owned());
            }
            assert!(ended.is_none(), "the app ended at once:\n{output}");
            Err(output)
        })
    }
}

fn set(variables: &mut Vec<(String, String)>, name: &str, value: &str) {
    variables.retain(|(old, _)| old != name);
    variables.push((name.into(), value.into()));
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

pub(crate) fn host() -> PathBuf {
    let host =
        std::env::var_os("MEALKIT_HOST").map_or_else(|| root().join("target/release/mealkit-host"), PathBuf::from);
    let is_path = host.components().count() > 1;
    assert!(
        !is_path || host.is_file(),
        "there is no {}: build with `cargo xtask build`, or set MEALKIT_HOST",
        host.display()
    );
    host
}

fn manifest_without_redis() -> Option<PathBuf> {
    std::env::var_os("MEALKIT_MANIFEST_HTTP").map(PathBuf::from)
}
