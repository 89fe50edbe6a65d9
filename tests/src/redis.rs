//! A Redis of our own.

use crate::{process::Process, within};
use redis::{Client, Cmd, Connection, FromRedisValue, RedisResult};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long Redis may take to answer.
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
            None => connect(port).and_then(|mut redis| redis::cmd("PING").exec(&mut redis)).map(|()| true),
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
        let _: usize = self.ask(redis::cmd("PUBLISH").arg(channel).arg(message));
    }

    /// Listens to these channels.
    pub fn subscribe(&self, channels: &[&str]) -> Subscription {
        let mut connection = connect(self.port).expect("redis");
        connection.set_read_timeout(None).expect("no time-out");
        let channels = channels.iter().map(|&channel| channel.to_owned()).collect::<Vec<_>>();
        let (ready, subscribed) = mpsc::channel();
        let (sender, messages) = mpsc::channel();
        // Ends with Redis, or when nobody wants its messages any more.
        thread::spawn(move || {
            let mut channel = connection.as_pubsub();
            channel.subscribe(channels).expect("redis lets us listen");
            ready.send(()).expect("we are waited for");
            while let Ok(message) = channel.get_message() {
                let payload = String::from_utf8_lossy(message.get_payload_bytes()).into_owned();
                if sender.send((message.get_channel_name().to_owned(), payload)).is_err() {
                    break;
                }
            }
        });
        subscribed.recv().expect("redis lets us listen");
        Subscription(messages)
    }

    /// How many listen to a channel.
    pub fn listeners(&self, channel: &str) -> usize {
        let (_, listeners): (String, usize) = self.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(channel));
        listeners
    }

    /// Breaks the connections of all who listen: what is published until they are back is lost.
    pub fn drop_listeners(&self) {
        let _: usize = self.ask(redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]));
    }

    fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        connect(self.port).and_then(|mut connection| command.query(&mut connection)).expect("an answer of redis")
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
pub struct Subscription(mpsc::Receiver<(String, String)>);

impl Subscription {
    /// The next message, with its channel, if one comes within this time.
    pub fn try_message(&mut self, patience: Duration) -> Option<(String, String)> {
        self.0.recv_timeout(patience).ok()
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn connect(port: u16) -> RedisResult<Connection> {
    let connection = Client::open(("127.0.0.1", port))?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}
