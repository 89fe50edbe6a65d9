//! `spin.toml`, version 2, as far as this host knows it. What it does not know it refuses by name: a shop that
//! works here must not depend on something that was silently left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use toml::{Table, Value};

/// An application: its components and what wakes them.
#[derive(Debug)]
pub struct Manifest {
    /// The variables that whoever starts the application can set.
    pub variables: BTreeMap<String, Variable>,
    /// `[[trigger.http]]`, in the order of the file.
    pub http: Vec<HttpTrigger>,
    /// `[[trigger.redis]]`, in the order of the file, each with its address.
    pub redis: Vec<RedisTrigger>,
    /// `[component.<id>]`.
    pub components: BTreeMap<String, Component>,
}

/// A variable of the application.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its value, unless somebody sets another.
    pub default: Option<String>,
    /// Without a default somebody has to set it.
    #[serde(default)]
    pub required: bool,
    #[serde(default, rename = "secret")]
    _secret: bool,
    #[serde(rename = "description")]
    _description: Option<String>,
}

/// A route, and the component that answers on it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    /// The id of the component.
    pub component: String,
    /// Where it answers.
    pub route: Route,
    #[serde(rename = "id")]
    _id: Option<String>,
}

/// Where a component answers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Route {
    /// A path (`/health`), or a path with all that is below it (`/orders/...`).
    Public(String),
    /// Only other components reach it, by service chaining.
    Private(Private),
}

/// `route = { private = true }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    private: bool,
}

/// A Redis channel, and the component that its messages wake up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisTrigger {
    /// The id of the component.
    pub component: String,
    /// The channel; a template.
    pub channel: String,
    /// The server; a template. Taken from `[application.trigger.redis]` where the trigger names none.
    #[serde(default)]
    pub address: String,
    #[serde(rename = "id")]
    _id: Option<String>,
}

/// A component and what it may touch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// What it is for, in words.
    pub description: Option<String>,
    /// The `.wasm` file, relative to the manifest.
    pub source: Value,
    /// Where it may connect to; templates.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// The labels of the databases that it may open.
    #[serde(default)]
    pub sqlite_databases: Vec<String>,
    /// The labels of the key-value stores that it may open.
    #[serde(default)]
    pub key_value_stores: Vec<String>,
    /// Its variables; templates.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(rename = "build")]
    _build: Option<Table>,
}

