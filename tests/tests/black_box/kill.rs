//! The power goes, again and again, at any moment. Afterwards the books balance.

use tests::{Fault, Mode, Scene, Shop, own, seed};

own!(whatever_is_killed_the_books_balance);

fn whatever_is_killed_the_books_balance(mode: Mode) {
    let mut scene = Scene::open(Shop::start(mode), seed());
    for _ in 0..8 {
        scene.strike(Fault::Kill);
    }
    scene.end().assert_balanced(100);
}
