//! Cancel racing complete: one wins. And without the condition in the unit of work both do, which these tests notice.

use tests::{Mode, Shop, all_at_once, own, text};

own!(of_cancel_and_complete_exactly_one_wins_each_time, without_the_condition_both_may_win);

/// How many orders are raced for.
const RACES: usize = 100;
/// How many of them at the same time.
const SIDE_BY_SIDE: usize = 4;
/// How long a command waits between deciding and committing, so that they truly race.
const DELAY_MS: u32 = 3;

/// What became of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Cancelled,
    Delivered,
    Both,
}

fn of_cancel_and_complete_exactly_one_wins_each_time(mode: Mode) {
    let shop = Shop::start(mode).variable("commit_delay_ms", DELAY_MS).open();
    let outcomes = races(&shop, true);
    let count = |outcome| outcomes.iter().filter(|it| **it == outcome).count();
    assert_eq!(count(Outcome::Both), 0, "both won: {outcomes:?}");
    assert_eq!(count(Outcome::Cancelled) + count(Outcome::Delivered), RACES);
    eprintln!("{} cancelled, {} delivered", count(Outcome::Cancelled), count(Outcome::Delivered));
}

fn without_the_condition_both_may_win(mode: Mode) {
    let shop = Shop::start(mode).variable("commit_delay_ms", DELAY_MS).open();
    // The components make their tables when they are first asked.
    shop.get("/orders").is(200);
    shop.get("/deliveries").is(200);
    shop.remove_condition("order");
    shop.remove_condition("delivery");
    let outcomes = races(&shop, false);
    assert!(outcomes.contains(&Outcome::Both), "nobody would notice if the condition were missing: {outcomes:?}");
}

fn races(shop: &Shop, sound: bool) -> Vec<Outcome> {
    let kit = shop.kit(RACES as u32);
    let races = all_at_once(SIDE_BY_SIDE, |_| {
        (0..RACES / SIDE_BY_SIDE).map(|_| race(shop, &shop.order_under_way(&kit, 1).id, sound)).collect::<Vec<_>>()
    });
    races.concat()
}

fn race(shop: &Shop, order: &str, sound: bool) -> Outcome {
    let delivery = text(&shop.delivery(order).expect("a delivery")["id"]);
    let paths = [format!("/orders/{order}/cancel"), format!("/deliveries/{delivery}/complete")];
    let answers = all_at_once(2, |which| shop.act(&paths[which]));
    let events = shop.events(order);
    let outcome = match (events.all("OrderCancelled").len(), events.all("DeliveryCompleted").len()) {
        (1, 0) => Outcome::Cancelled,
        (0, 1) => Outcome::Delivered,
        (1, 1) => Outcome::Both,
        _ => panic!("neither won, or one twice: {:?} {} {}", events.types(), answers[0], answers[1]),
    };
    if sound {
        let (winner, loser) = match outcome {
            Outcome::Cancelled => (&answers[0], &answers[1]),
            _ => (&answers[1], &answers[0]),
        };
        winner.is(200);
        loser.problem(409);
        assert_consistent(shop, order, outcome);
    }
    outcome
}

/// All contexts agree on who won.
fn assert_consistent(shop: &Shop, order: &str, outcome: Outcome) {
    let expected = match outcome {
        Outcome::Cancelled => ["cancelled", "cancelled", "cancelled"],
        Outcome::Delivered => ["delivered", "completed", "completed"],
        Outcome::Both => unreachable!("it is sound"),
    };
    let shown = [
        shop.status(order),
        text(&shop.payment(order).unwrap()["status"]),
        text(&shop.delivery(order).unwrap()["status"]),
    ];
    assert_eq!(shown, expected, "{:?}", shop.events(order).types());
}
