//! What can happen to a running shop. Each fault is done to it while people go on ordering, lasts for a while, and ends.

use crate::{Chance, Mood, Scene, Shop, scene::TRAP};
use rusqlite::Connection;
use std::{
    thread,
    time::{Duration, Instant},
};

/// The contexts that ring.
pub const CHANNELS: [&str; 5] =
    ["mealkit.product", "mealkit.order", "mealkit.payment", "mealkit.delivery", "mealkit.marketing"];

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL of the whole shop, which is started again on the same files.
    Kill,
    /// SIGKILL of one of its replicas; the others go on.
    KillOne,
    /// Redis stops, and comes back.
    RedisDown,
    /// The connections of those who listen are broken again and again: bells are lost.
    BellsLost,
    /// Every bell comes three times, the later ones in the wrong order.
    BellsTwisted,
    /// Another process holds the write lock of the database.
    Lock,
    /// The disk is full.
    DiskFull,
    /// The shop finds its disk read-only when it starts.
    DiskReadOnly,
    /// The clock jumps back an hour, and forward again later.
    ClockBack,
    /// The payment gateway is slow beyond the time-out, fails, and answers when nobody waits any more.
    Gateway,
    /// Requests trap, in all contexts, and take down what runs beside them on their instances.
    Trap,
    /// The shop is killed when the gateway has taken the money, and nothing is committed yet.
    KillBeforeCommit,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Kill,
        Self::KillOne,
        Self::RedisDown,
        Self::BellsLost,
        Self::BellsTwisted,
        Self::Lock,
        Self::DiskFull,
        Self::DiskReadOnly,
        Self::ClockBack,
        Self::Gateway,
        Self::Trap,
        Self::KillBeforeCommit,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillOne => "kill one replica",
            Self::RedisDown => "redis down",
            Self::BellsLost => "bells lost",
            Self::BellsTwisted => "bells thrice, unordered",
            Self::Lock => "write lock held",
            Self::DiskFull => "disk full",
            Self::DiskReadOnly => "disk read-only",
            Self::ClockBack => "clock back an hour",
            Self::Gateway => "gateway slow, failing",
            Self::Trap => "trap",
            Self::KillBeforeCommit => "kill in mid-charge",
        }
    }

    /// Whether it can be done to this shop.
    pub fn is_possible(self, scene: &Scene) -> bool {
        match self {
            Self::Kill | Self::Lock => true,
            Self::KillOne => scene.shop.replicas() > 1,
            Self::RedisDown | Self::BellsLost | Self::BellsTwisted => scene.shop.has_redis(),
            Self::DiskFull | Self::DiskReadOnly => scene.shop.disk().is_some(),
            Self::ClockBack => scene.setting.clock.is_some(),
            Self::Trap => scene.setting.traps,
            Self::Gateway | Self::KillBeforeCommit => scene.setting.gateway.is_some(),
        }
    }

    /// Does it, and undoes it.
    pub(crate) fn strike(self, scene: &mut Scene, chance: &mut Chance) {
        match self {
            Self::Kill => {
                scene.shop.crash();
                scene.shop.start_again();
            }
            Self::KillOne => {
                scene.shop.crash_one(chance.usize(..));
                scene.lasts(chance);
                scene.shop.start_again();
            }
            Self::RedisDown => {
                scene.shop.lose_redis();
                scene.lasts(chance);
                scene.shop.regain_redis();
            }
            Self::BellsLost => {
                for _ in 0..chance.u8(3..10) {
                    scene.shop.redis().drop_listeners();
                    scene.lasts(chance);
                }
            }
            Self::BellsTwisted => twist_bells(scene, chance),
            Self::Lock => {
                let lock = Lock::take(&scene.shop);
                thread::sleep(Duration::from_millis(chance.u64(500..10_000)));
                drop(lock);
            }
            Self::DiskFull => {
                let disk = scene.shop.disk().expect("a disk of the shop's own");
                disk.fill();
                scene.lasts(chance);
                scene.shop.disk().expect("a disk of the shop's own").free();
            }
            Self::DiskReadOnly => {
                // Not while somebody writes to it: so it happens to a shop that was just killed.
                scene.shop.crash();
                scene.shop.disk().expect("a disk of the shop's own").set_read_only(true);
                scene.shop.start_again();
                scene.lasts(chance);
                scene.shop.disk().expect("a disk of the shop's own").set_read_only(false);
                // What SQLite opened read-only stays so while the process lives; it is not ready, so its supervisor ends it.
                scene.shop.crash();
            }
            Self::ClockBack => {
                let set =
                    |scene: &Scene, hours| scene.setting.clock.as_ref().expect("a clock that can be set").set(hours);
                set(scene, -1);
                scene.lasts(chance);
                scene.lasts(chance);
                set(scene, 0);
            }
            Self::Gateway => {
                let moods = [Mood::Late(Duration::from_secs(3)), Mood::Failing, Mood::FailingAfterwards, Mood::Moody];
                let is =
                    |scene: &Scene, mood| scene.setting.gateway.as_ref().expect("a gateway of the shop's own").is(mood);
                is(scene, moods[chance.usize(..moods.len())]);
                scene.lasts(chance);
                is(scene, Mood::Moody);
                scene.lasts(chance);
                is(scene, Mood::Well);
            }
            Self::Trap => {
                for _ in 0..chance.u8(2..6) {
                    trap(scene);
                    scene.goes_on(chance);
                }
            }
            Self::KillBeforeCommit => {
                let gateway = scene.setting.gateway.as_ref().expect("a gateway of the shop's own");
                gateway.hold_next();
                gateway.wait_until_held();
                scene.shop.crash();
                scene.shop.start_again();
                scene.setting.gateway.as_ref().expect("a gateway of the shop's own").answer_held();
            }
        }
    }
}

