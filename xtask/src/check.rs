//! `cargo xtask check`: the format and the lints, natively and for WebAssembly.

use anyhow::Result;

use crate::{
    build::wasm_target,
    cargo::{cargo, step},
    console::say,
    project::Project,
};

/// Checks the format and lints.
pub fn run(project: &Project) -> Result<()> {
    step(cargo(project).args(["fmt", "--all", "--check"]))?;
    step(cargo(project).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    wasm_target(project)?;
    let components = project.manifest.components()?;
    let packages = components.iter().map(|it| it.package.as_str()).chain(["fixture", "newcomer"]);
    let mut clippy = cargo(project);
    clippy.args(["clippy", "--target", "wasm32-wasip2"]).args(packages.flat_map(|package| ["-p", package]));
    step(clippy.args(["--", "-D", "warnings"]))?;
    say("The format and the lints are fine.");
    Ok(())
}
