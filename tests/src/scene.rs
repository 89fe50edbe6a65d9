//! A shop, people who are busy with it, and what happens to it meanwhile; in the end, the audit.

use crate::{Builder, Chance, Clock, Fault, Gateway, Kit, Ledger, Load, Mood, Report, Shop, TOKEN, within};
use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, Instant},
};

/// Whoever says this to a scene's shop traps.
// Folded: a text that is searched for comes to the database so.
pub(crate) const TRAP: &str = "fugu";
/// How many are busy.
const PEOPLE: usize = 6;
/// How long each of them rests between two orders.
const PACE: Duration = Duration::from_millis(50);
/// How long a fault lasts at most, however little people get done.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);
/// How long the shop may take to work again when a fault is over.
const RECOVERY: Duration = Duration::from_secs(60);

/// A shop at a seed's mercy.
pub struct Scene {
    /// The shop.
    pub shop: Shop,
    /// Those who are busy with it.
    pub load: Load,
    /// What else there is.
    pub setting: Setting,
    chance: Chance,
    struck: Vec<Struck>,
}

/// What a scene has beside the shop.
pub struct Setting {
    /// A clock that can be set.
    pub clock: Option<Clock>,
    /// A payment gateway.
    pub gateway: Option<Gateway>,
    /// Whether requests can be made to trap; only `mealkit-host` can do that.
    pub traps: bool,
    /// Whether the power goes now and then in the middle of another fault.
    pub mixed: bool,
    /// How long people rest between two orders.
    pub pace: Duration,
}

impl Default for Setting {
    fn default() -> Self {
        Self { clock: None, gateway: None, traps: false, mixed: false, pace: PACE }
    }
}

/// A fault that happened.
struct Struck {
    fault: Fault,
    /// From its end until an order was answered with 201, and every context had worked off the log as it was then.
    /// None when it happened in the middle of another.
    recovery: Option<Duration>,
}

/// What came of a scene.
pub struct Outcome {
    /// What the auditor says.
    pub report: Report,
    /// What people were answered.
    pub ledger: Ledger,
    struck: Vec<Struck>,
}

impl Scene {
    /// Opens the shop, with a few kits (of some there are too few), and lets people in.
    pub fn open(builder: Builder, seed: u64) -> Self {
        Self::open_with(builder, seed, Setting::default())
    }

    /// The same with other things in it.
    pub fn open_with(mut builder: Builder, seed: u64, setting: Setting) -> Self {
        if let Some(gateway) = &setting.gateway {
            builder = builder.variable("payment_gateway_url", gateway.url()).variable("payment_gateway_token", TOKEN);
        }
        for (name, value) in setting.clock.iter().flat_map(Clock::environment) {
            builder = builder.environment(name, value);
        }
        if setting.traps {
            builder = builder.argument("--trap").argument(TRAP);
        }
        // So that what races does race, what was left open is soon closed, and the breaker does not end all business.
        let builder = builder
            .variable("commit_delay_ms", 1)
            .variable("payment_timeout_ms", 1_000)
            .variable("gateway_timeout_ms", 700)
            .variable("pending_timeout_ms", 2_500)
            .variable("breaker_cooldown_ms", 300);
        let shop = builder.open();
        let kits: Vec<Kit> = [1_000_000, 1_000_000, 40, 10].map(|stock| shop.kit(stock)).into();
        let load = Load::start(&shop, &kits, PEOPLE, setting.pace, seed);
        Self { shop, load, setting, chance: Chance::with_seed(seed), struck: vec![] }
    }

