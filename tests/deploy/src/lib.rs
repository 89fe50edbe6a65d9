//! What a team needs to run the shop for real is in `deploy/` and `.github/`. This crate holds it to what can be known
//! without a cluster: that the overlays render, that every object is valid, that whatever one names is there, and that
//! the network lets in whom it should and nobody else.
//!
//! Each check is a function that lists what is wrong ([`checks`], [`network`]), so that a test can also show that it
//! would notice. Tools from outside (kubectl, promtool, …) are run where they are; see [`Tool`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness for tests: whatever goes wrong is a failed test"
)]

pub mod checks;
pub mod network;
mod objects;
mod tools;

pub use objects::{Object, Objects, string, strings};
pub use tools::Tool;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The overlays that somebody applies.
pub const OVERLAYS: [&str; 4] = ["local", "local-split", "aks", "aks-split"];

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a YAML text.
pub fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("not YAML: {error}"))
}

/// All files of the repository below this folder with this ending, without what is built.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match path.is_dir() {
                true if name == "target" || name == ".git" || name == ".spin" => {}
                true => folders.push(path),
                false if name.ends_with(ending) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}
