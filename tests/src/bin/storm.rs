//! `cargo xtask storm`: the long form of the storm. It prints a table, and fails when anything was lost, doubled or wrong.

use clap::{Parser, ValueEnum};
use std::{process::ExitCode, time::Duration};
use tests::{Fault, Storm};

#[derive(Parser)]
struct Cli {
    /// How long
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// What happens, and in which order; a new one if it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Breaks the shop first, to see that the auditor notices
    #[arg(long)]
    sabotage: Option<Sabotage>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sabotage {
    /// Commands commit whatever they decided
    Condition,
    /// My page's cursor moves in a statement of its own
    Cursor,
}

fn main() -> ExitCode {
    let Cli { minutes, seed, sabotage } = Cli::parse();
    let sabotage = sabotage.map(|sabotage| match sabotage {
        Sabotage::Condition => tests::Sabotage::Condition,
        Sabotage::Cursor => tests::Sabotage::Cursor,
    });
    let seed = seed.unwrap_or_else(tests::seed);
    eprintln!("A storm of {minutes} minutes, --seed {seed}");
    let storm = Storm { time: Duration::from_secs(60 * minutes), pace: Duration::from_millis(250), seed, sabotage };
    let outcome = storm.rage();
    println!("\n{}\n{} kills; {}", outcome.table(), outcome.times(Fault::Kill), outcome.report);
    if outcome.report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
