//! `cargo xtask deployment`: what `deploy/` takes from `spin.toml`, so that nobody types out the components there.
//!
//! A file that holds such a list is written by hand down to a line that says so ([`MARK`]); what follows is generated.

use std::{fmt::Write, fs, path::PathBuf};

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, Table};

use crate::{
    console::say,
    manifest::{Bells, REDIS},
    project::Project,
};

/// What stands below this line is generated.
const MARK: &str = "# Generated from spin.toml, from here to the end: `cargo xtask deployment`.\n";

/// Writes anew what is not what `spin.toml` says.
pub fn run(project: &Project) -> Result<()> {
    for (path, text) in files(project)? {
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
            say(format!("{} is written", path.display()));
        }
    }
    Ok(())
}

/// Every file with something in it that `spin.toml` says, as it ought to be.
fn files(project: &Project) -> Result<Vec<(PathBuf, String)>> {
    let deploy = project.root.join("deploy");
    let spinkube = deploy.join("spinkube");
    let read = |path: &str| {
        let path = spinkube.join(path);
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let scale: DocumentMut = read("split/scale.toml")?.parse().context("split/scale.toml")?;
    let apps = project.manifest.components()?.into_iter().map(|it| App::read(project, &it.id, &scale));
    let apps = apps.collect::<Result<Vec<_>>>()?;
    let template = |template: String| move |app: &App| app.fill(&template);
    let shop: DocumentMut = fs::read_to_string(project.spin_toml())?.parse()?;
    let version = shop.get("application").and_then(|it| it.get("version")).and_then(Item::as_str);
    let version = version.context("spin.toml has no version")?;
    let none = "0".repeat(64);
    let generated = [
        ("split/apps.yaml", concat(&apps, template(read("split/app.yaml.template")?))),
        ("split/network.yaml", network(&apps)),
        ("components/redis/kustomization.yaml", redis(&apps)),
        (
            "components/keda-split/scaled-object.yaml",
            concat(&apps, template(read("components/keda-split/scaled-object.yaml.template")?)),
        ),
        ("overlays/aks/routes.yaml", whole_routes(&apps)),
        ("overlays/aks-split/routes.yaml", split_routes(&apps)),
        ("overlays/local/ingress.yaml", concat(&apps, |app| app.ingress("mealkit"))),
        ("overlays/local-split/ingress.yaml", concat(&apps, |app| app.ingress(&app.name()))),
        (
            "overlays/aks-split/kustomization.yaml",
            concat(&apps, |app| app.image("ghcr.io/example", &format!("digest: sha256:{none}"))),
        ),
        (
            "overlays/local-split/kustomization.yaml",
            concat(&apps, |app| app.image("k3d-mealkit.localhost:5000", &format!("newTag: {version}"))),
        ),
    ];
    let mut files = Vec::new();
    for (path, generated) in generated {
        let text = read(path)?;
        let (by_hand, _) = text.split_once(MARK).with_context(|| format!("{path} has no line `{}`", MARK.trim()))?;
        files.push((spinkube.join(path), format!("{by_hand}{MARK}{generated}")));
    }
    let cloud = deploy.join("fermyon-cloud");
    files.push((cloud.join("spin.toml"), project.manifest.http_only(&project.root, &cloud)?));
    Ok(files)
}

fn concat(apps: &[App], text: impl Fn(&App) -> String) -> String {
    apps.iter().map(text).collect()
}

/// A component as an app of its own.
struct App {
    id: String,
    description: String,
    /// The first parts of the paths that it answers on; none for the journal, which has all the rest.
    routes: Vec<String>,
    /// The components that it calls.
    calls: Vec<String>,
    /// Its variables that are set otherwise than by default, each with where its value comes from.
    variables: Vec<(String, Source)>,
    has_store: bool,
    /// Whether a Redis, where there is one, wakes it or is rung by it.
    has_bells: bool,
    cpu: String,
    replicas: (i64, i64),
}

/// Where the value of a variable comes from.
enum Source {
    Secret,
    ConfigMap,
    /// The default of the manifest, to be seen, and to be changed by those who bring a Redis.
    Text(String),
    /// Another app.
    App(String),
}

impl App {
    /// Reads a component from the manifest that a release derives for it alone.
    fn read(project: &Project, id: &str, scale: &DocumentMut) -> Result<Self> {
        let derive = |bells| -> Result<DocumentMut> {
            Ok(project.manifest.cluster(Some(id), bells, &project.root, &project.root)?.parse()?)
        };
        let derived = derive(Bells::Http)?;
        let has_bells = derive(Bells::Redis)?.get("variables").is_some_and(|it| it.get(REDIS).is_some());
        let component = derived.get("component").and_then(|it| it.get(id)).context("the component is gone")?;
        let texts = |key: &str| -> Vec<String> {
            let list = component.get(key).and_then(Item::as_array).into_iter().flatten();
            list.filter_map(|it| it.as_str().map(str::to_owned)).collect()
        };
        let hosts = texts("allowed_outbound_hosts");
        let ids: Vec<_> = project.manifest.components()?.into_iter().map(|it| it.id).collect();
        let declared = derived.get("variables").and_then(Item::as_table_like).context("there is no [variables]")?;
        let mut variables = Vec::new();
        for (name, variable) in declared.iter() {
            let owner = ids.iter().find(|id| name == format!("{}_url", id.replace('-', "_")));
            let source = match owner {
                Some(owner) => Source::App(owner.clone()),
                None if is_secret(variable) => Source::Secret,
                None if name == "bell" => {
                    let default = variable.get("default").and_then(Item::as_str);
                    Source::Text(default.context("`bell` has no default")?.to_owned())
                }
                // What it may connect to outside of the shop.
                None if hosts.contains(&format!("{{{{ {name} }}}}")) => Source::ConfigMap,
                None => continue,
            };
            variables.push((name.to_owned(), source));
        }
        let calls = variables.iter().filter_map(|(_, source)| match source {
            Source::App(id) => Some(id.clone()),
            _ => None,
        });
        let scale = scale.get(id).or_else(|| scale.get("default")).context("scale.toml has no default")?;
        let replicas = |at: usize| {
            let list = scale.get("replicas").and_then(Item::as_array);
            list.and_then(|it| it.get(at)).and_then(toml_edit::Value::as_integer)
        };
        Ok(Self {
            id: id.to_owned(),
            description: component.get("description").and_then(Item::as_str).unwrap_or(id).to_owned(),
            routes: routes(&derived, id),
            calls: calls.collect(),
            has_store: !texts("key_value_stores").is_empty(),
            has_bells,
            cpu: scale.get("cpu").and_then(Item::as_str).context("scale.toml: cpu is missing")?.to_owned(),
            replicas: replicas(0).zip(replicas(1)).context("scale.toml: replicas is not [least, most]")?,
            variables,
        })
    }

    fn name(&self) -> String {
        format!("mealkit-{}", self.id)
    }

    /// Whether it answers on every path that nobody else has, and is asked for the health of all.
    fn is_journal(&self) -> bool {
        self.routes.is_empty()
    }

    fn fill(&self, template: &str) -> String {
        let (live, ready) = match self.is_journal() {
            true => ("/health/live", "/health/ready"),
            false => ("/.well-known/spin/health", "/internal/ready"),
        };
        // The journal sees how far behind the furthest is.
        let lag_of = if self.is_journal() { String::new() } else { format!("{{context=\"{}\"}}", self.id) };
        let (min, max) = self.replicas;
        [
            ("{id}", self.id.clone()),
            ("{description}", self.description.clone()),
            ("{cpu}", self.cpu.clone()),
            ("{min}", min.to_string()),
            ("{max}", max.to_string()),
            ("{live}", live.to_owned()),
            ("{ready}", ready.to_owned()),
            ("{lag_of}", lag_of),
            ("{variables}", self.variables()),
        ]
        .iter()
        .fold(template.to_owned(), |text, (place, value)| text.replace(place, value))
    }

    fn variables(&self) -> String {
        let mut text = "  variables:\n".to_owned();
        for (name, source) in &self.variables {
            let reference = |kind: &str| {
                let key = name.replace('_', "-");
                format!("      valueFrom:\n        {kind}:\n          name: mealkit\n          key: {key}\n")
            };
            let value = match source {
                Source::Secret => reference("secretKeyRef"),
                Source::ConfigMap => reference("configMapKeyRef"),
                Source::Text(text) => format!("      value: {text}\n"),
                Source::App(id) => format!("      value: http://mealkit-{id}\n"),
            };
            text.push_str(&format!("    - name: {name}\n{value}"));
        }
        text
    }

    fn ingress(&self, service: &str) -> String {
        let path = |route: &String| {
            format!(
                "          - path: {route}\n            pathType: Prefix\n            backend:\n              service:\n                \
                 name: {service}\n                port:\n                  number: 80\n"
            )
        };
        self.routes.iter().map(path).collect()
    }

    fn image(&self, registry: &str, version: &str) -> String {
        let name = self.name();
        format!("  - name: {name}\n    newName: {registry}/{name}\n    {version}\n")
    }
}

fn is_secret(variable: &Item) -> bool {
    variable.get("secret").and_then(Item::as_bool) == Some(true)
}

/// Who may reach whom: the journal all others, and whoever calls another that one.
fn network(apps: &[App]) -> String {
    let policy = |comment: String, name: &str, selector: String, from: String| {
        format!(
            "---\n{comment}apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\nspec:\n  podSelector:\n\
             {selector}  policyTypes: [Ingress]\n  ingress:\n    - from:\n{from}      ports:\n        - port: http-app\n"
        )
    };
    let peer = |name: String| {
        format!("        - podSelector:\n            matchLabels:\n              core.spinkube.dev/app-name: {name}\n")
    };
    let (journal, contexts): (Vec<_>, Vec<_>) = apps.iter().partition(|app| app.is_journal());
    let names: String = contexts.iter().map(|app| format!("          - {}\n", app.name())).collect();
    let selector = format!(
        "    matchExpressions:\n      - key: core.spinkube.dev/app-name\n        operator: In\n        values:\n{names}"
    );
    let comment = "# The contexts: for the journal, which makes them catch up.\n".to_owned();
    let mut text = policy(comment, "contexts", selector, journal.iter().map(|app| peer(app.name())).collect());
    for app in &contexts {
        let callers: Vec<_> = contexts.iter().filter(|other| other.calls.contains(&app.id)).collect();
        if !callers.is_empty() {
            let ids = callers.iter().map(|it| it.id.as_str()).collect::<Vec<_>>().join(" and ");
            let selector = format!("    matchLabels:\n      core.spinkube.dev/app-name: {}\n", app.name());
            let comment = format!("# {}: for {ids}, whom it answers.\n", app.id);
            text.push_str(&policy(comment, &app.id, selector, callers.iter().map(|it| peer(it.name())).collect()));
        }
    }
    text
}

/// What a Redis in the cluster changes, and in which apps. (In the default shape one app has all components.)
fn redis(apps: &[App]) -> String {
    let patch = |path: &str, fits: fn(&App) -> bool| {
        let names = apps.iter().filter(|app| fits(app)).map(App::name);
        let names: Vec<_> = ["mealkit".to_owned()].into_iter().chain(names).collect();
        format!("  - path: {path}\n    target: {{kind: SpinApp, name: {}}}\n", names.join("|"))
    };
    patch("bells.yaml", |app| app.has_bells) + &patch("stores.yaml", |app| app.has_store)
}

fn whole_routes(apps: &[App]) -> String {
    let mut text = "  rules:\n    - matches:\n".to_owned();
    for route in apps.iter().flat_map(|app| &app.routes) {
        let _ = writeln!(text, "        - path: {{type: PathPrefix, value: {route}}}");
    }
    text + "      backendRefs:\n        - name: mealkit\n          port: 80\n"
}

fn split_routes(apps: &[App]) -> String {
    let mut text = "  rules:\n".to_owned();
    for (app, route) in apps.iter().flat_map(|app| app.routes.iter().map(move |route| (app, route))) {
        let matches = format!("    - matches:\n        - path: {{type: PathPrefix, value: {route}}}\n");
        text.push_str(&format!("{matches}      backendRefs:\n        - name: {}\n          port: 80\n", app.name()));
    }
    text
}

/// The public paths of a component, without `/...`.
fn routes(manifest: &DocumentMut, id: &str) -> Vec<String> {
    let http =
        manifest.get("trigger").and_then(|it| it.get("http")).and_then(Item::as_array_of_tables).into_iter().flatten();
    let text = |trigger: &Table, key: &str| trigger.get(key).and_then(Item::as_str).unwrap_or_default().to_owned();
    let own = http.filter(|trigger| text(trigger, "component") == id);
    let paths = own.map(|trigger| text(trigger, "route").trim_end_matches("/...").to_owned());
    paths.filter(|path| !path.is_empty() && path != "/internal").collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_committed_is_what_spin_toml_says() {
        let files = files(&Project::find().unwrap()).unwrap();
        let stale = files.into_iter().filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text));
        let stale: Vec<_> = stale.map(|(path, _)| path).collect();
        assert!(stale.is_empty(), "{stale:?}: write them anew with `cargo xtask deployment`");
    }
}
