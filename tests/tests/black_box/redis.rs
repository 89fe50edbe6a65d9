//! Bells under fire: Redis goes and comes, and what it carries is lost, repeated and put into the wrong order.

use tests::{Fault, Mode, Scene, Shop, run_own, seed};

#[test]
fn whatever_becomes_of_the_bells_the_books_balance() {
    run_own(Mode::Redis, |mode| {
        let mut scene = Scene::open(Shop::start(mode), seed());
        for fault in [Fault::RedisDown, Fault::BellsLost, Fault::BellsTwisted, Fault::RedisDown] {
            scene.strike(fault);
        }
        scene.end().assert_balanced(40);
    });
}
