//! The table of the saga (`contracts::saga`), walked exhaustively: what stands in it is what the contexts do, every step
//! may be heard twice, a failure at each step unwinds those before it, and so may every compensation be heard twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use contracts::{
    Event, EventType,
    saga::{Compensation, FAILURES, STEPS, Step},
    samples,
};
use kernel::testing::model::Entry;
use order::domain::{Order, Status};
use product::domain::Product;
use saga_tests::{About, Ask, CONTEXTS, Shop, contexts, laws, recorded};
use std::collections::BTreeSet;

/// The kits that there are when the saga begins.
const STOCK: u32 = 10;

/// A shop with a kit in it, of which there are so many.
fn shop_with(stock: u32) -> Shop {
    let mut shop = Shop::default();
    shop.ask(&Ask::Register { product: samples::product_id(), stock }).unwrap();
    shop
}

/// A shop where these steps of the saga were taken, and nobody has read on since.
fn shop_after(steps: &[Step]) -> Shop {
    let mut shop = shop_with(STOCK);
    for step in steps {
        take(&mut shop, step);
    }
    shop
}

/// What is asked for over HTTP to take a step.
fn request(step: &Step) -> Ask {
    let order = samples::order_id();
    match samples::of(step.event) {
        Event::OrderPlaced(_) => Ask::Place { order, product: samples::product_id(), quantity: 2 },
        Event::PaymentCompleted(_) => Ask::Charge { order, approved: true },
        Event::DeliveryCompleted(_) => Ask::Complete { order },
        other => panic!("nobody asks for {} over HTTP", other.name()),
    }
}

/// Takes one step: somebody asks for it, or its context reads what happened. Returns what it appended.
fn take(shop: &mut Shop, step: &Step) -> Vec<Entry> {
    if step.whenever.is_empty() {
        let head = shop.log.head();
        shop.ask(&request(step)).unwrap();
        return shop.log.after(head).to_vec();
    }
    catch_up(shop, step.context)
}

/// What a context appends when it reads on.
fn catch_up(shop: &mut Shop, context: &'static str) -> Vec<Entry> {
    let head = shop.log.head();
    shop.catch_up(context);
    shop.log.after(head).to_vec()
}

/// What a context appends when this happens all of a sudden.
fn hear(shop: &mut Shop, context: &'static str, event: EventType) -> Vec<Entry> {
    shop.catch_up(context);
    shop.log.forge(source_of(event), samples::of(event));
    catch_up(shop, context)
}

/// No events.
const NOTHING: [EventType; 0] = [];

fn types(entries: &[Entry]) -> Vec<EventType> {
    entries.iter().map(|entry| entry.recorded.event.event_type()).collect()
}

/// The type of the event that caused this one; none, if a request did.
fn cause(shop: &Shop, entry: &Entry) -> Option<EventType> {
    let cause = shop.log.entries().iter().find(|it| it.recorded.id == entry.recorded.causation_id);
    cause.map(|cause| cause.recorded.event.event_type())
}

/// Every step with those before it.
fn walk() -> impl Iterator<Item = (&'static [Step], &'static Step)> {
    STEPS.iter().enumerate().map(|(at, step)| (&STEPS[..at], step))
}

/// Everything before the pivot: the steps that can be undone.
fn undoable() -> &'static [Step] {
    let pivot = STEPS.iter().position(|step| step.compensation.is_none()).unwrap();
    &STEPS[..pivot]
}

/// Every compensation, with its context and each of the events that set it off.
fn compensations() -> impl Iterator<Item = (&'static str, Compensation, EventType)> {
    let compensations = STEPS.iter().filter_map(|step| Some((step.context, step.compensation?)));
    compensations.flat_map(|(context, undo)| undo.whenever.iter().map(move |event| (context, undo, *event)))
}

fn has_a_step(context: &str) -> bool {
    STEPS.iter().any(|step| step.context == context)
}

