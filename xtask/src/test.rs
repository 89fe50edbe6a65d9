//! `cargo xtask test`: builds what the tests need, and runs them all.

use std::{
    io::{BufRead, BufReader},
    ops::AddAssign,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{
    build,
    cargo::{cargo, line},
    console::{leave_out, print, say, short},
    project::Project,
    redis::Redis,
};

/// Build what the tests need, and run them all.
#[derive(Args)]
pub struct Test {
    /// Run only the tests whose names contain this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// What cargo test counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    filtered: u64,
}

impl Test {
    /// Builds and tests. Every step is run, even when tests failed before it.
    pub fn run(self, project: &Project) -> Result<()> {
        let start = Instant::now();
        let has_redis = check_redis()?;
        let mut times = vec![("components", build::components(project, &["fixture", "newcomer"])?)];
        times.push(("host", build::host(project)?));
        let manifest = project.write_http_manifest()?;

        let (mut counts, mut all_passed) = (Counts::default(), true);
        // The host in release, so that wasmtime is compiled only once; the rest unoptimised, which builds faster.
        let of_host: &[&str] = &["--release", "-p", "mealkit-host"];
        let others: &[&str] = &["--workspace", "--exclude", "mealkit-host"];
        for (name, packages) in [("tests of the host", of_host), ("all other tests", others)] {
            let mut command = cargo(project);
            command.args(["test", "--no-fail-fast"]).args(packages).args(&self.filter);
            environment(&mut command, project, &manifest, has_redis);
            let run = run_tests(&mut command)?;
            counts += run.counts;
            all_passed &= run.passed;
            times.push((name, run.time));
        }
        for (name, time) in times {
            say(format!("{name:>24}: {}", short(time)));
        }
        print(counts.summary(all_passed, start.elapsed()));
        ensure!(all_passed, "tests failed, or did not compile; `cargo xtask test --filter NAME` runs one alone");
        let asked_for = self.filter.map(|filter| format!(" whose name contains `{filter}`")).unwrap_or_default();
        ensure!(counts.passed > 0, "there was no test{asked_for}");
        Ok(())
    }
}

/// Whether there is a redis-server for the tests. In CI there must be.
fn check_redis() -> Result<bool> {
    if Redis::is_installed() {
        return Ok(true);
    }
    leave_out("The tests with Redis are left out: install `redis-server`, with apt-get or brew (`redis`).")?;
    Ok(false)
}

/// What the black-box tests need to know.
fn environment(command: &mut Command, project: &Project, http_manifest: &Path, has_redis: bool) {
    command.env("MEALKIT_HOST", project.host());
    command.env("MEALKIT_MANIFEST", project.spin_toml());
    command.env("MEALKIT_MANIFEST_HTTP", http_manifest);
    if !has_redis {
        command.env("MEALKIT_NO_REDIS", "1");
    }
}

struct Run {
    counts: Counts,
    passed: bool,
    time: Duration,
}

/// Runs cargo test, showing what it prints, and counts.
fn run_tests(command: &mut Command) -> Result<Run> {
    let line = line(command);
    say(format!("→ {line}"));
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{line}` did not start"))?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut counts = Counts::default();
    for text in BufReader::new(output).split(b'\n') {
        let text = text?;
        let text = String::from_utf8_lossy(&text);
        print(&text);
        counts += Counts::of(&text);
    }
    let status = child.wait()?;
    let time = start.elapsed();
    let end = if status.success() { "done in" } else { "FAILED after" };
    say(format!("  {end} {}", short(time)));
    Ok(Run { counts, passed: status.success(), time })
}

impl Counts {
    /// What a line like `test result: ok. 3 passed; 0 failed; …` counts.
    fn of(line: &str) -> Self {
        let Some((_, result)) = line.split_once("test result: ") else { return Self::default() };
        let (_, counts) = result.split_once(". ").unwrap_or_default();
        let count = |what: &str| {
            let part = counts.split("; ").find_map(|part| part.strip_suffix(what));
            part.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
        };
        Self {
            passed: count("passed"),
            failed: count("failed"),
            ignored: count("ignored"),
            filtered: count("filtered out"),
        }
    }

    /// All of it, as cargo test would have said it. What did not compile has failed, too.
    fn summary(self, all_passed: bool, time: Duration) -> String {
        let Self { passed, failed, ignored, filtered } = self;
        let word = if all_passed { "ok" } else { "FAILED" };
        let seconds = time.as_secs_f64();
        format!(
            "test result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {filtered} filtered out; \
             finished in {seconds:.2}s"
        )
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.filtered += other.filtered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_is_said() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.05s";
        let counts = Counts::of(line);
        assert_eq!(counts, Counts { passed: 12, failed: 3, ignored: 1, filtered: 7 });
        assert_eq!(Counts::of("test it ... ok"), Counts::default());
        assert_eq!(counts.summary(false, Duration::from_millis(50)), line);
    }
}
