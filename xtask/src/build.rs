//! `cargo xtask build`, and what the other commands need built.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cargo::{cargo, step},
    console::{print, say},
    manifest::build_arguments,
    project::Project,
};

const TARGET: &str = "wasm32-wasip2";

/// Builds the components and the host, and prints how large the components are.
pub fn run(project: &Project) -> Result<()> {
    components(project, &[])?;
    host(project)?;
    for component in project.manifest.components()? {
        let path = project.root.join(&component.source);
        let size = fs::metadata(&path).with_context(|| format!("there is no {}", path.display()))?.len();
        print(format!("{:>16} {:>6} kB", component.id, size.div_ceil(1000)));
    }
    Ok(())
}

/// Prints the ids of the components. Each is the name of its cargo package, too, or it is an error: scripts build by it.
pub fn list(project: &Project) -> Result<()> {
    for component in project.manifest.components()? {
        let (id, package) = (component.id, component.package);
        ensure!(id == package, "the component `{id}` is built from the package `{package}`; call both the same");
        print(id);
    }
    Ok(())
}

/// Builds all components in one call, and the packages named besides.
pub fn components(project: &Project, besides: &[&str]) -> Result<Duration> {
    wasm_target(project)?;
    let arguments = build_arguments(&project.manifest.components()?, besides)?;
    step(cargo(project).args(arguments))
}

/// Builds the bundled host.
pub fn host(project: &Project) -> Result<Duration> {
    if !project.host().is_file() {
        say("The host is built for the first time: with wasmtime, that takes some minutes.");
    }
    step(cargo(project).args(["build", "--release", "-p", "mealkit-host"]))
}

/// Sees to it that the toolchain can build for WebAssembly.
pub fn wasm_target(project: &Project) -> Result<()> {
    let rustc = || {
        let mut rustc = Command::new("rustc");
        rustc.current_dir(&project.root);
        rustc
    };
    let libraries = rustc().args(["--print", "target-libdir", "--target", TARGET]).output();
    let libraries = libraries.context("`rustc` did not start; install Rust with https://rustup.rs")?;
    if Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir() {
        return Ok(());
    }
    say(format!("The target {TARGET} is missing in this toolchain; rustup adds it."));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(&project.root);
    match rustup.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            bail!("`rustup target add {TARGET}` failed ({status}); what it printed says why. Then start this again.")
        }
        Err(_) => {
            let version = rustc().arg("--version").output().map(|it| it.stdout).unwrap_or_default();
            bail!(
                "the target {TARGET} is missing in {}, and there is no rustup that could add it. Install Rust with \
                 https://rustup.rs, or the package of your distribution that has the standard library for {TARGET}; then \
                 start this again.",
                String::from_utf8_lossy(&version).trim()
            )
        }
    }
}