/// The contexts in every order in which they can hear of something.
fn orders_of_reading() -> Vec<Vec<&'static str>> {
    fn permute(left: &[&'static str]) -> Vec<Vec<&'static str>> {
        if left.is_empty() {
            return vec![vec![]];
        }
        let all = left.iter().flat_map(|first| {
            let rest: Vec<_> = left.iter().copied().filter(|other| other != first).collect();
            permute(&rest).into_iter().map(move |tail| [vec![*first], tail].concat())
        });
        all.collect()
    }
    // Who has no step in the saga only looks on: they come last.
    let (actors, onlookers): (Vec<_>, Vec<_>) = CONTEXTS.iter().copied().partition(|context| has_a_step(context));
    permute(&actors).into_iter().map(|actors| [actors, onlookers.clone()].concat()).collect()
}

/// All that is left of the order is the memory of it, and the stock is as it was before.
#[track_caller]
fn assert_clean_slate(shop: &Shop, status: Status) {
    laws::always(shop).unwrap();
    laws::at_rest(shop).unwrap();
    laws::clean_slate(shop, &samples::order_id()).unwrap();
    assert_eq!(shop.order.find::<Order>(&samples::order_id()).map(|order| order.status), Some(status));
    let stock = shop.product.find::<Product>(&samples::product_id()).map(|product| product.kit.stock);
    assert_eq!(stock, Some(STOCK));
}

// The table and the contexts say the same

#[test]
fn every_step_is_what_its_context_does() {
    let mut shop = shop_with(STOCK);
    for step in STEPS {
        let happened = take(&mut shop, step);
        assert_eq!(types(&happened), [step.event], "{step:?}");
        assert_eq!(happened[0].source, step.context, "{step:?}");
        match cause(&shop, &happened[0]) {
            Some(cause) => assert!(step.whenever.contains(&cause), "{step:?} was caused by {cause}"),
            None => assert!(step.whenever.is_empty(), "{step:?} was caused by a request"),
        }
    }
    shop.come_to_rest(CONTEXTS);
    laws::at_rest(&shop).unwrap();
    let status = shop.order.find::<Order>(&samples::order_id()).map(|order| order.status);
    assert_eq!(status, Some(Status::Delivered));
}

#[test]
fn every_compensation_is_what_its_context_does() {
    for (context, undo, trigger) in compensations() {
        let mut shop = shop_after(undoable());
        let happened = hear(&mut shop, context, trigger);
        assert_eq!(types(&happened), [undo.event], "{context}, whenever {trigger}");
        assert_eq!(happened[0].source, context);
        assert_eq!(cause(&shop, &happened[0]), Some(trigger));
    }
}

#[test]
fn every_failure_closes_the_order() {
    for (failure, closed) in FAILURES {
        let mut shop = shop_after(&STEPS[..1]);
        assert_eq!(types(&hear(&mut shop, "order", *failure)), [*closed]);
        assert!(STEPS.iter().any(|step| step.or_else == Some(*failure)), "{failure} is a step's failure");
    }
    for failure in STEPS.iter().filter_map(|step| step.or_else) {
        assert!(FAILURES.iter().any(|(known, _)| *known == failure), "{failure} has its line in FAILURES");
    }
}

#[test]
fn no_context_does_more_than_stands_in_the_table() {
    fn acts_on(context: &About) -> BTreeSet<(&'static str, EventType)> {
        let consumed = context.consumes.iter().filter(|event| (context.acts_on)(&recorded(samples::of(**event))));
        consumed.map(|event| (context.name, *event)).collect()
    }
    let (actors, onlookers): (Vec<_>, Vec<_>) = contexts().into_iter().partition(|it| has_a_step(it.name));
    let steps = STEPS.iter().flat_map(|step| step.whenever.iter().map(|event| (step.context, *event)));
    let undone = compensations().map(|(context, _, event)| (context, event));
    let failed = FAILURES.iter().map(|(failure, _)| ("order", *failure));
    let table: BTreeSet<_> = steps.chain(undone).chain(failed).collect();
    assert_eq!(actors.iter().flat_map(acts_on).collect::<BTreeSet<_>>(), table);
    // Marketing tells of everything that it reads; whoever else has no step does nothing but show.
    for context in onlookers {
        let acts = if context.name == "marketing" { context.consumes.len() } else { 0 };
        assert_eq!(acts_on(&context).len(), acts, "{}", context.name);
    }
}

// Twice

#[test]
fn a_step_that_is_asked_for_twice_is_taken_once() {
    for (before, step) in walk().filter(|(_, step)| step.whenever.is_empty()) {
        let mut shop = shop_after(before);
        take(&mut shop, step);
        let head = shop.log.head();
        // Refused or granted without effect: nothing more happens.
        let _ = shop.ask(&request(step));
        assert_eq!(types(shop.log.after(head)), NOTHING, "{step:?}");
    }
}

#[test]
fn a_step_that_is_heard_of_twice_is_taken_once() {
    for (before, step) in walk() {
        for trigger in step.whenever {
            let mut shop = shop_after(before);
            take(&mut shop, step);
            assert_eq!(types(&hear(&mut shop, step.context, *trigger)), NOTHING, "{step:?}");
        }
    }
}

#[test]
fn a_step_that_two_instances_take_at_once_is_taken_once() {
    for (before, step) in walk().filter(|(_, step)| !step.whenever.is_empty()) {
        // Whether it succeeds or fails.
        for stock in [STOCK, 1] {
            let mut shop = shop_with(stock);
            for step in before {
                take(&mut shop, step);
            }
            let head = shop.log.head();
            let twice = [(); 2].map(|()| shop.read(step.context, usize::MAX));
            assert_eq!(twice.map(|work| shop.commit(&work)), [true, false], "{step:?}");
            assert_eq!(shop.log.head(), head + 1, "{step:?}");
        }
    }
}

#[test]
fn a_compensation_that_is_heard_of_twice_is_done_once() {
    for (context, undo, trigger) in compensations() {
        let mut shop = shop_after(undoable());
        assert_eq!(types(&hear(&mut shop, context, trigger)), [undo.event]);
        assert_eq!(types(&hear(&mut shop, context, trigger)), NOTHING, "{context}, whenever {trigger}");
    }
}

#[test]
fn every_compensation_may_be_heard_of_again_after_all_is_undone() {
    for (context, _, trigger) in compensations() {
        let mut shop = shop_after(undoable());
        shop.ask(&Ask::Cancel { order: samples::order_id() }).unwrap();
        shop.come_to_rest(CONTEXTS);
        assert_eq!(types(&hear(&mut shop, context, trigger)), NOTHING, "{context}, whenever {trigger}");
    }
}

#[test]
fn a_compensation_that_two_instances_do_at_once_is_done_once_and_leaves_a_clean_slate() {
    for taken in 1..=undoable().len() {
        for first in orders_of_reading() {
            let mut shop = shop_after(&STEPS[..taken]);
            shop.ask(&Ask::Cancel { order: samples::order_id() }).unwrap();
            // Whoever reads, reads twice at once, again and again until nothing follows any more.
            loop {
                let head = shop.log.head();
                for context in &first {
                    let twice = [(); 2].map(|()| shop.read(context, usize::MAX));
                    let idle = twice[0].unit.is_none();
                    let committed = twice.map(|work| shop.commit(&work));
                    assert!(idle || committed == [true, false], "{context} after {taken} steps: {committed:?}");
                }
                if shop.log.head() == head {
                    break;
                }
            }
            assert_clean_slate(&shop, Status::Cancelled);
        }
    }
}

#[test]
fn what_was_taken_twice_is_undone_once() {
    for taken in 1..=undoable().len() {
        for contexts in orders_of_reading() {
            let mut shop = shop_with(STOCK);
            for step in &STEPS[..taken] {
                take(&mut shop, step);
                // Once more, by the same way: nothing comes of it.
                if step.whenever.is_empty() {
                    let _ = shop.ask(&request(step));
                } else {
                    assert_eq!(types(&catch_up(&mut shop, step.context)), NOTHING, "{step:?}");
                }
            }
            shop.ask(&Ask::Cancel { order: samples::order_id() }).unwrap();
            shop.ask(&Ask::Cancel { order: samples::order_id() }).unwrap();
            shop.come_to_rest(&contexts);
            assert_clean_slate(&shop, Status::Cancelled);
        }
    }
}

// Failure at each step

#[test]
fn a_crash_at_each_step_and_each_compensation_loses_nothing() {
    for taken in 1..=undoable().len() {
        for contexts in orders_of_reading() {
            let mut shop = shop_with(STOCK);
            let crashes = |shop: &mut Shop, context: &'static str| {
                // What was decided is gone with the instance; the next one reads the same again.
                drop(shop.read(context, usize::MAX));
                shop.catch_up(context);
            };
            for step in &STEPS[..taken] {
                if step.whenever.is_empty() {
                    drop(shop.decide(&request(step)).unwrap());
                    shop.ask(&request(step)).unwrap();
                } else {
                    crashes(&mut shop, step.context);
                }
            }
            let cancel = Ask::Cancel { order: samples::order_id() };
            drop(shop.decide(&cancel).unwrap());
            shop.ask(&cancel).unwrap();
            loop {
                let head = shop.log.head();
                contexts.iter().for_each(|context| crashes(&mut shop, context));
                if shop.log.head() == head {
                    break;
                }
            }
            assert_clean_slate(&shop, Status::Cancelled);
        }
    }
}

