//! The storm: all faults, mixed at random from a seed, on a shop of two whole apps while people go on ordering.

use crate::{Chance, Clock, Disk, Fault, Gateway, Mode, Outcome, Scene, Setting, Shop, on_our_host, sabotage::Mover};
use std::time::{Duration, Instant};

/// How large the disk is, in MB: some 20 minutes of a storm fill a fifth of it.
const DISK: u32 = 1_024;

/// A storm.
pub struct Storm {
    /// How long it rages. It ends with the fault that is under way then.
    pub time: Duration,
    /// How long each person rests between two orders.
    pub pace: Duration,
    /// What it does, and in which order.
    pub seed: u64,
    /// What is broken before it begins.
    pub sabotage: Option<Sabotage>,
}

/// Something that must not be broken: the auditor has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Commands commit whatever they decided.
    Condition,
    /// The cursor moves in a statement of its own.
    Cursor,
}

impl Storm {
    /// Lets it rage, and audits what is left.
    pub fn rage(&self) -> Outcome {
        let mut builder = Shop::start(Mode::Redis).replicas(2);
        match Disk::mount(DISK) {
            Some(disk) => builder = builder.disk(disk),
            None => eprintln!("no disk is filled or made read-only: this process may not mount a tmpfs"),
        }
        let clock = Clock::find();
        if clock.is_none() {
            eprintln!("no clock is set: libfaketime (the Debian package `faketime`) is not installed");
        }
        let gateway = Some(Gateway::open(self.seed));
        let setting = Setting { clock, gateway, traps: on_our_host(), mixed: true, pace: self.pace };
        let mut scene = Scene::open_with(builder, self.seed, setting);
        let _sabotage = self.sabotage.map(|sabotage| sabotage.commit(&scene.shop));
        let mut chance = Chance::with_seed(self.seed);
        let possible: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| fault.is_possible(&scene)).collect();
        let began = Instant::now();
        // Each once, then whatever comes; every other time it is the power that goes.
        let mut faults = possible.clone();
        chance.shuffle(&mut faults);
        while began.elapsed() < self.time {
            let fault = match faults.pop() {
                Some(fault) => fault,
                None if chance.bool() => Fault::Kill,
                None => possible[chance.usize(..possible.len())],
            };
            scene.strike(fault);
        }
        scene.end()
    }
}

impl Sabotage {
    /// Commits it. What is returned goes on until it is dropped.
    fn commit(self, shop: &Shop) -> Option<Mover> {
        // The components make their tables when they are first asked.
        shop.act("/catch-up").is(200);
        match self {
            Self::Condition => {
                for context in ["order", "payment", "delivery"] {
                    shop.remove_condition(context);
                }
                None
            }
            Self::Cursor => Some(shop.move_cursor_apart("customer_center")),
        }
    }
}
