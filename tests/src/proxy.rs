//! A proxy in front of several replicas.

use crate::{Client, eventually, process::Process, redis::free_port, run::say};
use std::{
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

/// HAProxy. It asks every replica all the time whether it is ready. A request that has failed it does not try again: if
/// the client sees no failure there was none.
const CONFIGURATION: &str = "
global
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 5s
    retries 0
frontend shop
    bind 127.0.0.1:SHOP
    default_backend replicas
frontend statistics
    bind 127.0.0.1:STATISTICS
    stats enable
    stats uri /
backend replicas
    balance roundrobin
    option httpchk
    http-check send meth GET uri /health/ready ver HTTP/1.1 hdr host shop
    http-check expect status 200
    default-server check inter 200ms fall 2 rise 2
";

/// A running HAProxy.
pub struct Proxy {
    _process: Process,
    client: Client,
    url: String,
    statistics: Client,
}

/// What the proxy knows of a replica.
pub struct Backend {
    /// Whether requests are sent there.
    pub is_up: bool,
    /// How many were, so far.
    pub requests: u64,
}

impl Proxy {
    /// Starts one in front of the replicas on these ports. None, saying so, where HAProxy is not installed; in CI it must be.
    pub fn start(folder: &Path, ports: &[u16]) -> Option<Self> {
        let is_installed = Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_ok();
        if !is_installed {
            assert!(std::env::var_os("CI").is_none(), "haproxy is not installed");
            say("skipped: it needs a proxy, and haproxy is not installed (apt-get install haproxy)");
            return None;
        }
        let (shop, statistics) = (free_port(), free_port());
        let mut configuration =
            CONFIGURATION.replace("SHOP", &shop.to_string()).replace("STATISTICS", &statistics.to_string());
        for port in ports {
            configuration += &format!("    server {port} 127.0.0.1:{port}\n");
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, configuration).expect("a file for the proxy");
        let mut process =
            Process::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file), folder, "haproxy.log");
        eventually("a proxy that listens", || {
            assert!(process.ended().is_none(), "{}", process.output());
            TcpStream::connect(("127.0.0.1", statistics)).map(drop)
        });
        let url = |port| format!("http://127.0.0.1:{port}");
        let (client, statistics) = (Client::new(&url(shop)), Client::new(&url(statistics)));
        Some(Self { _process: process, client, url: url(shop), statistics })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// For requests through it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What it knows of the replica on this port.
    pub fn backend(&self, port: u16) -> Backend {
        let table = self.statistics.raw("GET /;csv HTTP/1.0\r\n\r\n");
        let names = table.lines().find_map(|line| line.strip_prefix("# ")).expect("names of columns");
        let row = table.lines().find(|line| line.starts_with(&format!("replicas,{port},"))).expect("a row");
        let value = |name| {
            let column = names.split(',').position(|column| column == name).expect("a column");
            row.split(',').nth(column).expect("a value")
        };
        // A replica that goes or comes is "UP 1/2" for a moment: it has missed a check, or has yet to pass one.
        Backend { is_up: value("status").starts_with("UP"), requests: value("stot").parse().expect("a number") }
    }

    /// Waits until it sends requests to the replica on this port, or does no more.
    pub fn wait_until(&self, is_up: bool, port: u16) {
        let what = if is_up { "in front of a replica" } else { "without a replica" };
        eventually(what, || if self.backend(port).is_up == is_up { Ok(()) } else { Err("the opposite") });
    }
}
