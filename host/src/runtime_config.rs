//! Where databases and key-value stores are: the runtime config (`--runtime-config-file`) and its defaults.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::key_value::StoreFile;

/// What is behind the labels.
pub struct RuntimeConfig {
    /// `[sqlite_database.<label>]`
    pub databases: BTreeMap<String, Location>,
    /// `[key_value_store.<label>]`
    pub stores: BTreeMap<String, Arc<StoreFile>>,
}

/// Where a database is.
#[derive(Clone)]
pub enum Location {
    /// An SQLite file.
    File(PathBuf),
    /// A libSQL server.
    LibSql {
        /// `http://…`
        url: String,
        /// What the server knows us by; anything, if it asks for none.
        token: String,
    },
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
    #[serde(flatten)]
    options: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Local {
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibSql {
    url: String,
    token: String,
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
        let mut databases = BTreeMap::new();
        for (label, backend) in file.sqlite_database {
            let location = backend.database(&base).with_context(|| format!("sqlite_database.{label}"))?;
            databases.insert(label, location);
        }
        databases.entry("default".to_string()).or_insert_with(|| Location::File(state_directory.join("sqlite_db.db")));
        let mut stores = BTreeMap::new();
        for (label, backend) in file.key_value_store {
            let path = backend.store(&base).with_context(|| format!("key_value_store.{label}"))?;
            stores.insert(label, path);
        }
        stores.entry("default".to_string()).or_insert_with(|| state_directory.join("sqlite_key_value.db"));
        let files = databases.values().filter_map(|location| match location {
            Location::File(path) => Some(path),
            Location::LibSql { .. } => None,
        });
        for file in files.chain(stores.values()) {
            if let Some(directory) = file.parent() {
                std::fs::create_dir_all(directory)
                    .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
            }
        }
        let stores = stores.into_iter().map(|(label, path)| (label, Arc::new(StoreFile::new(&path)))).collect();
        Ok(Self { databases, stores })
    }
}

impl Backend {
    fn database(self, base: &Path) -> Result<Location> {
        match self.r#type.as_str() {
            "spin" => self.file(base).map(Location::File),
            "libsql" => {
                let LibSql { url, token } = self.options.try_into()?;
                ensure!(url.starts_with("http://"), "this host reaches libSQL over http:// only, not at `{url}`");
                Ok(Location::LibSql { url, token })
            }
            other => bail!("this host doesn't do the type `{other}`, only `spin` and `libsql`"),
        }
    }

    fn store(self, base: &Path) -> Result<PathBuf> {
        ensure!(self.r#type == "spin", "this host doesn't do the type `{}`, only `spin`", self.r#type);
        self.file(base)
    }

    fn file(self, base: &Path) -> Result<PathBuf> {
        let Local { path } = self.options.try_into()?;
        Ok(base.join(path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

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
        assert!(matches!(config.databases.get("other").unwrap(), Location::File(path) if path.is_absolute()));
        assert!(config.stores.contains_key("default"));
    }

    #[test]
    fn a_database_may_be_a_libsql_server() {
        let config = "[sqlite_database.default]\ntype = \"libsql\"\nurl = \"http://db:8080\"\ntoken = \"secret\"";
        let config = read(config).unwrap();
        let Location::LibSql { url, token } = config.databases.get("default").unwrap() else { panic!("a file") };
        assert_eq!((url.as_str(), token.as_str()), ("http://db:8080", "secret"));
    }

    #[test]
    fn what_it_does_not_do_is_refused_by_name() {
        for (toml, named) in [
            ("[key_value_store.default]\ntype = \"redis\"\nurl = \"redis://x\"", "`redis`"),
            ("[sqlite_database.default]\ntype = \"libsql\"\nurl = \"libsql://x\"\ntoken = \"x\"", "`libsql://x`"),
            ("[sqlite_database.default]\ntype = \"libsql\"\nurl = \"https://x\"\ntoken = \"x\"", "`https://x`"),
            ("[sqlite_database.default]\ntype = \"libsql\"\nurl = \"http://x\"", "`token`"),
            ("[sqlite_database.default]\ntype = \"postgres\"", "`postgres`"),
            ("[key_value_store.default]\ntype = \"libsql\"", "`libsql`"),
            ("[sqlite_database.a]\ntype = \"spin\"\npath = \"a\"\nmode = 1", "`mode`"),
            ("[llm_compute]\ntype = \"spin\"", "`llm_compute`"),
        ] {
            let error = format!("{:#}", read(toml).err().unwrap());
            assert!(error.contains(named), "{error}");
        }
    }
}