/// The write lock of a shop's database, held by somebody else until this is dropped.
pub struct Lock(Connection);

impl Lock {
    /// Takes it.
    pub fn take(shop: &Shop) -> Self {
        let database = Connection::open(shop.database()).expect("the shop's SQLite file");
        database.busy_timeout(Duration::from_secs(60)).expect("a time-out");
        database.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
        Self(database)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").expect("the end of the transaction");
    }
}

/// Has a request trap in each context.
fn trap(scene: &Scene) {
    let paths = [
        format!("/products?q={TRAP}"),
        format!("/orders?member_id={TRAP}"),
        format!("/payments?order_id={TRAP}"),
        format!("/deliveries?order_id={TRAP}"),
        format!("/notifications?recipient=member:{TRAP}"),
        format!("/mypages?member_id={TRAP}"),
        format!("/events?order_id={TRAP}"),
    ];
    for path in paths {
        let answer = scene.shop.call("GET", &path).exchange();
        assert!(!answer.is_ok_and(|answer| answer.status == 200), "{path} did not trap");
    }
}

/// Rings every bell that rings twice more: later, and the last one first.
fn twist_bells(scene: &Scene, chance: &mut Chance) {
    let redis = scene.shop.redis();
    let mut heard = redis.subscribe(&CHANNELS);
    let acts = scene.load.acts() + chance.usize(30..80);
    let deadline = Instant::now() + crate::scene::LONGEST;
    while scene.load.acts() < acts && Instant::now() < deadline {
        let mut bells = vec![];
        while let Some(bell) = heard.try_message(Duration::from_millis(50))
            && bells.len() < 10
        {
            bells.push(bell);
        }
        // Ours are marked by a space behind them, which means nothing to JSON.
        for (channel, bell) in bells.iter().rev().filter(|(_, bell)| !bell.ends_with(' ')).cycle().take(2 * bells.len())
        {
            redis.publish(channel, format!("{bell} ").as_bytes());
        }
    }
}
