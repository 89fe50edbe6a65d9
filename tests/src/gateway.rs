//! A payment gateway that keeps its own books, outside the shop: it survives whatever happens there.

use crate::{Chance, Json, json, text};
use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tiny_http::{Header, Method, Request, Response, Server};

/// How many requests it works on at once.
const WORKERS: usize = 16;
/// A card that it declines.
const DECLINED_CARD: &str = "4000000000000002";
/// What the shop has to show.
pub const TOKEN: &str = "gateway-token-of-the-tests";

/// How it is today.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// It does what it is asked, at once.
    Well,
    /// It takes the money, and answers so late.
    Late(Duration),
    /// It fails, having done nothing.
    Failing,
    /// It does what it is asked, and then says that it failed.
    FailingAfterwards,
    /// Each request finds it in another of these moods.
    Moody,
}

/// What it has about an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// In KRW.
    pub amount: u64,
    /// `approved`, `declined` or `cancelled`.
    pub status: String,
    /// The receipt.
    pub approval_number: Option<String>,
    /// How often money was taken.
    pub charged: u32,
    /// How often it was given back.
    pub refunded: u32,
}

/// Its books: what it did about each order.
pub type Books = BTreeMap<String, Account>;

/// A running gateway. It ends when it is dropped.
pub struct Gateway {
    server: Arc<Server>,
    shared: Arc<Shared>,
}

struct Shared {
    books: Mutex<Books>,
    mood: Mutex<Mood>,
    chance: Mutex<Chance>,
    flaws: Mutex<Vec<String>>,
    hold: Mutex<Hold>,
    held: Condvar,
}

/// A charge that is booked and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    None,
    Wanted,
    Held,
}

impl Gateway {
    /// Opens one, on a free port.
    pub fn open(seed: u64) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").expect("a free port for the gateway"));
        let shared = Arc::new(Shared {
            books: Mutex::default(),
            mood: Mutex::new(Mood::Well),
            chance: Mutex::new(Chance::with_seed(seed)),
            flaws: Mutex::default(),
            hold: Mutex::new(Hold::None),
            held: Condvar::new(),
        });
        for _ in 0..WORKERS {
            let (server, shared) = (server.clone(), shared.clone());
            thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    shared.serve(request);
                }
            });
        }
        Self { server, shared }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.server_addr())
    }

    /// From now on it is like this.
    pub fn is(&self, mood: Mood) {
        *lock(&self.shared.mood) = mood;
    }

    /// Its books, as they are now.
    pub fn books(&self) -> Books {
        lock(&self.shared.books).clone()
    }

    /// What was asked of it in a way that its protocol does not allow.
    pub fn flaws(&self) -> Vec<String> {
        lock(&self.shared.flaws).clone()
    }

    /// The next charge is booked, and not answered until [`answer_held`](Self::answer_held).
    pub fn hold_next(&self) {
        *lock(&self.shared.hold) = Hold::Wanted;
    }

    /// Waits until a charge is booked and held.
    pub fn wait_until_held(&self) {
        let hold = lock(&self.shared.hold);
        let waited = self.shared.held.wait_timeout_while(hold, Duration::from_secs(20), |hold| *hold != Hold::Held);
        let late = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        assert!(!late, "nobody was charged");
    }

    /// Answers the charge that is held.
    pub fn answer_held(&self) {
        *lock(&self.shared.hold) = Hold::None;
        self.shared.held.notify_all();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.answer_held();
        (0..WORKERS).for_each(|_| self.server.unblock());
    }
}

