//! A running shop.

use crate::{Call, Client, Disk, People, Redis, process::Process, within};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, PoisonError, RwLock},
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
    replicas: usize,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    libsql: Option<String>,
    environment: Vec<(String, OsString)>,
    disk: Option<Disk>,
    manifest: Option<PathBuf>,
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

    /// So many whole apps on the same files and the same Redis.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets an environment variable of the app's processes.
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With its files on this disk.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Starts this manifest instead of the shop's own.
    pub fn manifest(mut self, manifest: PathBuf) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// Starts it, and waits until it answers and listens.
    pub fn open(self) -> Shop {
        let directory = tempfile::Builder::new().prefix("mealkit-test-").tempdir().expect("a folder for the test");
        let redis = (self.mode == Mode::Redis).then(|| Redis::start(directory.path()));
        let mut variables = vec![];
        set(&mut variables, "signing_key", &crate::signing_key());
        match (&redis, manifest_without_redis()) {
            (Some(redis), _) => set(&mut variables, "redis_address", &redis.address()),
            (None, Some(_)) => {}
            // Nobody listens there: a Redis that this machine may have is not ours.
            (None, None) => {
                set(&mut variables, "bell", "http");
                set(&mut variables, "redis_address", "redis://127.0.0.1:1");
            }
        }
        for (name, value) in self.variables {
            set(&mut variables, &name, &value);
        }
        let own_manifest = match self.mode {
            Mode::Redis => root().join("spin.toml"),
            Mode::Http => manifest_without_redis().unwrap_or(root().join("spin.toml")),
        };
        let mut arguments = self.arguments;
        if let Some(url) = self.libsql {
            let config = directory.path().join("runtime.toml");
            let database = format!("[sqlite_database.default]\ntype = \"libsql\"\nurl = \"{url}\"\ntoken = \"none\"\n");
            std::fs::write(&config, database).expect("a runtime config");
            arguments.extend(["--runtime-config-file".into(), config.to_string_lossy().into_owned()]);
        }
        let own = Own {
            arguments,
            apps: (0..self.replicas).map(|_| None).collect(),
            redis,
            variables,
            environment: self.environment,
            manifest: self.manifest.unwrap_or(own_manifest),
            disk: self.disk,
            directory,
        };
        let mut shop = Shop {
            client: Client::new("http://127.0.0.1:1"),
            front: Front::default(),
            people: People::default(),
            own: Some(own),
        };
        shop.start_again();
        shop
    }
}

/// The ways into a shop, as they are at the moment: one for each replica. A clone goes on knowing the newest.
#[derive(Clone, Default)]
pub struct Front(Arc<RwLock<Vec<Client>>>);

impl Front {
    /// One of them.
    pub fn client(&self, number: usize) -> Client {
        let clients = self.0.read().unwrap_or_else(PoisonError::into_inner);
        clients[number % clients.len()].clone()
    }
}

/// A running shop. It ends when it is dropped.
pub struct Shop {
    client: Client,
    people: People,
    front: Front,
    own: Option<Own>,
}

/// What we started ourselves. In the order in which it has to go: the disk and the folder last.
struct Own {
    apps: Vec<Option<Process>>,
    redis: Option<Redis>,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    environment: Vec<(String, OsString)>,
    manifest: PathBuf,
    disk: Option<Disk>,
    directory: TempDir,
}

impl Shop {
    /// A shop of the test's own.
    pub fn start(mode: Mode) -> Builder {
        Builder {
            mode,
            replicas: 1,
            variables: vec![],
            arguments: vec![],
            libsql: None,
            environment: vec![],
            disk: None,
            manifest: None,
        }
    }

    /// One that somebody else started.
    pub fn at(url: &str) -> Self {
        let client = Client::new(url.trim_end_matches('/'));
        Self { front: Front(Arc::new(RwLock::new(vec![client.clone()]))), client, people: People::default(), own: None }
    }

    /// For requests. A clone goes on asking the same address.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// For requests of those who find the shop again after a restart.
    pub fn front(&self) -> &Front {
        &self.front
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
        self.own().state().join("sqlite_db.db")
    }

    /// The disk that its files are on, if it has one of its own.
    pub fn disk(&self) -> Option<&Disk> {
        self.own().disk.as_ref()
    }

    /// Stops it in good order and starts it again on the same files, with these variables changed.
    pub fn restart_with(&mut self, variables: &[(&str, &str)]) {
        for app in self.own_mut().apps.iter_mut().filter_map(Option::take) {
            app.terminate();
        }
        for (name, value) in variables {
            set(&mut self.own_mut().variables, name, value);
        }
        self.start_again();
    }

    /// Stops it in good order and starts it again on the same files, by another manifest.
    pub fn restart_by(&mut self, manifest: PathBuf) {
        self.own_mut().manifest = manifest;
        self.restart_with(&[]);
    }

