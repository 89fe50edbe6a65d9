//! A host and a Redis of its own for each test.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;

mod collector;
pub use collector::Collector;

/// Compiling the fixture on a busy machine takes its time.
const START: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until something is so, or says what is not.
pub fn wait_until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "after {patience:?} still not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The component that the tests run.
pub fn fixture() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or("target".to_string());
    let path = root.join(target).join("wasm32-wasip2/component/fixture.wasm");
    assert!(
        path.is_file(),
        "there is no {}; build it with `cargo build --profile component --target wasm32-wasip2 -p fixture`",
        path.display()
    );
    path
}

/// An application with what is in `toml`, where `FIXTURE` stands for the path of the fixture.
pub fn application(toml: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let toml = toml.replace("FIXTURE", fixture().to_str().unwrap());
    let text = format!("spin_manifest_version = 2\n[application]\nname = \"test\"\n{toml}");
    std::fs::write(directory.path().join("spin.toml"), text).unwrap();
    directory
}

/// A running host.
pub struct Host {
    /// Where its manifest and its state are.
    pub directory: Arc<TempDir>,
    address: String,
    output: Arc<Mutex<String>>,
    process: Child,
}

impl Host {
    /// Starts an application.
    pub fn start(toml: &str, arguments: &[&str]) -> Self {
        Self::start_in(Arc::new(application(toml)), arguments)
    }

    /// Starts the application in a directory.
    pub fn start_in(directory: Arc<TempDir>, arguments: &[&str]) -> Self {
        Self::start_with(directory, arguments, &[])
    }

    /// Starts the application in a directory, with these environment variables.
    pub fn start_with(directory: Arc<TempDir>, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let (process, output) = spawn(&directory, arguments, environment);
        let mut host = Self { directory, address: String::new(), output, process };
        host.wait_for_within("Serving http://", START);
        let output = host.output();
        let after = output.split("Serving http://").nth(1).unwrap();
        host.address = after.lines().next().unwrap().to_string();
        host
    }

    /// Tries to start an application, and returns what it is told instead.
    pub fn refuse(toml: &str, arguments: &[&str]) -> String {
        let directory = application(toml);
        let (mut process, output) = spawn(&directory, arguments, &[]);
        let mut status = None;
        wait_until("the host refuses", START, || {
            status = process.try_wait().unwrap();
            status.is_some()
        });
        assert!(!status.unwrap().success());
        let text = || output.lock().unwrap().clone();
        wait_until("the host says why", PATIENCE, || text().contains("Error: "));
        text()
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it has printed something.
    pub fn wait_for(&self, text: &str) {
        self.wait_for_within(text, PATIENCE);
    }

    fn wait_for_within(&self, text: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.output().contains(text) {
            assert!(Instant::now() < deadline, "not printed: {text}\nbut: {}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The status and the body of an answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        request(&self.address, path, &[("Host", "localhost")]).expect("an answer")
    }

    /// The body of an answer that must be 200.
    pub fn ok(&self, path: &str) -> String {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}\n{}", self.output());
        body
    }

    /// An answer to a request with another Host header.
    pub fn get_as(&self, path: &str, host: &str) -> (u16, String) {
        request(&self.address, path, &[("Host", host)]).expect("an answer")
    }

    /// The status that bytes are answered with.
    pub fn raw(&self, bytes: &[u8]) -> u16 {
        self.raw_on(|stream| stream.write_all(bytes))
    }

    /// The same, after which the client says that this was all.
    pub fn raw_half_closed(&self, bytes: &[u8]) -> u16 {
        self.raw_on(|stream| stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write)))
    }

    fn raw_on(&self, send: impl FnOnce(&mut TcpStream) -> std::io::Result<()>) -> u16 {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        send(&mut stream).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// What it counts of this; it has to be started with `--metrics`.
    pub fn metric(&self, name: &str) -> u64 {
        let output = self.output();
        let address = output.split("Metrics at http://").nth(1).expect("--metrics").lines().next().unwrap();
        let (_, text) = request(address, "/metrics", &[]).expect("metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
    }

    /// An answer to a request that belongs to a trace.
    pub fn get_traced(&self, path: &str, traceparent: &str) -> (u16, String) {
        request(&self.address, path, &[("Host", "localhost"), ("traceparent", traceparent)]).expect("an answer")
    }

    /// Sends a request from another thread.
    pub fn get_later(&self, path: &str) -> std::thread::JoinHandle<std::io::Result<(u16, String)>> {
        let (address, path) = (self.address.clone(), path.to_string());
        std::thread::spawn(move || request(&address, &path, &[("Host", "localhost")]))
    }

    /// A connection that is kept alive.
    pub fn connect(&self) -> Kept {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Kept(BufReader::new(stream))
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        let kill = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the host ends", PATIENCE, || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Takes it down without asking.
    pub fn kill(mut self) -> Arc<TempDir> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.directory.clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(directory: &TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> (Child, Arc<Mutex<String>>) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_mealkit-host"))
        .args(["up", "--listen", "127.0.0.1:0", "--from"])
        .arg(directory.path().join("spin.toml"))
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Arc::new(Mutex::new(String::new()));
    collect(process.stdout.take().unwrap(), &output);
    collect(process.stderr.take().unwrap(), &output);
    (process, output)
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = output.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            writeln!(output.lock().unwrap(), "{line}").unwrap();
        }
    });
}

/// A connection to a host for one request after the other.
pub struct Kept(BufReader<TcpStream>);

impl Kept {
    /// The status and the head of an answer.
    pub fn get(&mut self, path: &str) -> (u16, String) {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        // All that the fixture answers comes in chunks; the last one is empty.
        while !answer.ends_with("\r\n0\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut answer).unwrap(), 0, "{answer}");
        }
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap(), answer)
    }
}

fn request(address: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // 1.0: so that the body comes in one piece.
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_string()))
}

/// A running Redis.
pub struct Redis {
    port: u16,
    process: Child,
}

impl Redis {
    /// On a free port; none, with a sentence, where `MEALKIT_NO_REDIS` says that there is no redis-server.
    pub fn start() -> Option<Self> {
        Self::start_on(free_port())
    }

    /// On this port.
    pub fn start_on(port: u16) -> Option<Self> {
        if std::env::var_os("MEALKIT_NO_REDIS").is_some() {
            println!("skipped: there is no redis-server (MEALKIT_NO_REDIS)");
            return None;
        }
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        wait_until("Redis answers", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { port, process })
    }

    /// Where it is.
    pub fn address(&self) -> String {
        address(self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Publishes a message; returns how many have received it.
    pub fn publish(&self, channel: &str, payload: &str) -> u32 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "PUBLISH {channel} {payload}\r\n").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer.trim().trim_start_matches(':').parse().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Nobody listens on it right now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The address of a Redis on this port.
pub fn address(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}