#[test]
fn a_cancellation_after_each_step_unwinds_it_whoever_hears_of_it_first() {
    for taken in 1..=undoable().len() {
        for contexts in orders_of_reading() {
            let mut shop = shop_after(&STEPS[..taken]);
            shop.ask(&Ask::Cancel { order: samples::order_id() }).unwrap();
            shop.come_to_rest(&contexts);
            assert_clean_slate(&shop, Status::Cancelled);
        }
    }
}

#[test]
fn a_declined_card_unwinds_the_order() {
    for contexts in orders_of_reading() {
        let mut shop = shop_after(&STEPS[..1]);
        shop.ask(&Ask::Charge { order: samples::order_id(), approved: false }).unwrap();
        shop.come_to_rest(&contexts);
        assert_clean_slate(&shop, Status::Rejected);
    }
}

#[test]
fn a_payment_that_does_not_answer_unwinds_the_order_and_is_not_charged_later() {
    for contexts in orders_of_reading() {
        let mut shop = shop_after(&STEPS[..1]);
        shop.ask(&Ask::GiveUp { order: samples::order_id() }).unwrap();
        let late = shop.ask(&Ask::Charge { order: samples::order_id(), approved: true });
        assert_eq!(late, Err("the order is closed, so it is not charged".into()));
        shop.come_to_rest(&contexts);
        assert_clean_slate(&shop, Status::Rejected);
    }
}

