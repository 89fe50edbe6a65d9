//! Load: members who order, cancel and take deliveries, and sellers who change their kits, whatever becomes of the shop.
//! What they were answered goes into a ledger.

use crate::{Answer, CARD, Chance, Client, Fault, Front, Json, Kit, Shop, json, text};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A card that the sandbox declines.
const DECLINED_CARD: &str = "4000000000000002";
/// How long somebody waits before asking again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long whoever is without an answer goes on asking when everybody else has gone home.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was asked, and what was answered.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The orders that were asked for.
    pub orders: Vec<Entry>,
    /// New prices of kits; no two are the same.
    pub prices: Vec<Price>,
    /// Answers that may never be given.
    pub flaws: Vec<String>,
}

/// Somebody asks for an order. Every entry has a member of its own.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who.
    pub member: String,
    /// What was the matter with the shop when they first asked.
    pub during: Option<&'static str>,
    /// The orders that it was answered (201) with; each should be the same one.
    pub placed: Vec<String>,
    /// The orders that were declined (402).
    pub declined: Vec<String>,
    /// They never got an answer, and gave up.
    pub abandoned: bool,
    /// What they were told when they cancelled it (200 or 409).
    pub cancelled: Option<u16>,
    /// What they were told when they took its delivery (200 or 409).
    pub completed: Option<u16>,
}

/// A seller gives a kit another price.
#[derive(Clone, Debug)]
pub struct Price {
    /// The kit.
    pub product_id: String,
    /// In KRW.
    pub price: u64,
    /// Whether it was answered (200).
    pub answered: bool,
}

/// People who are busy with a shop.
pub struct Load {
    shared: Arc<Shared>,
    people: Vec<JoinHandle<()>>,
}

struct Shared {
    front: Front,
    kits: Vec<Kit>,
    name: String,
    pace: Duration,
    ledger: Mutex<Ledger>,
    during: Mutex<Option<&'static str>>,
    closed: AtomicBool,
    acts: AtomicUsize,
    numbers: AtomicUsize,
}

impl Load {
    /// So many people begin; they do the same for the same seed, as far as the shop lets them. `pace` is how long each
    /// rests between two orders.
    pub fn start(shop: &Shop, kits: &[Kit], people: usize, pace: Duration, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            front: shop.front().clone(),
            kits: kits.to_vec(),
            name: crate::unique("load"),
            pace,
            ledger: Mutex::default(),
            during: Mutex::default(),
            closed: AtomicBool::new(false),
            acts: AtomicUsize::new(0),
            numbers: AtomicUsize::new(0),
        });
        let person = |number: usize| {
            let shared = shared.clone();
            let chance = Chance::with_seed(seed.wrapping_add(number as u64));
            thread::spawn(move || Person { shared: &shared, chance, way: number }.live())
        };
        Self { people: (0..people).map(person).collect(), shared }
    }

    /// From now on this is the matter with the shop.
    pub fn during(&self, what: Option<&'static str>) {
        *lock(&self.shared.during) = what;
    }

    /// How many times somebody has asked for something, answered or not.
    pub fn acts(&self) -> usize {
        self.shared.acts.load(Ordering::SeqCst)
    }

    /// How many orders were answered (201).
    pub fn placed(&self) -> usize {
        lock(&self.shared.ledger).orders.iter().filter(|entry| !entry.placed.is_empty()).count()
    }

    /// Orders once, and goes on asking until it is answered (201).
    ///
    /// # Panics
    /// When that does not come.
    pub fn probe(&self) {
        let mut person = Person { shared: &self.shared, chance: Chance::new(), way: 0 };
        let placed = person.order(CARD, false, Patience(Some(Instant::now())));
        assert!(placed.is_some(), "after {PATIENCE:?} no order is placed");
    }

    /// Nobody begins anything new; whoever waits for an answer goes on asking for it. Returns what came of it all.
    pub fn finish(self) -> Ledger {
        self.shared.closed.store(true, Ordering::SeqCst);
        for person in self.people {
            person.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        lock(&self.shared.ledger).clone()
    }
}

struct Person<'a> {
    shared: &'a Shared,
    chance: Chance,
    /// The replica that is asked next.
    way: usize,
}

