//! Where databases and key-value stores are: the runtime config (`--runtime-config-file`) and its defaults.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::key_value::StoreFile;

/// The files behind the labels.
pub struct RuntimeConfig {
    /// `[sqlite_database.<label>]`
    pub databases: BTreeMap<String, PathBuf>,
    /// `[key_value_store.<label>]`
    pub stores: BTreeMap<String, Arc<StoreFile>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    sqlite_database: BTreeMap<String, Backend>,
    #[serde(default)]
    key_value_store: BTreeMap<String, Backend>,
}

#[derive(Deserialize)]
struct Backend {
    r#type: String,
    path: Option<PathBuf>,
    #[serde(flatten)]
    rest: toml::Table,
}

impl RuntimeConfig {
    /// Reads a file, if there is one; what it does not name lies in the state directory.
    pub fn read(path: Option<&Path>, state_directory: &Path) -> Result<Self> {
        let (file, base) = match path {
            None => (File::default(), PathBuf::new()),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("the runtime config {} cannot be read", path.display()))?;
                let file = toml::from_str(&text).with_context(|| path.display().to_string())?;
                (file, path.parent().unwrap_or(Path::new("")).to_path_buf())
            }
        };
        let mut databases = files("sqlite_database", file.sqlite_database, &base)?;
        databases.entry("default".to_string()).or_insert_with(|| state_directory.join("sqlite_db.db"));
        let mut stores = files("key_value_store", file.key_value_store, &base)?;
        stores.entry("default".to_string()).or_insert_with(|| state_directory.join("sqlite_key_value.db"));
        for file in databases.values().chain(stores.values()) {
            if let Some(directory) = file.parent() {
                std::fs::create_dir_all(directory)
                    .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
            }
        }
        let stores = stores.into_iter().map(|(label, path)| (label, Arc::new(StoreFile::new(&path)))).collect();
        Ok(Self { databases, stores })
    }
}

fn files(kind: &str, backends: BTreeMap<String, Backend>, base: &Path) -> Result<BTreeMap<String, PathBuf>> {
    backends
        .into_iter()
        .map(|(label, backend)| {
            let place = format!("{kind}.{label}");
            ensure!(
                backend.r#type == "spin",
                "{place}: this host doesn't do the type `{}`, only `spin`",
                backend.r#type
            );
            let unknown = backend.rest.keys().next();
            ensure!(
                unknown.is_none(),
                "{place}: this host doesn't do `{}`, only `type` and `path`",
                unknown.map_or("", String::as_str)
            );
            let path = backend.path.with_context(|| format!("{place}: give it a `path`"))?;
            Ok((label, base.join(path)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(toml: &str) -> Result<RuntimeConfig> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runtime.toml");
        std::fs::write(&path, toml).unwrap();
        RuntimeConfig::read(Some(&path), directory.path())
    }

    #[test]
    fn there_is_a_default_database_and_a_default_store() {
        let config = read("[sqlite_database.other]\ntype = \"spin\"\npath = \"other.db\"").unwrap();
        assert_eq!(config.databases.keys().collect::<Vec<_>>(), ["default", "other"]);
        assert!(config.databases.get("other").unwrap().is_absolute());
        assert!(config.stores.contains_key("default"));
    }

    #[test]
    fn what_it_does_not_do_is_refused_by_name() {
        for (toml, named) in [
            ("[key_value_store.default]\ntype = \"redis\"\nurl = \"redis://x\"", "`redis`"),
            ("[sqlite_database.default]\ntype = \"libsql\"\nurl = \"x\"\ntoken = \"x\"", "`libsql`"),
            ("[sqlite_database.a]\ntype = \"spin\"\npath = \"a\"\nmode = 1", "`mode`"),
            ("[llm_compute]\ntype = \"spin\"", "`llm_compute`"),
        ] {
            let error = format!("{:#}", read(toml).err().unwrap());
            assert!(error.contains(named), "{error}");
        }
    }
}
