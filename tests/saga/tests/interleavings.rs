//! Random interleavings of everything that can happen in the shop, with crashes: its laws hold at every moment, and when
//! it has come to rest. And they hold because of the unit of work: with any one of its rules taken away, they break.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use contracts::{
    DeliveryAssigned, Event, EventType,
    ids::{OrderId, ProductId},
};
use kernel::{Context, testing::model::Rules};
use member::Members;
use order::domain::{Order, Status};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use saga_tests::{Ask, CONTEXTS, Shop, Work, laws};
use serde_json::{Value as Json, json};
use std::{cell::RefCell, collections::BTreeSet};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody asks for something. It is decided, and on its way to be committed.
    Decide(Ask),
    /// A context reads so many events. What follows from them is on its way to be committed.
    Read(&'static str, usize),
    /// One of the works on their way arrives.
    Arrive(prop::sample::Index),
    /// One of them is lost: its process died.
    Crash(prop::sample::Index),
    /// A context catches up.
    CatchUp(&'static str),
}

/// A shop with work on its way.
struct World {
    shop: Shop,
    on_its_way: Vec<(Work, Option<Ask>)>,
}

impl World {
    fn new(rules: Rules) -> Self {
        let mut shop = Shop::with(rules);
        for (kit, stock) in [(0, 3), (1, 50)] {
            shop.ask(&Ask::Register { product: product(kit), stock }).unwrap();
        }
        Self { shop, on_its_way: vec![] }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Decide(ask) => self.decide(ask),
            Step::Read(context, limit) => {
                let work = self.shop.read(context, limit);
                self.on_its_way.push((work, None));
            }
            Step::Arrive(index) => self.arrive(&index),
            Step::Crash(index) => {
                self.pick(&index);
            }
            Step::CatchUp(context) => self.shop.catch_up(context),
        }
    }

    fn decide(&mut self, ask: Ask) {
        // Refused by the domain: the answer is a 4xx, and nothing is on its way.
        if let Ok(work) = self.shop.decide(&ask) {
            self.on_its_way.push((work, Some(ask)));
        }
    }

    fn arrive(&mut self, index: &prop::sample::Index) {
        if let Some((work, ask)) = self.pick(index)
            && !self.shop.commit(&work)
            && let Some(ask) = ask
        {
            self.decide(ask);
        }
    }

    fn pick(&mut self, index: &prop::sample::Index) -> Option<(Work, Option<Ask>)> {
        let at = (!self.on_its_way.is_empty()).then(|| index.index(self.on_its_way.len()))?;
        Some(self.on_its_way.swap_remove(at))
    }

    /// Everything on its way arrives, everybody catches up, and no order is left waiting for its payment.
    fn come_to_rest(&mut self) {
        for (work, _) in std::mem::take(&mut self.on_its_way) {
            self.shop.commit(&work);
        }
        self.shop.come_to_rest(CONTEXTS);
        for order in (0..ORDERS).map(order) {
            let _ = self.shop.ask(&Ask::GiveUp { order: order.clone() });
            let open = self.shop.order.find::<Order>(&order).is_some_and(|order| order.status == Status::Pending);
            assert!(!open, "{order} is left open");
        }
        self.shop.come_to_rest(CONTEXTS);
    }
}

const ORDERS: usize = 4;

fn order(number: usize) -> OrderId {
    OrderId::new(format!("order-{number}"))
}

fn product(number: usize) -> ProductId {
    ProductId::new(format!("product-{number}"))
}

fn step() -> impl Strategy<Value = Step> {
    let contexts = || prop::sample::select(CONTEXTS.to_vec());
    prop_oneof![
        6 => Ask::any((0..ORDERS).prop_map(order).boxed(), (0..2usize).prop_map(product).boxed()).prop_map(Step::Decide),
        3 => (contexts(), 1..4usize).prop_map(|(context, limit)| Step::Read(context, limit)),
        8 => any::<prop::sample::Index>().prop_map(Step::Arrive),
        1 => any::<prop::sample::Index>().prop_map(Step::Crash),
        3 => contexts().prop_map(Step::CatchUp),
    ]
}

fn stories() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..120)
}

/// What becomes of a shop when all this happens in it.
fn live(rules: Rules, steps: Vec<Step>) -> Result<World, laws::Broken> {
    let mut world = World::new(rules);
    for step in steps {
        world.take(step);
        laws::always(&world.shop)?;
    }
    world.come_to_rest();
    laws::always(&world.shop)?;
    laws::at_rest(&world.shop)?;
    Ok(world)
}