impl Shared {
    fn serve(&self, mut request: Request) {
        let mood = match *lock(&self.mood) {
            Mood::Moody => {
                let moods = [
                    Mood::Well,
                    Mood::Late(Duration::from_secs(3)),
                    Mood::Failing,
                    Mood::FailingAfterwards,
                    Mood::Well,
                ];
                moods[lock(&self.chance).usize(..moods.len())]
            }
            mood => mood,
        };
        let (status, body) = match mood {
            Mood::Failing => (500, json!({"error": "out of order"})),
            _ => self.answer(&mut request),
        };
        let (status, body) = match mood {
            Mood::FailingAfterwards => (500, json!({"error": "out of order by now"})),
            _ => (status, body),
        };
        if let Mood::Late(time) = mood {
            thread::sleep(time);
        }
        let header = Header::from_bytes("content-type", "application/json").expect("a header");
        // Whoever asked may be gone.
        let _ = request.respond(Response::from_string(body.to_string()).with_status_code(status).with_header(header));
    }

    fn answer(&self, request: &mut Request) -> (u16, Json) {
        let header = |name: &'static str| {
            let header = request.headers().iter().find(|header| header.field.equiv(name));
            header.map(|header| header.value.to_string()).unwrap_or_default()
        };
        if header("authorization") != format!("Bearer {TOKEN}") {
            self.flaw("no token", request);
            return (401, json!({"error": "who are you?"}));
        }
        let (method, path, key) = (request.method().clone(), request.url().to_owned(), header("idempotency-key"));
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, segments.as_slice()) {
            (Method::Post, ["charges"]) => {
                let mut body = String::new();
                let _ = request.as_reader().read_to_string(&mut body);
                // Whoever is killed while it asks has asked nothing.
                let Ok(charge) = serde_json::from_str::<Json>(&body) else { return (400, json!({"error": "no JSON"})) };
                if charge["order_id"].as_str() != Some(&key) || charge["currency"] != "KRW" {
                    self.flaw("no charge of KRW with the order's id as its key", request);
                    return (400, json!({"error": "no charge"}));
                }
                let answer = self.charge(&key, &charge);
                self.hold();
                answer
            }
            (Method::Get, ["charges", id]) => match lock(&self.books).get(*id) {
                Some(account) => (200, shown(account)),
                None => (404, json!({"error": "no such charge"})),
            },
            (Method::Post, ["charges", id, "cancel"]) => {
                let mut books = lock(&self.books);
                let account = books.entry((*id).to_owned()).or_default();
                account.refunded += u32::from(account.status == "approved");
                account.status = "cancelled".into();
                (200, shown(account))
            }
            _ => {
                self.flaw("no such route", request);
                (404, json!({"error": "no such route"}))
            }
        }
    }

    fn charge(&self, id: &str, charge: &Json) -> (u16, Json) {
        let mut books = lock(&self.books);
        if let Some(account) = books.get(id) {
            let status = if account.status == "cancelled" { 409 } else { 200 };
            return (status, shown(account));
        }
        let declined = text(&charge["card_number"]) == DECLINED_CARD;
        let account = Account {
            amount: charge["amount"].as_u64().unwrap_or_default(),
            status: if declined { "declined" } else { "approved" }.into(),
            approval_number: (!declined).then(|| format!("A-{}", books.len() + 1)),
            charged: u32::from(!declined),
            refunded: 0,
        };
        let answer = shown(&account);
        books.insert(id.to_owned(), account);
        (200, answer)
    }

    /// Waits, if this is the charge that is to be held.
    fn hold(&self) {
        let mut hold = lock(&self.hold);
        if *hold == Hold::Wanted {
            *hold = Hold::Held;
            self.held.notify_all();
            let waited = self.held.wait_while(hold, |hold| *hold == Hold::Held);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn flaw(&self, flaw: &str, request: &Request) {
        lock(&self.flaws).push(format!("{flaw}: {request:?}"));
    }
}

fn shown(account: &Account) -> Json {
    let mut shown = json!({"status": account.status});
    if let Some(approval_number) = &account.approval_number {
        shown["approval_number"] = approval_number.as_str().into();
    }
    if account.status == "declined" {
        shown["reason"] = "card_declined".into();
    }
    shown
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
