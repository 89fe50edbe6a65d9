//! Load on an app: clients that each send the next request when the last one is answered.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::client::{Call, Client};

/// What the clients send.
pub type Calls = Arc<dyn Fn() -> Result<Call> + Send + Sync>;

/// What came of it.
#[derive(Default)]
pub struct Measured {
    /// How long the load lasted.
    pub time: Duration,
    /// How long each success took, the shortest first.
    latencies: Vec<Duration>,
    /// How many calls did not succeed.
    pub failures: usize,
    /// What the first of those said.
    pub failure: Option<String>,
}

impl Measured {
    /// How many calls succeeded.
    pub fn successes(&self) -> usize {
        self.latencies.len()
    }

    /// Successes per second.
    pub fn rate(&self) -> f64 {
        self.successes() as f64 / self.time.as_secs_f64()
    }

    /// The time within which `share` (0 to 1) of the successes were answered.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failures += other.failures;
        self.failure = self.failure.take().or(other.failure);
    }
}

/// Has so many clients send calls for so long, each over a connection of its own.
pub async fn load(address: SocketAddr, clients: usize, time: Duration, calls: &Calls) -> Result<Measured> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Client::connect(address).await?);
    }
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for connection in connections {
        workers.spawn(work(address, connection, start + time, calls.clone()));
    }
    let mut all = Measured::default();
    while let Some(worker) = workers.join_next().await {
        all.add(worker??);
    }
    all.time = start.elapsed();
    all.latencies.sort_unstable();
    Ok(all)
}

async fn work(address: SocketAddr, mut client: Client, end: Instant, calls: Calls) -> Result<Measured> {
    let mut measured = Measured::default();
    loop {
        let call = calls()?;
        let start = Instant::now();
        if start >= end {
            return Ok(measured);
        }
        let failure = match client.send(call).await {
            Ok(answer) if answer.status.is_success() => {
                measured.latencies.push(start.elapsed());
                continue;
            }
            Ok(answer) => format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
            Err(error) => {
                client = Client::connect(address).await?;
                format!("{error:#}")
            }
        };
        measured.failures += 1;
        measured.failure.get_or_insert(failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_the_successes() {
        let latencies = (1..=101).map(Duration::from_millis).collect();
        let measured = Measured { time: Duration::from_secs(2), latencies, ..Measured::default() };
        assert_eq!(measured.quantile(0.5), Duration::from_millis(51));
        assert_eq!(measured.quantile(0.99), Duration::from_millis(100));
        assert_eq!(measured.rate(), 50.5);
        assert_eq!(Measured::default().quantile(0.99), Duration::ZERO);
    }
}
