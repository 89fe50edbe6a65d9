//! The doorbell: tells the contexts that care that there is something new in the log.
//!
//! It only says "look", and for what. A bell that is lost loses nothing: whoever is asked looks anyway. On Spin each ring
//! costs every listener an instance, so it rings late and seldom: for what is still unread a while after it was appended,
//! and a context, however many instances it has, not more often than at its pace. `consumer` in the log (`sql/log.sql`) knows
//! who has read how far, and up to where each bell was rung.

use crate::{
    database::{self, jitter},
    gate::Gate,
    log::{HEAD, source},
    log_line::{self, Level},
    platform::{Platform, Row, Value, unix_ms, within},
};
use axum::body::Bytes;
use contracts::EventType;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// How long a context's bell is quiet after it rang, in all its instances together; and the longest that an instance waits
/// before it looks who has not read yet what it appended.
pub const PACE: Duration = Duration::from_millis(100);
/// How often an instance looks whether it is its turn to ring, before it leaves that to the next one or to the periodic
/// catch-up.
const LOOKS: usize = 20;
/// How long a ring may take. Spin ends none: of a Redis that went without a word it waits for ever, with it the instance, and in
/// the Redis trigger every message that comes after.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a bell says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ring {
    /// Who rings: `/mealkit/<context>`.
    pub source: String,
    /// The newest event's sequence number.
    pub sequence: i64,
    /// The types of what is new. Whoever cares for none of them need not look.
    #[serde(default)]
    pub types: BTreeSet<String>,
}

impl Ring {
    /// Both in one.
    pub fn merge(self, other: Self) -> Self {
        // One that does not say for what is for everybody.
        let types = match self.types.is_empty() || other.types.is_empty() {
            true => BTreeSet::new(),
            false => self.types.into_iter().chain(other.types).collect(),
        };
        Self { source: other.source, sequence: self.sequence.max(other.sequence), types }
    }

    /// Whether a context that consumes these types need look. A ring that does not say for what is for everybody; so is
    /// whatever else comes as one: it costs a look.
    pub(crate) fn concerns(ring: &[u8], consumes: &[EventType]) -> bool {
        let types = serde_json::from_slice(ring).map(|Self { types, .. }| types).unwrap_or_default();
        types.is_empty() || consumes.iter().any(|event_type| types.contains(event_type.as_str()))
    }
}

/// Where the bell rings.
enum Wire {
    /// On the Redis channel `mealkit.<context>`.
    Redis { address: String },
    /// At the journal, which calls the contexts by service chaining.
    Http { journal: String },
}

/// A context's doorbell.
pub struct Bell {
    context: &'static str,
    platform: Arc<dyn Platform>,
    wire: Wire,
    wanted: AtomicBool,
    ringing: Gate,
}

/// How the bell stands: the end of the log, up to where it was rung for, and when.
struct Due {
    head: i64,
    rung_to: i64,
    rung_at: i64,
}

impl Bell {
    pub(crate) async fn new(context: &'static str, platform: Arc<dyn Platform>) -> Self {
        let variable = async |name: &str, default: &str| platform.variable(name).await.unwrap_or(default.to_owned());
        let wire = match variable("bell", "redis").await.as_str() {
            "http" => Wire::Http { journal: variable("journal_url", "http://journal.spin.internal").await },
            _ => Wire::Redis { address: variable("redis_address", "redis://127.0.0.1:6379").await },
        };
        Self { context, wire, wanted: AtomicBool::new(false), ringing: Gate::default(), platform }
    }

    /// There is something new in the log.
    pub(crate) fn is_wanted(&self) {
        self.wanted.store(true, SeqCst);
    }

    /// Whether there is anything to ring for that nobody in this instance rings for yet.
    pub fn is_due(&self) -> bool {
        self.wanted.load(SeqCst) && !self.ringing.is_taken()
    }

    /// Rings until there is nothing to ring for, each time a while after it was wanted: perhaps it is read by then.
    pub async fn ring(&self) {
        self.ring_after(PACE).await;
    }

    /// The same without the while: in an instance that was woken by a bell, and ends when this returns.
    pub async fn ring_now(&self) {
        self.ring_after(Duration::ZERO).await;
    }