/// Lives so many shops, always the same ones, until a law is broken: says which. `look` sees those where none was.
fn live_many(cases: u32, rules: Rules, look: impl Fn(&Shop)) -> Result<(), laws::Broken> {
    let config = Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let lived = runner.run(&stories(), |steps| {
        look(&live(rules, steps).map_err(TestCaseError::fail)?.shop);
        Ok(())
    });
    match lived {
        Ok(()) => Ok(()),
        Err(TestError::Fail(broken, _)) => Err(broken.to_string()),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_laws_hold_whatever_happens_in_whatever_order(steps in stories()) {
        live(Rules::default(), steps).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn everything_happens_in_these_stories() {
    let seen = RefCell::new(BTreeSet::new());
    live_many(200, Rules::default(), |shop| {
        seen.borrow_mut().extend(shop.log.entries().iter().map(|entry| entry.recorded.event.name()));
    })
    .unwrap();
    // Nothing is poison here, nobody signs in, and whoever delivers does so unasked.
    let elsewhere = [Event::OF_ANY_CONTEXT, Members::APPENDS, &[DeliveryAssigned::TYPE]].concat();
    let possible = EventType::ALL.iter().filter(|event| !elsewhere.contains(event));
    assert_eq!(seen.into_inner(), possible.map(|event| event.as_str()).collect());
}

/// Does in a database, by `sql/context.sql`, what was done here by the rules of the model: the first difference, if there is one.
async fn differs(shop: &Shop) -> Result<(), String> {
    let database = saga_tests::database().await.unwrap();
    let same = |what: String, model: Json, sql: Json| match model == sql {
        true => Ok(()),
        false => Err(format!("{what}: {model} in the model, {sql} in the database")),
    };
    for (number, tried) in shop.log.tried.iter().enumerate() {
        let (sql, units) = tried.sql();
        let committed = database.sql(&sql, vec![units.clone().into()]);
        same(format!("the {number}th unit, {units}"), json!(tried.committed), json!(!committed.is_empty()))?;
    }
    let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    let read = |sql: &str| json(database.sql(sql, vec![])[0][0].text().unwrap());
    let log = shop.log.entries().iter().map(|entry| {
        let event = &entry.recorded;
        json!([event.seq, event.id, format!("/mealkit/{}", entry.source), event.event.name(), event.event.subject()])
    });
    let events =
        "SELECT json_group_array(json_array(seq, id, source, type, subject)) FROM (SELECT * FROM event ORDER BY seq)";
    same("the log".into(), log.collect(), read(events))?;
    for member in shop.members() {
        let (name, table) = (member.name(), member.name().replace('-', "_"));
        let position = format!("SELECT json(position) FROM consumer WHERE name = '{name}'");
        same(format!("where {name} is"), json!(member.position()), read(&position))?;
        let rows = member.rows().into_iter().map(|(kind, id, version, row)| json!([kind, id, version, json(&row)]));
        let sql = format!(
            "SELECT json_group_array(json_array(kind, id, version, json(row))) FROM (SELECT * FROM {table}_row ORDER BY kind, id)"
        );
        same(format!("the rows of {name}"), rows.collect(), read(&sql))?;
    }
    Ok(())
}

fn differ_after(cases: u32, rules: Rules) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let config = Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let compared = runner.run(&stories(), |steps| {
        let mut world = World::new(rules);
        steps.into_iter().for_each(|step| world.take(step));
        world.shop.come_to_rest(CONTEXTS);
        runtime.block_on(differs(&world.shop)).map_err(TestCaseError::fail)
    });
    compared.map_err(|error| error.to_string())
}

#[test]
fn the_database_keeps_the_rules_of_the_model() {
    differ_after(64, Rules::default()).unwrap();
}

// The counter-tests: what makes the laws hold, and that this file would notice.

#[test]
fn without_the_condition_an_order_is_delivered_and_cancelled() {
    let race = |rules| {
        let mut world = World::new(rules);
        let (order, product) = (order(0), product(0));
        world.shop.ask(&Ask::Place { order: order.clone(), product, quantity: 1 }).unwrap();
        world.shop.ask(&Ask::Charge { order: order.clone(), approved: true }).unwrap();
        world.shop.come_to_rest(CONTEXTS);
        // Both are decided before either is committed.
        let cancel = world.shop.decide(&Ask::Cancel { order: order.clone() }).unwrap();
        let complete = world.shop.decide(&Ask::Complete { order }).unwrap();
        let won = (world.shop.commit(&cancel), world.shop.commit(&complete));
        (won, laws::always(&world.shop))
    };
    assert_eq!(race(Rules::default()), ((true, false), Ok(())));
    let (won, broken) = race(Rules { condition: false, ..Rules::default() });
    assert_eq!(won, (true, true));
    assert!(broken.unwrap_err().contains("more than one of"));
}

#[test]
fn without_the_condition_the_laws_break() {
    breaks_without(Rules { condition: false, ..Rules::default() });
}

#[test]
fn without_the_cursor_the_laws_break() {
    breaks_without(Rules { cursor: false, ..Rules::default() });
}

#[test]
fn without_the_versions_the_laws_break() {
    breaks_without(Rules { versions: false, ..Rules::default() });
}

fn breaks_without(rules: Rules) {
    let broken = live_many(5_000, rules, |_| {}).expect_err("some story breaks a law");
    println!("{rules:?}: {broken}");
}

#[test]
fn a_model_with_other_rules_than_the_database_is_noticed() {
    let kept = Rules::default();
    for other in
        [Rules { condition: false, ..kept }, Rules { cursor: false, ..kept }, Rules { versions: false, ..kept }]
    {
        let difference = differ_after(1_000, other).expect_err("some story is told otherwise by the database");
        println!("{other:?}: {difference}");
    }
}
