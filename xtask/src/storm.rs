//! `cargo xtask storm`: all faults mixed for a long time, on the bundled host. See `tests/src/storm.rs`.

use anyhow::Result;
use clap::Args;

use crate::{
    build,
    cargo::{cargo, step},
    project::Project,
};

/// Attack the running shop for a long time, and audit what is left.
#[derive(Args)]
pub struct Storm {
    /// As the storm takes them: --minutes N --seed S --sabotage condition|cursor
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Storm {
    /// Builds the shop, and lets the storm rage.
    pub fn run(self, project: &Project) -> Result<()> {
        build::components(project, &[])?;
        build::host(project)?;
        let mut storm = cargo(project);
        storm.args(["run", "-p", "tests", "--bin", "storm", "--"]).args(self.arguments);
        step(&mut storm).map(drop)
    }
}
