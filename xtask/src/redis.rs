//! The Redis that the bells ring over: one that is there, or one of our own.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
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
    let Server { host, has_password } = Server::parse(address)?;
    let sockets: Vec<SocketAddr> = host.to_socket_addrs()?.collect();
    let mut refusal = None;
    for socket in sockets {
        match TcpStream::connect_timeout(&socket, PATIENCE) {
            Ok(stream) => return ask(stream, has_password),
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(error.into()),
        None => bail!("{host} has no address"),
    }
}

fn ask(mut stream: TcpStream, has_password: bool) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 128];
    let length = stream.read(&mut answer)?;
    let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).trim().to_owned();
    match answer.as_str() {
        "+PONG" => Ok(()),
        // It is a Redis; whether the password is right the app will find out.
        refused if refused.starts_with("-NOAUTH") && has_password => Ok(()),
        other => bail!("to PING it said `{other}`"),
    }
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

struct Server {
    host: String,
    has_password: bool,
}

impl Server {
    fn parse(address: &str) -> Result<Self> {
        let rest = address.strip_prefix("redis://");
        let rest = rest.with_context(|| format!("`{address}` does not start with redis://"))?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host = if has_port { host.to_owned() } else { format!("{host}:6379") };
        Ok(Self { host, has_password: !user.is_empty() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_are_read_as_spin_does() {
        let parsed = |address| Server::parse(address).map(|it| (it.host, it.has_password));
        assert_eq!(parsed("redis://127.0.0.1:6379").unwrap(), ("127.0.0.1:6379".to_owned(), false));
        assert_eq!(parsed("redis://cache/0").unwrap(), ("cache:6379".to_owned(), false));
        assert_eq!(parsed("redis://me:secret@cache:1/0").unwrap(), ("cache:1".to_owned(), true));
        assert!(parsed("rediss://cache").is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("redis_address=redis://me:secret@cache:1"), "redis_address=redis://…@cache:1");
        assert_eq!(without_password("redis://cache:1"), "redis://cache:1");
        assert_eq!(without_password("name=me@home"), "name=me@home");
    }

    #[test]
    fn only_what_says_pong_is_a_redis() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("redis://{}", listener.local_addr().unwrap());
        let answers = ["+PONG\r\n", "HTTP/1.1 400 Bad Request\r\n"];
        let server = std::thread::spawn(move || {
            for answer in answers {
                let mut stream = listener.accept().unwrap().0;
                stream.read_exact(&mut [0; 6]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        ping(&address).unwrap();
        assert!(ping(&address).unwrap_err().to_string().contains("HTTP/1.1"));
        server.join().unwrap();
        ping(&address).unwrap_err();
    }
}
