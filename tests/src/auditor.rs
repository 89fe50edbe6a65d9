//! The auditor: when the shop has come to rest, reads all that everybody can read, and checks that the books balance.
//!
//! - **Lost**: an effect that should be there and is not, such as an order that was answered, a payment that was not given
//!   back, a notification that was not sent, an event that a page does not show.
//! - **Doubled**: an effect that is there twice, such as two orders for one idempotency key, two payments for one order,
//!   kits that were given back twice.
//! - **Wrong**: whatever else may not be, such as an order that is both cancelled and delivered, a stock that does not add
//!   up, an answer that was a failure of the shop's own.
//!
//! What should be there follows from the log alone, and from the ledger of those who were answered; what is there is read
//! from each context's routes.

use crate::{Answer, Books, Event, Events, Gateway, Json, Ledger, Shop, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

/// How long the shop may take to come to rest.
const REST: Duration = Duration::from_secs(120);

/// What happens to an order at most once.
const ONCE: [&str; 12] = [
    "OrderPlaced",
    "OrderRejected",
    "OrderCancelled",
    "PaymentCompleted",
    "PaymentDeclined",
    "PaymentCancelled",
    "StockDecreased",
    "OutOfStock",
    "StockRestored",
    "DeliveryRequested",
    "DeliveryCompleted",
    "DeliveryCancelled",
];
/// What never happens to the same order.
const EITHER_OR: [(&str, &str); 7] = [
    ("OrderCancelled", "OrderRejected"),
    ("OrderCancelled", "DeliveryCompleted"),
    ("PaymentCompleted", "PaymentDeclined"),
    ("PaymentCompleted", "OrderRejected"),
    ("StockDecreased", "OutOfStock"),
    ("OutOfStock", "StockRestored"),
    ("DeliveryCompleted", "DeliveryCancelled"),
];
/// What happens only after something else.
const AFTER: [(&str, &str); 13] = [
    ("PaymentCompleted", "OrderPlaced"),
    ("PaymentDeclined", "OrderPlaced"),
    ("OrderRejected", "OrderPlaced"),
    ("OrderCancelled", "OrderPlaced"),
    ("StockDecreased", "PaymentCompleted"),
    ("OutOfStock", "PaymentCompleted"),
    ("DeliveryRequested", "PaymentCompleted"),
    ("DeliveryCompleted", "StockDecreased"),
    ("DeliveryCompleted", "DeliveryRequested"),
    ("PaymentCancelled", "PaymentCompleted"),
    ("PaymentCancelled", "OrderCancelled"),
    ("StockRestored", "PaymentCancelled"),
    ("DeliveryCancelled", "OrderCancelled"),
];
/// What must follow from these, when all of them happened, as the effect of the last.
const FOLLOWS: [(&[&str], &str); 5] = [
    (&["PaymentCompleted"], "DeliveryRequested"),
    (&["PaymentCompleted", "OrderCancelled"], "PaymentCancelled"),
    (&["StockDecreased", "PaymentCancelled"], "StockRestored"),
    (&["DeliveryRequested", "OrderCancelled"], "DeliveryCancelled"),
    (&["PaymentCompleted", "OutOfStock"], "OrderCancelled"),
];
/// Of what somebody is told.
const TOLD: [&str; 5] =
    ["PaymentCompleted", "DeliveryCompleted", "PaymentCancelled", "OutOfStock", "DeliveryCancelled"];

/// What an audit found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many orders there are.
    pub orders: usize,
    /// How many events.
    pub events: usize,
    /// What may not be.
    pub violations: Vec<Violation>,
}

/// Something that may not be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// In which way.
    pub kind: Kind,
    /// The order that it is about, if it is about one.
    pub order: Option<String>,
    /// What was the matter with the shop when that order was begun.
    pub during: Option<&'static str>,
    /// What it is.
    pub what: String,
}

/// In which way something may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An effect is missing.
    Lost,
    /// An effect is there twice.
    Doubled,
    /// Anything else.
    Wrong,
}

impl Report {
    /// How many effects are missing.
    pub fn lost(&self) -> usize {
        self.count(Kind::Lost)
    }

    /// How many effects are there twice.
    pub fn doubled(&self) -> usize {
        self.count(Kind::Doubled)
    }