    /// SIGKILL, for all of it.
    pub fn crash(&mut self) {
        for app in self.own_mut().apps.iter_mut().filter_map(Option::take) {
            app.kill();
        }
    }

    /// SIGKILL, for one of its replicas.
    pub fn crash_one(&mut self, number: usize) {
        let apps = &mut self.own_mut().apps;
        let number = number % apps.len();
        if let Some(app) = apps[number].take() {
            app.kill();
        }
    }

    /// Starts again, on the same files, whatever of it does not run: after [`crash`](Self::crash), or when it has ended by
    /// itself, as Spin does when it loses its Redis.
    pub fn start_again(&mut self) {
        let people = self.people.clone();
        let own = self.own_mut();
        let mut clients = vec![];
        for number in 0..own.apps.len() {
            own.apps[number].take_if(|app| app.ended().is_some());
            if own.apps[number].is_none() {
                own.start(number);
            }
            let url = own.apps[number].as_ref().and_then(|app| url(&app.output())).expect("the app's address");
            clients.push(Client::new(&url).knowing(&people));
        }
        self.client = clients[0].clone();
        // Whoever wakes the context member has it publish its key.
        within(START, "the key that signs tokens", || {
            match self.client.call("GET", "/.well-known/jwks.json").exchange() {
                Ok(answer) if answer.status == 200 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        *self.front.0.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    /// Its Redis.
    pub fn redis(&self) -> &Redis {
        self.own().redis.as_ref().expect("a shop with a Redis")
    }

    /// How many whole apps it consists of.
    pub fn replicas(&self) -> usize {
        self.own().apps.len()
    }

    /// Whether it has a Redis.
    pub fn has_redis(&self) -> bool {
        self.own().redis.is_some()
    }

    /// Takes its Redis away: from now on all bells are lost.
    pub fn lose_redis(&mut self) {
        if let Some(redis) = &mut self.own_mut().redis {
            redis.stop();
        }
    }

    /// Brings its Redis back, and waits until all of the shop listens again.
    pub fn regain_redis(&mut self) {
        if let Some(redis) = &mut self.own_mut().redis {
            redis.start_again();
        }
        self.start_again();
        let listeners = self.own().apps.len();
        // The bells that it has got already come first, one by one.
        within(Duration::from_secs(60), "listening again", || match self.redis().listeners("mealkit.payment") {
            heard if heard >= listeners => Ok(()),
            heard => Err(format!("{heard} of {listeners}")),
        });
    }

    /// The memory that its first app holds at most so far (resident, in MB).
    pub fn peak_memory(&self) -> u64 {
        let id = self.own().apps.iter().flatten().next().expect("a running app").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the state of a process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        peak.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") / 1_000
    }

    /// Everything that the app has printed since it was last started.
    pub fn output(&self) -> String {
        let apps = self.own.iter().flat_map(|own| own.apps.iter().flatten());
        apps.map(Process::output).collect()
    }

    /// For a failed test: the end of what the app printed.
    pub fn print_last_words(&self) {
        for app in self.own.iter().flat_map(|own| own.apps.iter().flatten()) {
            let output = app.output();
            let lines: Vec<&str> = output.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
            eprintln!("--- the end of what the app printed\n{last}\n---");
        }
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
    /// Where its files are.
    fn state(&self) -> PathBuf {
        self.disk.as_ref().map_or(self.directory.path(), Disk::path).join("state")
    }

    /// Starts an app.
    fn start(&mut self, number: usize) {
        let directory = self.directory.path();
        let output = format!("app-{number}.log");
        let _ = std::fs::remove_file(directory.join(&output));
        let mut command = Command::new(host());
        command.arg("up").arg("-f").arg(&self.manifest).args(["--listen", "127.0.0.1:0"]);
        command.arg("--state-dir").arg(self.state()).args(&self.arguments).current_dir(root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        for (name, value) in &self.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        let app = self.apps[number].insert(Process::start(&mut command, directory, &output));
        let listens = if self.redis.as_ref().is_some_and(Redis::is_up) { "Active channels" } else { "" };
        within(START, "up", || {
            // First whether it has ended, then what it said: so nothing that it said is missed.
            let ended = app.ended();
            let output = app.output();
            if output.contains(listens) && url(&output).is_some() {
                return Ok(());
            }
            assert!(ended.is_none(), "the app ended at once:\n{output}");
            Err(output)
        });
    }
}

/// Where an app that printed this answers.
fn url(output: &str) -> Option<String> {
    let (_, url) = output.split_once("Serving ")?;
    let (url, _) = url.split_once('\n')?;
    Some(url.trim_end_matches('/').to_owned())
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
