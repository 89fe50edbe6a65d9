//! Cargo, called from within `cargo run`.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    console::{say, short},
    project::Project,
};

/// A call of cargo in the workspace.
pub fn cargo(project: &Project) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    // What `cargo run` says about this package would be taken for a change by some build scripts.
    for (name, _) in env::vars_os() {
        let about_package = ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|it| name.to_string_lossy().starts_with(it));
        if about_package {
            command.env_remove(name);
        }
    }
    command.env("CARGO_TARGET_DIR", project.target()).current_dir(&project.root);
    command
}

/// Runs a step of a chore: shows it, and how long it took.
pub fn step(command: &mut Command) -> Result<Duration> {
    let line = line(command);
    say(format!("→ {line}"));
    let start = Instant::now();
    let status = command.status().with_context(|| format!("`{line}` did not start; is it installed?"))?;
    let time = start.elapsed();
    if !status.success() {
        bail!("`{line}` failed after {} ({status}); what it printed says why", short(time));
    }
    say(format!("  done in {}", short(time)));
    Ok(time)
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