#[test]
fn too_few_kits_unwind_the_order() {
    for contexts in orders_of_reading() {
        let mut shop = shop_with(1);
        shop.ask(&request(&STEPS[0])).unwrap();
        shop.ask(&request(&STEPS[1])).unwrap();
        shop.come_to_rest(&contexts);
        // The seller finds some more, and nothing is owed to this order.
        shop.ask(&Ask::Restock { product: samples::product_id(), stock: STOCK }).unwrap();
        shop.come_to_rest(&contexts);
        assert_clean_slate(&shop, Status::Cancelled);
    }
}

#[test]
fn after_the_pivot_nothing_is_undone() {
    let mut shop = shop_after(STEPS);
    let refused = shop.ask(&Ask::Cancel { order: samples::order_id() });
    assert_eq!(refused, Err("the order was delivered, so it cannot be cancelled any more".into()));
    shop.come_to_rest(CONTEXTS);
    laws::at_rest(&shop).unwrap();
}

// Who appends what

fn source_of(event_type: EventType) -> &'static str {
    contexts().iter().find(|it| it.appends.contains(&event_type)).unwrap().name
}

#[test]
fn every_event_is_appended_by_exactly_one_context() {
    for event in EventType::ALL {
        let sources = contexts().iter().filter(|it| it.appends.contains(event)).count();
        assert_eq!(sources, usize::from(!Event::OF_ANY_CONTEXT.contains(event)), "{event}");
    }
}

#[test]
fn contexts_read_and_append_only_what_there_is_and_nobody_reads_what_it_appends() {
    for About { name, consumes, appends, .. } in contexts() {
        for event in consumes.iter().chain(appends) {
            assert!(EventType::ALL.contains(event), "{name} knows {event}, which is in no list");
        }
        assert!(!consumes.iter().any(|event| appends.contains(event)), "{name}");
    }
}

#[test]
fn the_contexts_are_all_there() {
    // Member reads nothing, so it has no part in a story.
    let all = [CONTEXTS, &["member"]].concat();
    assert_eq!(all, manifest::contexts(), "the shop of these tests, and spin.toml");
}
