//! What `spin.toml` says: which contexts there are, and what the deployment must agree with.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness for tests: whatever goes wrong is a failed test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};
use toml::{Table, Value};

/// In clusters: the Redis without its password (`cargo xtask manifest --cluster`).
const REDIS_HOST: &str = "redis_host";

/// `spin.toml`, as it is derived for a cluster.
pub struct Manifest {
    /// The variables, each with its default.
    pub variables: BTreeMap<String, Option<String>>,
    /// The components.
    pub components: BTreeMap<String, Component>,
    /// The public paths, each with the component that answers there; without the journal's, which has all the rest.
    pub routes: BTreeMap<String, String>,
    /// The contexts, in the order in which the journal has them.
    pub contexts: Vec<String>,
}

/// The names of the contexts, as `spin.toml` has them.
pub fn contexts() -> Vec<String> {
    Manifest::read().contexts
}

/// A component.
pub struct Component {
    /// The variables of the application that it uses.
    pub variables: BTreeSet<String>,
    /// The labels of its databases.
    pub databases: BTreeSet<String>,
    /// The labels of its key-value stores.
    pub stores: BTreeSet<String>,
}

impl Manifest {
    /// Reads `spin.toml`.
    pub fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spin.toml");
        Self::parse(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    /// Reads a manifest.
    pub fn parse(text: &str) -> Self {
        let table: Table = text.parse().unwrap_or_else(|error| panic!("spin.toml: {error}"));
        let variables = table["variables"].as_table().expect("variables").iter();
        let variables = variables.map(|(name, it)| {
            let default = it.get("default").and_then(Value::as_str).map(str::to_owned);
            (name.clone(), default)
        });
        let wakes = |id: &str| {
            let triggers = table["trigger"].get("redis").and_then(Value::as_array);
            triggers.is_some_and(|them| them.iter().any(|it| it["component"].as_str() == Some(id)))
        };
        let components = table["component"].as_table().expect("components").iter();
        let components = components.map(|(id, it)| (id.clone(), Component::of(it, wakes(id))));
        let routes = table["trigger"]["http"].as_array().expect("routes").iter();
        let routes = routes.filter_map(|it| {
            let path = it["route"].as_str()?.trim_end_matches("/...");
            (!path.is_empty()).then(|| (path.to_owned(), it["component"].as_str().expect("a component").to_owned()))
        });
        let named = table["component"]["journal"]["variables"]["contexts"].as_str().expect("the journal's contexts");
        let contexts = named.lines().map(|line| line.split_once(" = ").expect("name = url").0.to_owned());
        let redis_host = (REDIS_HOST.to_owned(), Some(String::new()));
        Self {
            variables: variables.chain([redis_host]).collect(),
            components: components.collect(),
            routes: routes.collect(),
            contexts: contexts.collect(),
        }
    }
}

impl Component {
    fn of(table: &Value, wakes: bool) -> Self {
        let labels = |key: &str| {
            let labels = table.get(key).and_then(Value::as_array).into_iter().flatten();
            labels.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let own = table.get("variables").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let own = own.filter_map(Value::as_str).flat_map(names);
        let hosts: BTreeSet<String> = labels("allowed_outbound_hosts");
        let hosts = hosts.iter().flat_map(|host| names(host));
        let hosts = hosts.map(|name| if name == "redis_address" { REDIS_HOST.to_owned() } else { name });
        let bell = wakes.then(|| "redis_address".to_owned());
        Self {
            variables: own.chain(hosts).chain(bell).collect(),
            databases: labels("sqlite_databases"),
            stores: labels("key_value_stores"),
        }
    }
}

/// The variables in a template.
fn names(template: &str) -> Vec<String> {
    let parts = template.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
    parts.map(|(name, _)| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever wakes up on a bell reads the log; the journal makes exactly those catch up, each at its own address.
    #[test]
    fn the_journal_names_everybody_who_reads_the_log() {
        let Manifest { components, contexts, .. } = Manifest::read();
        let readers = components.iter().filter(|(_, it)| it.variables.contains("redis_address")).map(|(id, _)| id);
        assert_eq!(contexts.iter().collect::<BTreeSet<_>>(), readers.collect());
        let addresses = contexts.iter().map(|id| format!("{}_url", id.replace('-', "_")));
        let all = ["allowed_origins", "shop_key"].map(str::to_owned);
        assert_eq!(components["journal"].variables, addresses.chain(all).collect());
    }
}
