//! `cargo xtask`: the chores of this workspace, each one command.
//!
//! Nothing here is needed to run the shop: `spin build && spin up` does without it.

mod app;
mod bench;
mod build;
mod cargo;
mod check;
mod client;
mod console;
mod deployment;
mod load;
mod manifest;
mod people;
mod process;
mod project;
mod redis;
mod seed;
mod spin;
mod storm;
mod test;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{console::say, project::Project};

/// The chores of mealkit.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the shop and run it, on Spin if it is installed, else on the bundled host
    Up(up::Up),
    /// Print an access token of somebody of the shop that `up --seed` started, for curl
    Token(people::Token),
    /// Build the components and the host, and say how large the components are
    Build,
    /// List the components, one a line, for scripts
    Components,
    /// Check the format, lint the native code and the components, and hold the lock file to deny.toml
    Check,
    /// Build what the tests need, and run them all
    Test(test::Test),
    /// Derive a manifest from spin.toml
    Manifest(manifest::Derive),
    /// Write anew what deploy/ takes from spin.toml
    Deployment,
    /// Measure the shop on the bundled host; it asserts nothing
    Bench(bench::Bench),
    /// Attack the shop for a long time (--minutes N --seed S), and audit what is left
    Storm(storm::Storm),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    let project = Project::find()?;
    match command {
        Command::Up(up) => up.run(&project).await,
        Command::Token(token) => token.run(&project).await,
        Command::Build => build::run(&project),
        Command::Components => build::list(&project),
        Command::Check => check::run(&project),
        Command::Test(test) => test.run(&project),
        Command::Manifest(derive) => derive.run(&project),
        Command::Deployment => deployment::run(&project),
        Command::Bench(bench) => bench.run(&project).await,
        Command::Storm(storm) => storm.run(&project),
    }
}