impl Component {
    /// The path of the `.wasm` file.
    pub fn source(&self) -> Result<&str> {
        match &self.source {
            Value::String(path) => Ok(path),
            _ => bail!("`source` is not a path; this host does only files that are there already"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    #[serde(rename = "spin_manifest_version")]
    _version: Value,
    application: Value,
    #[serde(default)]
    variables: Table,
    #[serde(default)]
    trigger: Table,
    #[serde(default)]
    component: Table,
}

/// `[[trigger.<kind>]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    #[serde(default)]
    http: Vec<Value>,
    #[serde(default)]
    redis: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
    #[serde(default)]
    trigger: ApplicationTriggers,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationTriggers {
    #[serde(default)]
    redis: RedisDefaults,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisDefaults {
    #[serde(default)]
    address: String,
}

impl Manifest {
    /// Reads the manifest in a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("{} cannot be read; name the manifest with --from, or start where it is", path.display())
        })?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads the manifest in a text.
    pub fn parse(text: &str) -> Result<Self> {
        // Section by section, so that an error can say in which one it is.
        let table: Table = text.parse()?;
        let version = table.get("spin_manifest_version");
        ensure!(
            version == Some(&Value::Integer(2)),
            "spin_manifest_version must be 2; this host doesn't do other versions"
        );
        let sections: Sections = section("the manifest", Value::Table(table))?;
        let application: Application = section("application", sections.application)?;

        let mut variables = BTreeMap::new();
        for (name, value) in sections.variables {
            let place = format!("variables.{name}");
            ensure!(is_snake_case(&name), "{place}: write the name in lower snake_case");
            let variable: Variable = section(&place, value)?;
            ensure!(
                variable.required != variable.default.is_some(),
                "{place}: give it either a `default` or `required = true`"
            );
            variables.insert(name, variable);
        }

        let mut components = BTreeMap::new();
        for (id, value) in sections.component {
            let place = format!("component.{id}");
            ensure!(is_kebab_case(&id), "{place}: write the id in kebab-case");
            let component: Component = section(&place, value)?;
            component.source().context(place.clone())?;
            for name in component.variables.keys() {
                ensure!(is_snake_case(name), "{place}.variables.{name}: write the name in lower snake_case");
            }
            components.insert(id, component);
        }

        let triggers: Triggers = section("trigger", Value::Table(sections.trigger))?;
        let mut http = Vec::new();
        for value in triggers.http {
            let trigger: HttpTrigger = section("trigger.http", value)?;
            match &trigger.route {
                Route::Public(route) => check_route(route)?,
                Route::Private(Private { private }) => ensure!(
                    *private,
                    "trigger.http of `{}`: a route is a path or {{ private = true }}",
                    trigger.component
                ),
            }
            http.push(trigger);
        }
        let mut redis = Vec::new();
        for value in triggers.redis {
            let mut trigger: RedisTrigger = section("trigger.redis", value)?;
            if trigger.address.is_empty() {
                trigger.address.clone_from(&application.trigger.redis.address);
            }
            ensure!(
                !trigger.address.is_empty(),
                "trigger.redis of `{}`: no address; set one in [application.trigger.redis]",
                trigger.component
            );
            redis.push(trigger);
        }

        let manifest = Self { variables, http, redis, components };
        manifest.check_references()?;
        manifest.check_chaining()?;
        Ok(manifest)
    }

    fn check_references(&self) -> Result<()> {
        let http = self.http.iter().map(|trigger| ("http", &trigger.component));
        let redis = self.redis.iter().map(|trigger| ("redis", &trigger.component));
        for (kind, id) in http.chain(redis) {
            ensure!(self.components.contains_key(id), "trigger.{kind}: there is no [component.{id}]");
        }
        let mut routes = BTreeSet::new();
        for trigger in &self.http {
            if let Route::Public(route) = &trigger.route {
                ensure!(routes.insert(route), "trigger.http: the route `{route}` is given twice");
            }
        }
        Ok(())
    }

    /// Spin has no service chaining in its Redis trigger, and refuses an application that asks for it there. What is named
    /// through a variable it does not look into; such a call then fails when it is made.
    fn check_chaining(&self) -> Result<()> {
        for trigger in &self.redis {
            let Some(component) = self.components.get(&trigger.component) else {
                continue;
            };
            for host in &component.allowed_outbound_hosts {
                let literal = !host.contains("{{");
                if literal && host.trim_end_matches('/').ends_with(".spin.internal") {
                    bail!(
                        "component `{}` stands in the Redis trigger, where there is no service chaining, but its \
                         allowed_outbound_hosts names `{host}`; name it through a variable (\"{{{{ some_url }}}}\") \
                         and make the call in the HTTP trigger only",
                        trigger.component
                    );
                }
            }
        }
        Ok(())
    }
}

fn section<T: DeserializeOwned>(place: &str, value: Value) -> Result<T> {
    value.try_into().map_err(|error: toml::de::Error| {
        let message = error.message();
        match message.split_once(", expected") {
            Some((unknown, known)) if unknown.starts_with("unknown field") => {
                anyhow::anyhow!("{place}: {unknown}; this host doesn't do that (it knows{known})")
            }
            _ => anyhow::anyhow!("{place}: {message}"),
        }
    })
}

fn check_route(route: &str) -> Result<()> {
    ensure!(route.starts_with('/'), "trigger.http: the route `{route}` must start with a slash");
    let path = route.strip_suffix("/...").unwrap_or(route);
    for segment in path.split('/') {
        ensure!(
            !segment.starts_with(':') && !segment.contains(['*', '{']) && segment != "...",
            "trigger.http: the route `{route}` has a `{segment}`; this host knows exact routes and routes that end in `/...`"
        );
    }
    Ok(())
}

fn is_kebab_case(id: &str) -> bool {
    id.split('-').all(|word| {
        let lower = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let upper = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && (lower || upper)
    })
}

fn is_snake_case(name: &str) -> bool {
    name.split('_').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"shop\"\n";

    fn refusal(toml: &str) -> String {
        format!("{:#}", Manifest::parse(&format!("{HEAD}{toml}")).unwrap_err())
    }

    #[test]
    fn what_it_does_not_know_is_refused_by_name() {
        for (toml, place, name) in [
            ("[component.order]\nsource = \"a\"\nfiles = []", "component.order", "`files`"),
            (
                "[component.order]\nsource = \"a\"\n[component.order.dependencies]\na = \"b\"",
                "component.order",
                "`dependencies`",
            ),
            ("[component.order]\nsource = \"a\"\nai_models = []", "component.order", "`ai_models`"),
            ("[variables]\na = { default = \"\", secretive = true }", "variables.a", "`secretive`"),
            ("[[trigger.cron]]\ncomponent = \"a\"", "trigger", "`cron`"),
            ("[[trigger.http]]\ncomponent = \"a\"\nroute = \"/\"\nexecutor = {}", "trigger.http", "`executor`"),
            ("[[trigger.redis]]\ncomponent = \"a\"\nchannel = \"c\"\npattern = \"*\"", "trigger.redis", "`pattern`"),
            ("[application.trigger.redis]\naddress = \"a\"\ntls = true", "application", "`tls`"),
            ("[targets]", "the manifest", "`targets`"),
        ] {
            let refusal = refusal(toml);
            assert!(refusal.contains(place) && refusal.contains(name), "{toml}: {refusal}");
            assert!(refusal.contains("this host doesn't do that"), "{refusal}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let component = "[component.a]\nsource = \"a.wasm\"\n";
        for (toml, words) in [
            ("[component.MyOrder]\nsource = \"a\"".to_string(), "component.MyOrder"),
            ("[component.my_order]\nsource = \"a\"".to_string(), "kebab-case"),
            ("[component.a]\nsource = { url = \"x\", digest = \"y\" }".to_string(), "component.a"),
            ("[variables]\nMy-Name = { default = \"\" }".to_string(), "snake_case"),
            ("[variables]\na = {}".to_string(), "variables.a"),
            ("[[trigger.http]]\ncomponent = \"b\"\nroute = \"/\"".to_string(), "[component.b]"),
            (format!("{component}[[trigger.http]]\ncomponent = \"a\"\nroute = \"/:id\""), ":id"),
            (
                format!("{component}[[trigger.http]]\ncomponent = \"a\"\nroute = {{ private = false }}"),
                "private = true",
            ),
            (format!("{component}[[trigger.redis]]\ncomponent = \"a\"\nchannel = \"c\""), "no address"),
        ] {
            let refusal = refusal(&toml);
            assert!(refusal.contains(words), "{toml}: {refusal}");
        }
        assert!(Manifest::parse("spin_manifest_version = 3").is_err());
    }

    #[test]
    fn chaining_from_the_redis_trigger_is_refused_unless_a_variable_names_it() {
        let toml = |host: &str| {
            format!(
                "{HEAD}[application.trigger.redis]\naddress = \"redis://x\"\n[component.order]\nsource = \"a\"\n\
                 allowed_outbound_hosts = [\"{host}\"]\n[[trigger.redis]]\ncomponent = \"order\"\nchannel = \"c\""
            )
        };
        for host in ["http://payment.spin.internal", "http://*.spin.internal/"] {
            let refusal = Manifest::parse(&toml(host)).unwrap_err().to_string();
            assert!(refusal.contains("`order`") && refusal.contains(host), "{refusal}");
        }
        Manifest::parse(&toml("{{ payment_url }}")).unwrap();
    }

    #[test]
    fn the_table_for_builds_is_known() {
        let toml = "[component.a]\nsource = \"a.wasm\"\n[component.a.build]\ncommand = \"cargo build\"\nwatch = []";
        let manifest = Manifest::parse(&format!("{HEAD}{toml}")).unwrap();
        assert_eq!(manifest.components.get("a").unwrap().source().unwrap(), "a.wasm");
    }
}