    fn count(&self, kind: Kind) -> usize {
        self.violations.iter().filter(|violation| violation.kind == kind).count()
    }

    /// The books balance, and there are at least so many orders in them.
    pub fn assert_balanced(&self, orders: usize) {
        assert!(self.violations.is_empty(), "{self}");
        assert!(self.orders >= orders, "orders are missing: {self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, doubled, all) = (self.lost(), self.doubled(), self.violations.len());
        write!(f, "{} orders, {} events, {lost} lost, {doubled} doubled", self.orders, self.events)?;
        write!(f, ", {} otherwise wrong", all - lost - doubled)?;
        for violation in self.violations.iter().take(20) {
            let Violation { kind, order, what, .. } = violation;
            write!(f, "\n  {kind:?}, order {}: {what:.400}", order.as_deref().unwrap_or("-"))?;
        }
        if all > 20 { write!(f, "\n  and {} more", all - 20) } else { Ok(()) }
    }
}

impl Shop {
    /// Lets the periodic catch-up, and nothing else, bring everything to rest. How long that took.
    ///
    /// # Errors
    /// What still moves after a long while.
    pub fn come_to_rest(&self) -> Result<Duration, String> {
        let began = Instant::now();
        let mut log: Vec<Event> = vec![];
        loop {
            let moving = match self.moving(&mut log) {
                None => return Ok(began.elapsed()),
                Some(moving) => moving,
            };
            if began.elapsed() > REST {
                return Err(moving);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What still moves after a catch-up.
    fn moving(&self, log: &mut Vec<Event>) -> Option<String> {
        let answer = match self.call("POST", "/catch-up").exchange() {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => return Some(answer.to_string()),
            Err(error) => return Some(error.to_string()),
        };
        let contexts = answer.json()["contexts"].clone();
        let after = log.last().map_or(0, Event::seq);
        match self.read("/events", Some(after)) {
            Ok(new) if new.is_empty() => {}
            Ok(new) => {
                log.extend(events_of(new));
                return Some(format!("new events, up to {:?}", log.last()));
            }
            Err(error) => return Some(error),
        }
        let rests = |context: &String| contexts[context] == json!({"cursor": after, "lag": 0});
        if !manifest::contexts().iter().all(rests) {
            return Some(format!("not at the log's end ({after}): {contexts}"));
        }
        let decided = ["PaymentCompleted", "OrderRejected", "OrderCancelled"];
        let closed: BTreeSet<&str> =
            log.iter().filter(|event| decided.contains(&&*event.kind)).map(|event| &*event.subject).collect();
        let open = log.iter().find(|event| event.kind == "OrderPlaced" && !closed.contains(&*event.subject));
        open.map(|open| format!("a pending order: {open:?}"))
    }

    /// How many payments of which something is left to be done at the gateway.
    fn open_at_gateway(&self) -> Option<u64> {
        let metrics = self.call("GET", "/metrics").exchange().ok()?.body;
        let open = metrics.lines().filter(|line| line.starts_with("mealkit_gateway_open{"));
        open.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// All of a list (behind `after`), page by page.
    fn read(&self, path: &str, after: Option<i64>) -> Result<Vec<Json>, String> {
        let mut items = vec![];
        let mut next = after.map(|after| after.to_string());
        loop {
            let after = next.as_ref().map(|next| format!("&after={next}")).unwrap_or_default();
            let page = self.patiently("GET", &format!("{path}?limit=100{after}"))?;
            items.extend(page["items"].as_array().cloned().ok_or(format!("no items: {page}"))?);
            next = match &page["next"] {
                Json::Null => return Ok(items),
                next => Some(next.as_str().map_or_else(|| next.to_string(), str::to_owned)),
            };
        }
    }

    /// Asks again when it is told to come back later.
    fn patiently(&self, method: &str, path: &str) -> Result<Json, String> {
        let mut error = String::new();
        for _ in 0..5 {
            match self.call(method, path).exchange() {
                Ok(answer) if answer.status == 200 => return Ok(answer.json()),
                Ok(answer) => error = answer.flaw().unwrap_or_else(|| Answer::to_string(&answer)),
                Err(unanswered) => error = unanswered.to_string(),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(format!("{method} {path}: {error}"))
    }

    /// Audits the shop when it has come to rest.
    pub fn audit(&self) -> Report {
        self.audit_with(&Ledger::default(), None)
    }

    /// The same, with the ledger of those who were answered, who are the only ones who did anything to the shop's stock and
    /// prices; and with the books of its gateway, if it has one.
    pub fn audit_with(&self, ledger: &Ledger, gateway: Option<&Gateway>) -> Report {
        let mut audit = Audit { shop: self, report: Report::default(), during: BTreeMap::new() };
        if let Err(moving) = self.come_to_rest() {
            audit.lost(None, format!("the shop does not come to rest: {moving}"));
        }
        if let Err(error) = audit.all(ledger, gateway) {
            audit.wrong(None, format!("the shop cannot be read: {error}"));
        }
        audit.report
    }
}

struct Audit<'a> {
    shop: &'a Shop,
    report: Report,
    /// What was the matter when each order was begun.
    during: BTreeMap<String, &'static str>,
}

impl Audit<'_> {
    fn lost(&mut self, order: Option<&str>, what: impl Into<String>) {
        self.violation(Kind::Lost, order, what.into());
    }

    fn doubled(&mut self, order: Option<&str>, what: impl Into<String>) {
        self.violation(Kind::Doubled, order, what.into());
    }

    fn wrong(&mut self, order: Option<&str>, what: impl Into<String>) {
        self.violation(Kind::Wrong, order, what.into());
    }

    fn violation(&mut self, kind: Kind, order: Option<&str>, what: String) {
        let during = order.and_then(|order| self.during.get(order).copied());
        self.report.violations.push(Violation { kind, order: order.map(str::to_owned), during, what });
    }

    /// Exactly so many of something.
    fn exactly(&mut self, order: Option<&str>, what: &str, expected: usize, found: usize) {
        if found < expected {
            self.lost(order, what);
        } else if found > expected && found > 1 {
            self.doubled(order, what);
        } else if found > expected {
            self.wrong(order, format!("not to be: {what}"));
        }
    }

    fn all(&mut self, ledger: &Ledger, gateway: Option<&Gateway>) -> Result<(), String> {
        if let Some(gateway) = gateway {
            self.settled(gateway);
        }
        let log = events_of(self.shop.read("/events", Some(0))?);
        self.report.events = log.len();
        self.log(&log);
        let mut stories: BTreeMap<String, Events> = BTreeMap::new();
        let mut catalogue = vec![];
        for event in log {
            if event.kind.starts_with("Product") {
                catalogue.push(event);
            } else if event.source != "/mealkit/member" {
                stories.entry(event.subject.clone()).or_insert_with(|| Events(vec![])).0.push(event);
            }
        }
        self.report.orders = stories.len();
        let during: BTreeMap<_, _> = ledger.orders.iter().map(|entry| (&*entry.member, entry.during)).collect();
        for (id, story) in &stories {
            let member = story.first("OrderPlaced").and_then(|placed| placed.data["member_id"].as_str());
            let during = member.and_then(|member| during.get(member).copied().flatten());
            self.during.extend(during.map(|during| (id.clone(), during)));
        }
        for (id, story) in &stories {
            for flaw in story.flaws(id) {
                self.wrong(Some(id), flaw);
            }
            self.story(id, story);
        }
        self.stock(&catalogue, &stories)?;
        self.rows("/orders", "id", &stories, order_row)?;
        self.rows("/payments", "order_id", &stories, payment_row)?;
        self.rows("/deliveries", "order_id", &stories, delivery_row)?;
        self.rows("/mypages", "order_id", &stories, page_row)?;
        self.notifications(&stories)?;
        self.rebuild()?;
        self.letters()?;
        if let Some(gateway) = gateway {
            self.books(&gateway.books(), &stories);
            for flaw in gateway.flaws() {
                self.wrong(None, format!("at the gateway: {flaw}"));
            }
        }
        self.ledger(ledger, &catalogue, &stories)
    }

    /// The catch-up goes on until nothing is left to be done at the gateway.
    fn settled(&mut self, gateway: &Gateway) {
        let deadline = Instant::now() + REST;
        let mut before = None;
        // Its books do not move any more, and no payment waits for it.
        while before.as_ref() != Some(&gateway.books()) || self.shop.open_at_gateway() != Some(0) {
            before = Some(gateway.books());
            if Instant::now() > deadline {
                let open = self.shop.open_at_gateway();
                return self.lost(None, format!("the gateway's answer to payments: {open:?} are open"));
            }
            if let Err(moving) = self.shop.come_to_rest() {
                return self.lost(None, format!("the shop does not come to rest: {moving}"));
            }
        }
    }

    /// The gateway's books say the same as the log: no charge without an order, none twice, every refund once.
    fn books(&mut self, books: &Books, stories: &BTreeMap<String, Events>) {
        for (id, account) in books {
            let found = format!("the gateway has {account:?}");
            match stories.get(id) {
                None => self.wrong(Some(id), format!("a charge without an order: {found}")),
                Some(_) if account.charged > 1 => self.doubled(Some(id), format!("a charge: {found}")),
                Some(_) if account.refunded > 1 => self.doubled(Some(id), format!("a refund: {found}")),
                Some(story) => {
                    let (paid, types) = (story.first("PaymentCompleted"), story.types());
                    let refunded = story.has("PaymentCancelled");
                    // What the log never knew of as paid must have been given back.
                    let kept = account.charged > account.refunded;
                    if kept && (paid.is_none() || refunded) {
                        self.lost(Some(id), format!("a refund: {found}, and the log {types:?}"));
                    } else if !kept && paid.is_some() && !refunded {
                        self.lost(Some(id), format!("a charge: {found}, and the log {types:?}"));
                    }
                    let (amount, receipt) = (json!(account.amount), json!(account.approval_number));
                    if paid.is_some_and(|paid| paid.data["amount"] != amount || paid.data["approval_number"] != receipt)
                    {
                        self.wrong(Some(id), format!("another payment than in the log: {found}"));
                    }
                }
            }
        }
        for (id, story) in
            stories.iter().filter(|(id, story)| story.has("PaymentCompleted") && !books.contains_key(*id))
        {
            self.lost(Some(id), format!("the charge behind {:?}", story.types()));
        }
    }

    /// Nothing that should follow from an event is left undone.
    fn letters(&mut self) -> Result<(), String> {
        for letter in self.shop.read("/dead-letters", None)? {
            self.lost(letter["subject"].as_str(), format!("what should follow from a dead letter: {letter}"));
        }
        Ok(())
    }

    /// The log itself.
    fn log(&mut self, log: &[Event]) {
        if !log.is_sorted_by(|a, b| a.seq() < b.seq()) {
            self.wrong(None, "the log is not in its order");
        }
        let ids: BTreeSet<&str> = log.iter().map(|event| &*event.id).collect();
        if ids.len() < log.len() {
            self.doubled(None, "an event's id");
        }
    }

    /// What happened to an order, in itself.
    fn story(&mut self, id: &str, story: &Events) {
        let (order, types) = (Some(id), format!("{:?}", story.types()));
        for kind in ONCE.iter().filter(|kind| story.all(kind).len() > 1) {
            self.doubled(order, format!("{kind} in {types}"));
        }
        for (one, other) in EITHER_OR.iter().filter(|(one, other)| story.has(one) && story.has(other)) {
            self.wrong(order, format!("both {one} and {other} in {types}"));
        }
        for (effect, before) in AFTER.iter().filter(|(effect, _)| story.has(effect)) {
            let is_before =
                story.first(before).is_some_and(|before| Some(before.seq()) < story.first(effect).map(Event::seq));
            if !is_before {
                self.wrong(order, format!("{effect} without {before} before it in {types}"));
            }
        }
        for (causes, effect) in FOLLOWS {
            if causes.iter().all(|cause| story.has(cause)) && !story.has(effect) {
                self.lost(order, format!("{effect} after {causes:?} in {types}"));
            }
        }
        if story.has("PaymentCompleted") && !story.has("StockDecreased") && !story.has("OutOfStock") {
            self.lost(order, format!("the answer of the stock in {types}"));
        }
        if story.has("PaymentDeclined") && !story.has("OrderRejected") && !story.has("OrderCancelled") {
            self.lost(order, format!("OrderRejected after PaymentDeclined in {types}"));
        }
        if !["PaymentCompleted", "OrderRejected", "OrderCancelled"].iter().any(|end| story.has(end)) {
            self.lost(order, format!("any decision about the order: {types}"));
        }
        for cause in story.0.iter().filter(|event| TOLD.contains(&&*event.kind)) {
            let told = story.all("Notified").iter().filter(|told| told.causationid == cause.id).count();
            self.exactly(order, &format!("the notification of {} in {types}", cause.kind), 1, told);
        }
        self.money(id, story);
    }

    /// Everybody speaks of the same money and the same kits.
    fn money(&mut self, id: &str, story: &Events) {
        let Some(placed) = story.first("OrderPlaced") else { return };
        let (quantity, amount) = (&placed.data["quantity"], &placed.data["amount"]);
        let product =
            placed.data["unit_price"].as_u64().zip(quantity.as_u64()).map(|(price, quantity)| price * quantity);
        if product != amount.as_u64() {
            self.wrong(Some(id), format!("the amount is not unit price times quantity: {}", placed.data));
        }
        for event in &story.0 {
            for (field, expected) in [("quantity", quantity), ("amount", amount)] {
                let found = &event.data[field];
                if !found.is_null() && found != expected {
                    self.wrong(Some(id), format!("another {field} than {expected} in {} {}", event.kind, event.data));
                }
            }
        }
    }

    /// What is left of each kit: what there was, without what live orders hold. Replayed from the log, step by step.
    fn stock(&mut self, catalogue: &[Event], stories: &BTreeMap<String, Events>) -> Result<(), String> {
        let moves = ["StockDecreased", "StockRestored"];
        let orders = stories.values().flat_map(|story| &story.0).filter(|event| moves.contains(&&*event.kind));
        let mut events: Vec<&Event> = catalogue.iter().chain(orders).collect();
        events.sort_by_key(|event| event.seq());
        let mut stock: BTreeMap<&str, i64> = BTreeMap::new();
        let mut prices: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for event in &events {
            let id = event.data["product_id"].as_str().unwrap_or_default();
            let (said, quantity) = (event.data["stock"].as_i64(), event.data["quantity"].as_i64().unwrap_or_default());
            let before = stock.get(id).copied();
            let expected = match (&*event.kind, before) {
                ("ProductRegistered", None) => said,
                ("ProductModified", before) => before,
                ("StockDecreased", Some(before)) => Some(before - quantity),
                ("StockRestored", Some(before)) => Some(before + quantity),
                _ => None,
            };
            if said != expected || said.is_none_or(|said| said < 0) {
                self.wrong(None, format!("the stock was {before:?} before {} {}", event.kind, event.data));
            }
            stock.insert(id, said.unwrap_or_default());
            prices.entry(id).or_default().extend(event.data["price"].as_u64());
        }
        let held = |id: &str| -> i64 {
            let placed =
                stories.values().filter(|story| holds_kits(story)).filter_map(|story| story.first("OrderPlaced"));
            placed
                .filter(|placed| placed.data["product_id"] == id)
                .filter_map(|placed| placed.data["quantity"].as_i64())
                .sum()
        };
        let products = self.shop.read("/products", None)?;
        self.exactly(None, "a kit in the list", stock.len(), products.len());
        for product in &products {
            let id = product["id"].as_str().unwrap_or_default();
            let registered = catalogue.iter().find(|event| event.kind == "ProductRegistered" && event.subject == id);
            let initial = registered.and_then(|event| event.data["stock"].as_i64()).unwrap_or_default();
            let (shown, held) = (product["stock"].as_i64(), held(id));
            if shown != Some(initial - held) || shown != stock.get(id).copied() {
                let replayed = stock.get(id);
                let what =
                    format!("of {initial} kits {held} are held, but {shown:?} are left, by the log {replayed:?}: {id}");
                if shown < Some(initial - held) { self.lost(None, what) } else { self.doubled(None, what) }
            }
        }
        for placed in stories.values().filter_map(|story| story.first("OrderPlaced")) {
            let known = placed.data["product_id"].as_str().and_then(|id| prices.get(id));
            if !known
                .is_some_and(|known| placed.data["unit_price"].as_u64().is_some_and(|price| known.contains(&price)))
            {
                self.wrong(Some(&placed.subject), format!("a price that the kit never had: {}", placed.data));
            }
        }
        Ok(())
    }

    /// A context shows one row for each order that it should, and in it what the log says.
    fn rows(
        &mut self,
        path: &str,
        id_of: &str,
        stories: &BTreeMap<String, Events>,
        expected: fn(&Events) -> Option<Json>,
    ) -> Result<(), String> {
        let mut rows: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for row in self.shop.read(path, None)? {
            rows.entry(row[id_of].as_str().unwrap_or_default().to_owned()).or_default().push(row);
        }
        for (id, story) in stories {
            let found = rows.remove(id).unwrap_or_default();
            let expected = expected(story);
            self.exactly(Some(id), &format!("a row of {path}"), usize::from(expected.is_some()), found.len());
            if let (Some(Json::Object(expected)), Some(row)) = (expected, found.first()) {
                for (field, value) in expected.into_iter().filter(|(field, value)| row[field] != *value) {
                    let what = format!("{path} says {field} {} instead of {value}", row[&field]);
                    let (shown, owed) = (row[&field].as_array().map(Vec::len), value.as_array().map(Vec::len));
                    match shown.cmp(&owed) {
                        std::cmp::Ordering::Less => self.lost(Some(id), what),
                        std::cmp::Ordering::Greater => self.doubled(Some(id), what),
                        std::cmp::Ordering::Equal => self.wrong(Some(id), what),
                    }
                }
            }
        }
        for (id, _) in rows {
            self.wrong(Some(&id), format!("{path} has a row for an order that is not in the log"));
        }
        Ok(())
    }

    /// Each notification of the log is on the list once.
    fn notifications(&mut self, stories: &BTreeMap<String, Events>) -> Result<(), String> {
        let mut listed: BTreeMap<String, usize> = BTreeMap::new();
        for row in self.shop.read("/notifications", None)? {
            *listed.entry(row["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        for (id, story) in stories {
            for notified in story.all("Notified") {
                let listed = listed.remove(notified.data["notification_id"].as_str().unwrap_or_default());
                self.exactly(Some(id), "a notification on the list", 1, listed.unwrap_or_default());
            }
        }
        if let Some((id, _)) = listed.first_key_value() {
            self.wrong(None, format!("notification {id} is not in the log"));
        }
        Ok(())
    }

    /// My page, built anew from the log, is what it was before.
    fn rebuild(&mut self) -> Result<(), String> {
        let before = self.shop.read("/mypages", None)?;
        self.shop.patiently("POST", "/mypages/rebuild")?;
        let after = self.shop.read("/mypages", None)?;
        if before.len() != after.len() {
            self.wrong(None, format!("my page had {} rows, and {} when it was rebuilt", before.len(), after.len()));
        }
        for (before, after) in before.iter().zip(&after).filter(|(before, after)| before != after) {
            self.wrong(before["order_id"].as_str(), format!("my page was {before}, and rebuilt it is {after}"));
        }
        Ok(())
    }

    /// What was answered is true.
    fn ledger(
        &mut self,
        ledger: &Ledger,
        catalogue: &[Event],
        stories: &BTreeMap<String, Events>,
    ) -> Result<(), String> {
        for flaw in &ledger.flaws {
            self.wrong(None, flaw);
        }
        let mut of_member: BTreeMap<&str, Vec<(&str, &Events)>> = BTreeMap::new();
        for (id, story) in stories {
            let placed = story.first("OrderPlaced").and_then(|placed| placed.data["member_id"].as_str());
            of_member.entry(placed.unwrap_or_default()).or_default().push((id, story));
        }
        for entry in &ledger.orders {
            let orders = of_member.get(&*entry.member).map(Vec::as_slice).unwrap_or_default();
            self.entry(entry, orders);
        }
        for price in &ledger.prices {
            let changes = catalogue.iter().filter(|event| {
                event.kind == "ProductModified"
                    && event.subject == price.product_id
                    && event.data["price"] == price.price
            });
            let (changes, answered) = (changes.count(), usize::from(price.answered));
            if changes != 1 || answered == 1 {
                self.exactly(None, &format!("a new price that was asked for: {price:?}"), answered, changes);
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &crate::load::Entry, orders: &[(&str, &Events)]) {
        let id = orders.first().map(|(id, _)| *id);
        // An order that could not be paid was answered with "come back", so the next try has an order of its own.
        let counts = |story: &Events| {
            story.first("OrderRejected").is_none_or(|rejected| rejected.data["reason"] != "payment_unavailable")
        };
        let counting: Vec<_> = orders.iter().filter(|(_, story)| counts(story)).collect();
        let what = format!(
            "an order of {}, who has {orders:?}",
            entry.member,
            orders = orders.iter().map(|(id, _)| id).collect::<Vec<_>>()
        );
        if entry.abandoned {
            if counting.len() > 1 {
                self.doubled(id, what);
            }
        } else {
            self.exactly(id, &what, 1, counting.len());
        }
        for answered in entry.placed.iter().chain(&entry.declined) {
            match counting.iter().find(|(id, _)| id == answered) {
                None => self.lost(Some(answered), format!("an order that was answered to {}", entry.member)),
                Some((_, story)) => {
                    let paid = story.has("PaymentCompleted") || story.has("OrderCancelled");
                    if paid != entry.placed.contains(answered) {
                        self.wrong(Some(answered), format!("not what was answered: {entry:?}, {:?}", story.types()));
                    }
                }
            }
        }
        for (said, granted, event) in
            [("cancelled", entry.cancelled, "OrderCancelled"), ("delivered", entry.completed, "DeliveryCompleted")]
        {
            let happened = counting.iter().any(|(_, story)| story.has(event));
            if granted == Some(200) && !happened {
                self.lost(id, format!("it was answered that the order is {said}: {entry:?}"));
            }
        }
    }
}

/// Whether an order holds kits.
fn holds_kits(story: &Events) -> bool {
    story.has("StockDecreased") && !story.has("StockRestored")
}

fn events_of(items: Vec<Json>) -> Vec<Event> {
    items
        .into_iter()
        .map(|item| {
            serde_json::from_value(item.clone()).unwrap_or_else(|error| panic!("no CloudEvent ({error}): {item}"))
        })
        .collect()
}

/// How an order stands, by the log.
fn order_status(story: &Events) -> &'static str {
    let mut status = "pending";
    for event in &story.0 {
        status = match (status, &*event.kind) {
            ("delivered" | "rejected" | "cancelled", _) => status,
            (_, "PaymentCompleted") => "paid",
            (_, "DeliveryRequested") => "delivery_requested",
            (_, "DeliveryCompleted") => "delivered",
            (_, "OrderRejected") => "rejected",
            (_, "OrderCancelled") => "cancelled",
            _ => status,
        };
    }
    status
}

/// The last of these that happened, in its own words.
fn last_of(story: &Events, words: &[(&str, &'static str)]) -> Option<&'static str> {
    let word = |event: &Event| words.iter().find(|(kind, _)| *kind == event.kind).map(|(_, word)| *word);
    story.0.iter().rev().find_map(word)
}

fn payment_status(story: &Events) -> Option<&'static str> {
    let words = [("PaymentCompleted", "completed"), ("PaymentDeclined", "declined"), ("PaymentCancelled", "cancelled")];
    last_of(story, &words)
}

fn delivery_status(story: &Events) -> Option<&'static str> {
    let words =
        [("DeliveryRequested", "requested"), ("DeliveryCompleted", "completed"), ("DeliveryCancelled", "cancelled")];
    last_of(story, &words)
}

fn order_row(story: &Events) -> Option<Json> {
    let placed = &story.first("OrderPlaced")?.data;
    Some(json!({
        "member_id": placed["member_id"], "product_id": placed["product_id"], "quantity": placed["quantity"],
        "unit_price": placed["unit_price"], "amount": placed["amount"], "status": order_status(story),
    }))
}

fn payment_row(story: &Events) -> Option<Json> {
    let status = payment_status(story)?;
    let paid = story.first("PaymentCompleted").or(story.first("PaymentDeclined"))?;
    Some(json!({"id": paid.data["payment_id"], "amount": paid.data["amount"], "status": status}))
}

fn delivery_row(story: &Events) -> Option<Json> {
    let requested = story.first("DeliveryRequested")?;
    Some(json!({"id": requested.data["delivery_id"], "status": delivery_status(story)?}))
}

fn page_row(story: &Events) -> Option<Json> {
    let placed = &story.first("OrderPlaced")?.data;
    let timeline = story.0.iter().map(|event| json!({"seq": event.seq(), "type": event.kind, "at": event.time}));
    Some(json!({
        "member_id": placed["member_id"], "product_id": placed["product_id"], "quantity": placed["quantity"],
        "amount": placed["amount"], "order_status": order_status(story), "payment_status": payment_status(story),
        "delivery_status": delivery_status(story), "timeline": timeline.collect::<Vec<_>>(),
    }))
}
