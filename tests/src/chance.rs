//! Chance that can be had again: everything at random comes from one seed.

/// Numbers at random, from a seed.
pub type Chance = fastrand::Rng;

/// The seed of a test: `MEALKIT_SEED`, or a new one. Printed, so that it can be given again.
pub fn seed() -> u64 {
    let given = std::env::var("MEALKIT_SEED").ok().map(|seed| seed.parse().expect("MEALKIT_SEED is a number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    eprintln!("MEALKIT_SEED={seed}");
    seed
}