    async fn ring_after(&self, pause: Duration) {
        let Some(_ringing) = self.ringing.try_pass() else { return };
        while self.wanted.load(SeqCst) {
            self.platform.sleep(jitter(pause)).await;
            self.wanted.store(false, SeqCst);
            if let Err(error) = self.ring_in_turn().await {
                log_line::write(Level::Warn, self.context, "the bell did not ring", json!({"error": error}));
            }
        }
    }

    /// Rings once for all instances of the context, when it is time to, if it still has to be done by then.
    async fn ring_in_turn(&self) -> Result<(), String> {
        let mut appended_to = None;
        for _ in 0..LOOKS {
            let now = unix_ms(self.platform.now());
            let due = self.due().await?;
            if due.rung_to >= *appended_to.get_or_insert(due.head) {
                return Ok(());
            }
            // A clock that was set back makes nobody wait for longer.
            let quiet = PACE.saturating_sub(Duration::from_millis(now.abs_diff(due.rung_at)));
            if !quiet.is_zero() {
                self.platform.sleep(quiet + jitter(PACE / 10)).await;
            } else if self.claim(&due, now).await? {
                let types = self.unread(due.rung_to).await?;
                return if types.is_empty() { Ok(()) } else { self.send(due.head, types).await };
            }
        }
        Ok(())
    }

    async fn due(&self) -> Result<Due, String> {
        let sql = format!("SELECT ({HEAD}), rung_to, rung_at FROM consumer WHERE name = ?");
        let rows = self.query(&sql, vec![self.context.into()]).await?;
        match rows.first().map(Vec::as_slice) {
            Some([Value::Integer(head), Value::Integer(rung_to), Value::Integer(rung_at)]) => {
                Ok(Due { head: *head, rung_to: *rung_to, rung_at: *rung_at })
            }
            _ => Err("the context is no consumer".to_owned()),
        }
    }

    /// The types of what the context appended after this and somebody who cares has not read.
    async fn unread(&self, rung_to: i64) -> Result<BTreeSet<String>, String> {
        let sql = "SELECT DISTINCT type FROM consumer AS reader CROSS JOIN event \
            WHERE event.seq > max(reader.position, ?1) AND event.source = ?2 \
            AND event.type IN (SELECT value FROM json_each(reader.consumes))";
        let rows = self.query(sql, vec![rung_to.into(), source(self.context).into()]).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.text()).map(str::to_owned).collect())
    }

    async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, String> {
        database::query(&*self.platform, sql, parameters).await.map_err(|error| error.to_string())
    }

    /// Of all who found the bell due, one rings.
    async fn claim(&self, due: &Due, now: i64) -> Result<bool, String> {
        let sql = "UPDATE consumer SET rung_to = ?2, rung_at = ?3 WHERE name = ?1 AND rung_to = ?4 AND rung_at = ?5 \
            RETURNING rung_to";
        let parameters = vec![self.context.into(), due.head.into(), now.into(), due.rung_to.into(), due.rung_at.into()];
        Ok(!self.query(sql, parameters).await?.is_empty())
    }

    async fn send(&self, sequence: i64, types: BTreeSet<String>) -> Result<(), String> {
        let ring = Ring { source: source(self.context), sequence, types };
        let ring = serde_json::to_vec(&ring).map_err(|error| error.to_string())?;
        let sent = within(&*self.platform, PATIENCE, self.send_out(ring)).await;
        sent.unwrap_or_else(|| Err(format!("nobody answered within {} s", PATIENCE.as_secs())))
    }

    async fn send_out(&self, ring: Vec<u8>) -> Result<(), String> {
        match &self.wire {
            Wire::Redis { address } => {
                let channel = format!("mealkit.{}", self.context);
                self.platform.publish(address, &channel, ring).await
            }
            Wire::Http { journal } => {
                let request = http::Request::post(format!("{journal}/bell"))
                    .header("content-type", "application/json")
                    .body(Bytes::from(ring))
                    .map_err(|error| error.to_string())?;
                let answer = self.platform.send(request).await?;
                if answer.status().is_success() { Ok(()) } else { Err(format!("the journal said {}", answer.status())) }
            }
        }
    }
}