impl Person<'_> {
    fn live(mut self) {
        while !self.shared.closed.load(Ordering::SeqCst) {
            let card = if self.chance.u8(..20) == 0 { DECLINED_CARD } else { CARD };
            let gives_up = self.chance.u8(..10) == 0;
            if let Some((entry, id)) = self.order(card, gives_up, Patience::default()) {
                match self.chance.u8(..6) {
                    0 => self.cancel(entry, &id),
                    1 => self.complete(entry, &id),
                    2 => self.cancel_and_complete(entry, &id),
                    3 => self.change_price(),
                    4 => self.look(&id),
                    _ => {}
                }
            }
            thread::sleep(self.shared.pace);
        }
    }

    /// Orders, with an idempotency key, until there is an answer. Returns the ledger's entry and the order.
    fn order(&mut self, card: &str, gives_up: bool, mut patience: Patience) -> Option<(usize, String)> {
        let number = self.shared.numbers.fetch_add(1, Ordering::SeqCst);
        let (member, key) = (format!("{}-{number}", self.shared.name), format!("{}-key-{number}", self.shared.name));
        let kit = &self.shared.kits[self.chance.usize(..self.shared.kits.len())];
        let mut body = Shop::order_body(kit, &member, self.chance.u32(1..=3));
        body["payment"]["card_number"] = card.into();
        let entry = {
            let mut ledger = lock(&self.shared.ledger);
            ledger.orders.push(Entry {
                member,
                during: *lock(&self.shared.during),
                placed: vec![],
                declined: vec![],
                abandoned: false,
                cancelled: None,
                completed: None,
            });
            ledger.orders.len() - 1
        };
        loop {
            let answer = self.ask("POST", "/orders", Some(&body), Some(&key));
            match answer {
                Some(answer) if answer.status == 201 => {
                    let id = text(&answer.json()["id"]);
                    self.note(entry, |it| it.placed.push(id.clone()));
                    // Now and then the answer comes too late for whoever asked, and is asked for again.
                    if self.chance.u8(..10) > 0 {
                        return Some((entry, id));
                    }
                }
                Some(answer) if answer.status == 402 => {
                    let id = text(&answer.json()["order_id"]);
                    self.note(entry, |it| it.declined.push(id));
                    return None;
                }
                Some(answer) => {
                    self.flaw(format!("neither placed nor declined: {answer}"));
                    return None;
                }
                None if gives_up || patience.is_over(self.shared) => {
                    self.note(entry, |it| it.abandoned = true);
                    return None;
                }
                None => {}
            }
        }
    }

    fn cancel(&mut self, entry: usize, id: &str) {
        let answer = self.act(&format!("/orders/{id}/cancel"));
        self.note(entry, |it| it.cancelled = answer);
    }

    fn complete(&mut self, entry: usize, id: &str) {
        let Some(deliveries) = self.ask("GET", &format!("/deliveries?order_id={id}"), None, None) else { return };
        let deliveries = deliveries.json();
        let Some(delivery) = deliveries["items"][0]["id"].as_str() else {
            // Whoever is asked reads the log first, so it is there: unless the order was rejected or cancelled.
            return self.flaw(format!("order {id} was placed, but there is no delivery: {deliveries}"));
        };
        let answer = self.act(&format!("/deliveries/{delivery}/complete"));
        self.note(entry, |it| it.completed = answer);
    }

    /// Both at once: only one of them may win.
    fn cancel_and_complete(&mut self, entry: usize, id: &str) {
        let mut other = Person { shared: self.shared, chance: self.chance.fork(), way: self.way };
        thread::scope(|scope| {
            scope.spawn(|| other.cancel(entry, id));
            self.complete(entry, id);
        });
    }

    fn change_price(&mut self) {
        let price = 10_000 + self.shared.numbers.fetch_add(1, Ordering::SeqCst) as u64;
        let product_id = self.shared.kits[self.chance.usize(..self.shared.kits.len())].id.clone();
        let body = json!({"price": price});
        // Written down first, so that a change without an answer is known, too.
        let place = {
            let mut ledger = lock(&self.shared.ledger);
            ledger.prices.push(Price { product_id: product_id.clone(), price, answered: false });
            ledger.prices.len() - 1
        };
        if let Some(answer) = self.ask("PATCH", &format!("/products/{product_id}"), Some(&body), None) {
            if answer.status != 200 {
                self.flaw(format!("a new price was refused: {answer}"));
            }
            lock(&self.shared.ledger).prices[place].answered = true;
        }
    }

    /// Whoever was answered finds it true at once.
    fn look(&mut self, id: &str) {
        for path in [format!("/orders/{id}"), format!("/mypages/{id}")] {
            if let Some(answer) = self.ask("GET", &path, None, None)
                && answer.status != 200
            {
                self.flaw(format!("what was answered is not there: {answer}"));
            }
        }
    }

    /// Asks for something that may be asked for again, until it is granted (200) or refused (409).
    fn act(&mut self, path: &str) -> Option<u16> {
        let mut patience = Patience::default();
        loop {
            match self.ask("POST", path, None, None) {
                Some(answer) if [200, 409].contains(&answer.status) => return Some(answer.status),
                Some(answer) => {
                    self.flaw(format!("neither granted nor refused: {answer}"));
                    return None;
                }
                None if patience.is_over(self.shared) => return None,
                None => {}
            }
        }
    }

    /// Asks once. Nothing, if there was no answer, or it was to come back later.
    fn ask(&mut self, method: &str, path: &str, body: Option<&Json>, key: Option<&str>) -> Option<Answer> {
        self.shared.acts.fetch_add(1, Ordering::SeqCst);
        self.way += 1;
        let client: Client = self.shared.front.client(self.way);
        let mut call = client.call(method, path);
        if let Some(body) = body {
            call = call.json(body);
        }
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        // What the host answers in the place of an instance that trapped, and what is cut off there, is no answer. The trap
        // may have begun, or ended, in the middle of it.
        let during = || *lock(&self.shared.during);
        let before = during();
        let answer = call.exchange().ok();
        let after = during();
        let trapped = [before, after].contains(&Some(Fault::Trap.name()));
        let answer = answer.filter(|answer| !trapped || serde_json::from_str::<Json>(&answer.body).is_ok());
        if let Some(flaw) = answer.as_ref().and_then(Answer::flaw) {
            self.flaw(format!("{flaw} (during {before:?}, then {after:?})"));
        }
        let answer = answer.filter(|answer| answer.status < 500);
        if answer.is_none() {
            thread::sleep(PAUSE);
        }
        answer
    }

    fn note(&self, entry: usize, change: impl FnOnce(&mut Entry)) {
        change(&mut lock(&self.shared.ledger).orders[entry]);
    }

    fn flaw(&self, flaw: String) {
        lock(&self.shared.ledger).flaws.push(flaw);
    }
}

/// How long somebody goes on asking: for a while from this moment on; without one, from when the load closes.
#[derive(Default)]
struct Patience(Option<Instant>);

impl Patience {
    fn is_over(&mut self, shared: &Shared) -> bool {
        if shared.closed.load(Ordering::SeqCst) {
            self.0.get_or_insert_with(Instant::now);
        }
        self.0.is_some_and(|began| began.elapsed() > PATIENCE)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