    /// Numbers at random from the scene's seed.
    pub fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// Waits until people have done some things more, whatever came of it.
    pub fn goes_on(&self, chance: &mut Chance) {
        let (acts, deadline) = (self.load.acts() + chance.usize(20..80), Instant::now() + LONGEST);
        while self.load.acts() < acts && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The same in the middle of a fault.
    pub(crate) fn lasts(&mut self, chance: &mut Chance) {
        self.goes_on(chance);
        if self.setting.mixed && chance.u8(..4) == 0 {
            self.shop.crash();
            self.shop.start_again();
            self.goes_on(chance);
            self.struck.push(Struck { fault: Fault::Kill, recovery: None });
        }
    }

    /// Something happens to the shop in the middle of its business; then it is well again.
    pub fn strike(&mut self, fault: Fault) {
        let mut chance = self.chance.fork();
        self.goes_on(&mut chance);
        eprintln!("{}: {} orders so far", fault.name(), self.load.placed());
        self.load.during(Some(fault.name()));
        fault.strike(self, &mut chance);
        self.shop.start_again();
        let ended = Instant::now();
        self.load.probe();
        let mut head = None;
        within(RECOVERY, "worked off", || self.is_worked_off(&mut head));
        self.load.during(None);
        eprintln!("{} is over after {:.1?}", fault.name(), ended.elapsed());
        self.struck.push(Struck { fault, recovery: Some(ended.elapsed()) });
    }

    /// Whether every context has worked off what was in the log when this is first asked.
    fn is_worked_off(&self, head: &mut Option<i64>) -> Result<(), String> {
        let answer = self.shop.call("POST", "/catch-up").exchange().map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(answer.to_string());
        }
        let body = answer.json();
        let contexts = body["contexts"].as_object().into_iter().flatten();
        let cursors: Vec<_> = contexts.filter_map(|(_, at)| at["cursor"].as_i64()).collect();
        let head = *head.get_or_insert(cursors.iter().copied().max().unwrap_or_default());
        if cursors.iter().all(|cursor| *cursor >= head) { Ok(()) } else { Err(format!("{head}: {body}")) }
    }

    /// Everybody goes home; the shop comes to rest, and is audited.
    pub fn end(self) -> Outcome {
        if let Some(gateway) = &self.setting.gateway {
            gateway.is(Mood::Well);
        }
        let ledger = self.load.finish();
        let report = self.shop.audit_with(&ledger, self.setting.gateway.as_ref());
        Outcome { report, ledger, struck: self.struck }
    }
}

impl Outcome {
    /// The books balance, and there are at least so many orders in them.
    pub fn assert_balanced(&self, orders: usize) {
        self.report.assert_balanced(orders);
        eprintln!("{}", self.report);
    }

    /// How many times something happened.
    pub fn times(&self, fault: Fault) -> usize {
        self.struck.iter().filter(|struck| struck.fault == fault).count()
    }

    /// Fault by fault: how often, how many orders were begun during it, what was lost and doubled of them, and how long
    /// it took at most until all was well again.
    pub fn table(&self) -> String {
        let mut rows: BTreeMap<Option<&str>, (usize, Duration)> = BTreeMap::from([(None, Default::default())]);
        for struck in &self.struck {
            let row = rows.entry(Some(struck.fault.name())).or_default();
            *row = (row.0 + 1, row.1.max(struck.recovery.unwrap_or_default()));
        }
        let head = ["fault", "times", "orders", "lost", "doubled", "longest recovery"];
        let mut table =
            format!("{:<26}{:>7}{:>9}{:>7}{:>9}{:>18}\n", head[0], head[1], head[2], head[3], head[4], head[5]);
        for (fault, (times, recovery)) in rows {
            let orders = self.ledger.orders.iter().filter(|entry| entry.during == fault).count();
            let of_fault = |kind| {
                let violations = self.report.violations.iter();
                violations.filter(|violation| violation.kind == kind && violation.during == fault).count()
            };
            let (lost, doubled) = (of_fault(crate::Kind::Lost), of_fault(crate::Kind::Doubled));
            let (fault, times, recovery) = match fault {
                Some(fault) => (fault, times.to_string(), format!("{:.1} s", recovery.as_secs_f64())),
                None => ("(between them)", String::new(), String::new()),
            };
            let _ = writeln!(table, "{fault:<26}{times:>7}{orders:>9}{lost:>7}{doubled:>9}{recovery:>18}");
        }
        table
    }
}
