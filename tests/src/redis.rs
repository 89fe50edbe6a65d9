//! A Redis of our own.

use crate::{process::Process, within};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How long Redis may take to answer, and a message to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A `redis-server` on a free port that keeps nothing.
pub struct Redis {
    process: Option<Process>,
    port: u16,
    directory: PathBuf,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// When `redis-server` is not installed.
    pub fn start(directory: &Path) -> Self {
        // Somebody may take the port between our asking and its listening.
        let started = || {
            let port = free_port();
            Some((port, Self::start_on(port, directory)?))
        };
        let (port, process) = (0..5).find_map(|_| started()).expect("a redis-server on a free port");
        Self { process: Some(process), port, directory: directory.to_owned() }
    }

    fn start_on(port: u16, directory: &Path) -> Option<Process> {
        let mut command = Command::new("redis-server");
        command.current_dir(directory).args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--port", &port.to_string()]);
        let mut process = Process::start(&mut command, directory, "redis.log");
        let up = within(Duration::from_secs(20), "an answer of redis-server", || match process.ended() {
            Some(_) => Ok(false),
            None => ping(port).then_some(true).ok_or("none"),
        });
        // Another's may have answered.
        (up && process.ended().is_none()).then_some(process)
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Where it is.
    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Publishes a message, and waits until Redis has it.
    pub fn publish(&self, channel: &str, message: &[u8]) {
        let mut connection = Connection::open(self.port);
        connection.send(&[b"PUBLISH", channel.as_bytes(), message]);
        assert!(connection.line().starts_with(':'), "redis does not take a message");
    }

    /// Listens to these channels.
    pub fn subscribe(&self, channels: &[&str]) -> Subscription {
        let mut connection = Connection::open(self.port);
        let channels = channels.iter().map(|channel| channel.as_bytes());
        let command: Vec<&[u8]> = std::iter::once(b"SUBSCRIBE".as_slice()).chain(channels).collect();
        connection.send(&command);
        for _ in &command[1..] {
            // "subscribe", the channel, how many so far.
            assert_eq!(connection.line(), "*3");
            connection.text();
            connection.text();
            connection.line();
        }
        Subscription(connection)
    }

    /// How many listen to a channel.
    pub fn listeners(&self, channel: &str) -> usize {
        let mut connection = Connection::open(self.port);
        connection.send(&[b"PUBSUB", b"NUMSUB", channel.as_bytes()]);
        assert_eq!(connection.line(), "*2");
        connection.text();
        connection.line().trim_start_matches(':').parse().expect("a number")
    }

    /// Breaks the connections of all who listen: what is published until they are back is lost.
    pub fn drop_listeners(&self) {
        let mut connection = Connection::open(self.port);
        connection.send(&[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]);
        assert!(connection.line().starts_with(':'), "redis does not break connections");
    }

    /// Takes it down.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Brings it up again where it was.
    pub fn start_again(&mut self) {
        // Its port may have gone to somebody's connection for a moment.
        let started = || Self::start_on(self.port, &self.directory).ok_or("its port is taken");
        self.process = Some(within(Duration::from_secs(60), "redis-server up again", started));
    }
}

/// What comes on some channels.
pub struct Subscription(Connection);

impl Subscription {
    /// The next message, with its channel. Waits for it.
    pub fn message(&mut self) -> (String, String) {
        assert_eq!(self.0.line(), "*3");
        assert_eq!(self.0.text(), "message");
        (self.0.text(), self.0.text())
    }

    /// The next message, if one comes within this time.
    pub fn try_message(&mut self, patience: Duration) -> Option<(String, String)> {
        self.0.0.get_ref().set_read_timeout(Some(patience)).expect("a time-out");
        let comes = self.0.0.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        self.0.0.get_ref().set_read_timeout(Some(PATIENCE)).expect("a time-out");
        comes.then(|| self.message())
    }
}

/// As much of Redis' protocol as is needed here.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("redis");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, words: &[&[u8]]) {
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend(b"\r\n");
        }
        self.0.get_mut().write_all(&command).expect("redis");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line from redis");
        line.trim_end().to_owned()
    }

    fn text(&mut self) -> String {
        let length: usize = self.line().trim_start_matches('$').parse().expect("a length");
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).expect("a text from redis");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn ping(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 5];
    let timeout = connection.set_read_timeout(Some(Duration::from_secs(2)));
    let asked =
        timeout.and_then(|()| connection.write_all(b"PING\r\n")).and_then(|()| connection.read_exact(&mut answer));
    asked.is_ok() && &answer == b"+PONG"
}
