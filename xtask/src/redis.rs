//! The Redis that the bells ring over: one that is there, or one of our own.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use redis::Client;
use tempfile::TempDir;

use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_secs(10);

/// A `redis-server` of our own, which keeps nothing and ends with us.
pub struct Redis {
    /// Its address, as the variable takes it.
    pub address: String,
    process: Process,
    directory: TempDir,
}

impl Redis {
    /// Whether it can be started.
    pub fn is_installed() -> bool {
        let status = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("mealkit-redis-").tempdir()?;
        let port = free_port()?.to_string();
        let mut command = tokio::process::Command::new("redis-server");
        command
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--logfile",
                "redis.log",
            ])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let process = Process::start(command)?;
        let mut redis = Self { address: format!("redis://127.0.0.1:{port}"), process, directory };
        let start = Instant::now();
        while let Err(error) = ping(&redis.address) {
            if redis.process.has_ended() || start.elapsed() > START {
                let log = std::fs::read_to_string(redis.directory.path().join("redis.log")).unwrap_or_default();
                bail!("redis-server did not start ({error:#}). Its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(redis)
    }

    /// Ends it.
    pub async fn stop(mut self) {
        self.process.stop(PATIENCE).await;
    }
}

/// A port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether a Redis answers at an address like `redis://127.0.0.1:6379`.
pub fn ping(address: &str) -> Result<()> {
    let mut redis = Client::open(address)?.get_connection_with_timeout(PATIENCE)?;
    redis.set_read_timeout(Some(PATIENCE))?;
    Ok(redis::cmd("PING").exec(&mut redis)?)
}

/// A text to show, which may have the address of a Redis in it.
pub fn without_password(text: &str) -> String {
    match (text.find("redis://"), text.rfind('@')) {
        (Some(start), Some(end)) => {
            let scheme_end = start + "redis://".len();
            let (before, host) = (text.get(..scheme_end).unwrap_or_default(), text.get(end..).unwrap_or_default());
            format!("{before}…{host}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("redis_address=redis://me:secret@cache:1"), "redis_address=redis://…@cache:1");
        assert_eq!(without_password("redis://cache:1"), "redis://cache:1");
        assert_eq!(without_password("name=me@home"), "name=me@home");
    }

    #[test]
    fn what_speaks_something_else_is_no_redis() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("redis://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.read_exact(&mut [0; 6]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        ping(&address).unwrap_err();
        server.join().unwrap();
    }

    #[tokio::test]
    async fn one_of_our_own_answers_until_it_is_stopped() {
        if !Redis::is_installed() {
            return;
        }
        let redis = Redis::start().await.unwrap();
        let address = redis.address.clone();
        ping(&address).unwrap();
        assert!(ping(&address.replace("127.0.0.1", "me:secret@127.0.0.1")).is_err());
        redis.stop().await;
        ping(&address).unwrap_err();
    }
}
