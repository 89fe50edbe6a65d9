//! The doorbell: tells the contexts that care that there is something new in the log.
//!
//! It only says "look", and for what. A bell that is lost loses nothing: whoever is asked looks anyway. On Spin each ring
//! costs every listener an instance, so it rings late and seldom: for what is still unread a while after it was appended,
//! and a context, however many instances it has, not more often than at its pace. `consumer` in the log (`sql/log.sql`) knows
//! who has read how far, and up to where each bell was rung.

use crate::{
    call::Keys,
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
        atomic::{AtomicI64, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

/// How long a context's bell is quiet after it rang, in all its instances together; and the longest that an instance waits
/// before it looks who has not read yet what it appended.
pub const PACE: Duration = Duration::from_millis(100);
/// For how many times that an instance waits at most, where others ring for it all the time.
const MOST: u32 = 8;
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
    keys: Arc<Keys>,
    wire: Wire,
    /// The newest event of this instance that nobody is known to have rung for; 0 if there is none.
    wanted: AtomicI64,
    /// How many times the pace it waits for its turn: the longer, the more others there are who ring.
    turn: AtomicU32,
    ringing: Gate,
}

/// How the bell stands: the end of the log, up to where it was rung for, and when.
struct Due {
    head: i64,
    rung_to: i64,
    rung_at: i64,
}

/// What came of looking whether it is this instance's turn.
enum Turn {
    /// It rang for all.
    Rang,
    /// Another instance rang for its events.
    Spared,
    /// It is too early.
    Later(Duration),
}

impl Bell {
    pub(crate) async fn new(context: &'static str, platform: Arc<dyn Platform>, keys: Arc<Keys>) -> Self {
        let variable = async |name: &str, default: &str| platform.variable(name).await.unwrap_or(default.to_owned());
        let wire = match variable("bell", "redis").await.as_str() {
            "http" => Wire::Http { journal: variable("journal_url", "http://journal.spin.internal").await },
            _ => Wire::Redis { address: variable("redis_address", "redis://127.0.0.1:6379").await },
        };
        Self {
            context,
            wire,
            wanted: AtomicI64::new(0),
            turn: AtomicU32::new(1),
            ringing: Gate::default(),
            platform,
            keys,
        }
    }

    /// There is something new in the log, up to this sequence number.
    pub(crate) fn is_wanted_for(&self, seq: i64) {
        self.wanted.fetch_max(seq, SeqCst);
    }

    /// Whether there is anything to ring for that nobody in this instance rings for yet.
    pub fn is_due(&self) -> bool {
        self.wanted.load(SeqCst) > 0 && !self.ringing.is_taken()
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
        while self.wanted.load(SeqCst) > 0 {
            self.platform.sleep(jitter(pause * self.turn.load(SeqCst))).await;
            let wanted = self.wanted.load(SeqCst);
            if let Err(error) = self.ring_in_turn(wanted).await {
                log_line::write(Level::Warn, self.context, "the bell did not ring", json!({"error": error}));
            }
            // What came meanwhile is for the next time.
            let _ = self.wanted.compare_exchange(wanted, 0, SeqCst, SeqCst);
        }
    }

    /// Rings once for all instances of the context, when it is time to, if it still has to be done by then.
    async fn ring_in_turn(&self, wanted: i64) -> Result<(), String> {
        for _ in 0..LOOKS {
            let turn = self.turn.load(SeqCst);
            let next = match self.take_turn(wanted).await? {
                Turn::Rang => (turn / 2).max(1),
                Turn::Spared => (turn * 2).min(MOST),
                Turn::Later(quiet) => {
                    // Not all at the same moment.
                    self.platform.sleep(quiet + jitter(PACE / 10 * turn)).await;
                    continue;
                }
            };
            self.turn.store(next, SeqCst);
            break;
        }
        Ok(())
    }

    async fn take_turn(&self, wanted: i64) -> Result<Turn, String> {
        let now = unix_ms(self.platform.now());
        let due = self.due().await?;
        if due.rung_to >= wanted {
            return Ok(Turn::Spared);
        }
        // A clock that was set back makes nobody wait for longer.
        let quiet = PACE.saturating_sub(Duration::from_millis(now.abs_diff(due.rung_at)));
        if !quiet.is_zero() || !self.claim(&due, now).await? {
            return Ok(Turn::Later(quiet));
        }
        let types = self.unread(due.rung_to).await?;
        if !types.is_empty() {
            self.send(due.head, types).await?;
        }
        Ok(Turn::Rang)
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
        // Of each type the newest event says it for all: who has read that has read the others.
        let sql = "WITH new AS MATERIALIZED \
            (SELECT type, max(seq) AS seq FROM event WHERE seq > ?1 AND source = ?2 GROUP BY type) \
            SELECT type FROM new WHERE EXISTS (SELECT 1 FROM consumer AS reader WHERE reader.position < new.seq \
            AND EXISTS (SELECT 1 FROM json_each(reader.consumes) WHERE value = new.type))";
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
                let answer = self.keys.send(request).await?;
                if answer.status().is_success() { Ok(()) } else { Err(format!("the journal said {}", answer.status())) }
            }
        }
    }
}
