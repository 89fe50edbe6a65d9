//! `spin.toml`: what it says, and the manifests that are derived from it: without Redis, and for a cluster.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component as Segment, Path, PathBuf, absolute},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, value};

use crate::{
    console::{print, say},
    project::Project,
};

/// The variable that names the Redis.
pub const REDIS: &str = "redis_address";

/// In a cluster: the same without the credentials. `allowed_outbound_hosts` takes no others.
const REDIS_HOST: &str = "redis_host";

/// Where components reach each other when they are deployed apart. The gateway routes nothing there.
const PRIVATE_ROUTE: &str = "/internal/...";

/// Derive a manifest from spin.toml.
#[derive(Args)]
pub struct Derive {
    #[command(flatten)]
    kind: Kind,
    /// With --cluster: one component alone, to be deployed apart from the others
    #[arg(long, value_name = "ID", requires = "cluster")]
    component: Option<String>,
    /// Where to write it; printed if it is not given, with paths that are right beside spin.toml
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Kind {
    /// The shop without Redis: the bells ring by HTTP, and only the HTTP trigger is left
    #[arg(long)]
    http_only: bool,
    /// The shop for a cluster: its Redis, if it has one, may have a password
    #[arg(long)]
    cluster: bool,
}

/// How the bells ring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bells {
    /// By pub/sub: with the Redis trigger, and an address of a Redis.
    Redis,
    /// By calls of the journal: with neither.
    Http,
}

impl Derive {
    /// Derives the manifest.
    pub fn run(self, project: &Project) -> Result<()> {
        let derive = |directory: &Path| {
            let (manifest, root) = (&project.manifest, &project.root);
            let bells = if self.kind.http_only { Bells::Http } else { Bells::Redis };
            match self.kind.cluster {
                true => manifest.cluster(self.component.as_deref(), bells, root, directory),
                false => manifest.http_only(root, directory),
            }
        };
        match &self.output {
            Some(path) => {
                write(path, derive)?;
                say(format!("{} is written; run it with `spin up -f {0}`", path.display()));
            }
            None => print(derive(&project.root)?.trim_end()),
        }
        Ok(())
    }
}

/// Writes a manifest that is derived for the folder that it goes to.
fn write(output: &Path, derive: impl FnOnce(&Path) -> Result<String>) -> Result<()> {
    let output = absolute(output)?;
    let directory = output.parent().context("name a file")?;
    fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    fs::write(&output, derive(directory)?).with_context(|| format!("{} cannot be written", output.display()))
}

/// A manifest of Spin.
pub struct Manifest {
    document: DocumentMut,
}

/// How a component is built, and what comes of it.
pub struct Component {
    /// Its id.
    pub id: String,
    /// The `.wasm` file, relative to the manifest.
    pub source: PathBuf,
    /// The cargo package that it is built from.
    pub package: String,
    /// The other words of the call of cargo.
    pub arguments: Vec<String>,
}

impl Manifest {
    /// Reads a manifest.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        Ok(Self { document: text.parse()? })
    }

    /// The components, in the order of the file.
    pub fn components(&self) -> Result<Vec<Component>> {
        let components = table(self.document.as_table(), "component").context("there is no [component.…]")?;
        components.iter().map(|(id, item)| Component::of(id, item).with_context(|| format!("component.{id}"))).collect()
    }

    /// The default of a variable.
    pub fn default(&self, variable: &str) -> Option<&str> {
        self.document.get("variables")?.get(variable)?.get("default")?.as_str()
    }

    /// Writes the manifest without Redis to `output`.
    pub fn write_http_only(&self, root: &Path, output: &Path) -> Result<()> {
        write(output, |directory| self.http_only(root, directory))
    }

    /// The manifest without Redis, to be put into `directory`; this one is in `root`.
    pub fn http_only(&self, root: &Path, directory: &Path) -> Result<String> {
        let mut document = self.document.clone();
        let root_table = document.as_table_mut();
        remove_redis(root_table)?;
        move_sources(root_table, root, directory)?;
        Ok(titled("--http-only", &document))
    }

    /// The manifest for a cluster, to be put into `directory`; this one is in `root`. With `only`, that component alone:
    /// it answers on its own routes, and on the private one that its fellows reach by service chaining elsewhere.
    pub fn cluster(&self, only: Option<&str>, bells: Bells, root: &Path, directory: &Path) -> Result<String> {
        let mut document = self.document.clone();
        let root_table = document.as_table_mut();
        let without = match bells {
            Bells::Redis => {
                split_redis_address(root_table)?;
                ""
            }
            Bells::Http => {
                remove_redis(root_table)?;
                " --http-only"
            }
        };
        if let Some(id) = only {
            keep_component(root_table, id)?;
        }
        move_sources(root_table, root, directory)?;
        let component = only.map(|id| format!(" --component {id}")).unwrap_or_default();
        Ok(titled(&format!("--cluster{without}{component}"), &document))
    }
}

fn titled(arguments: &str, document: &DocumentMut) -> String {
    let title = format!("# Derived from spin.toml by `cargo xtask manifest {arguments}`; change that one.\n\n");
    format!("{title}{}", document.to_string().trim_start())
}

impl Component {
    fn of(id: &str, item: &Item) -> Result<Self> {
        let text = |item: Option<&Item>| item.and_then(Item::as_str).map(str::to_owned);
        let source = text(item.get("source")).context("`source` is not a path")?;
        let command =
            text(item.get("build").and_then(|build| build.get("command"))).context("build.command is missing")?;
        let mut words = command.split_whitespace().map(str::to_owned);
        ensure!(words.next().as_deref() == Some("cargo"), "build.command is no call of cargo: `{command}`");
        let (mut arguments, mut package) = (Vec::new(), None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "-p" | "--package" => package = words.next(),
                _ => arguments.push(word),
            }
        }
        let package = package.with_context(|| format!("build.command names no package with -p: `{command}`"))?;
        Ok(Self { id: id.to_owned(), source: source.into(), package, arguments })
    }
}

/// One call of cargo that builds all components, and the packages named besides.
pub fn build_arguments(components: &[Component], besides: &[&str]) -> Result<Vec<String>> {
    let Some(first) = components.first() else { bail!("spin.toml has no components") };
    for component in components {
        ensure!(
            component.arguments == first.arguments,
            "the build commands of `{}` and `{}` differ in more than the package; make them alike, so that one call of \
             cargo can build both",
            first.id,
            component.id
        );
    }
    let packages: BTreeSet<_> =
        components.iter().map(|it| it.package.as_str()).chain(besides.iter().copied()).collect();
    let packages = packages.into_iter().flat_map(|package| ["-p".to_owned(), package.to_owned()]);
    Ok(first.arguments.iter().cloned().chain(packages).collect())
}

fn table<'a>(parent: &'a Table, key: &str) -> Option<&'a dyn TableLike> {
    parent.get(key)?.as_table_like()
}

fn table_mut<'a>(parent: &'a mut Table, key: &str) -> Option<&'a mut dyn TableLike> {
    parent.get_mut(key)?.as_table_like_mut()
}

/// Takes away the Redis trigger, and every address of a Redis: the bells ring by HTTP.
fn remove_redis(root: &mut Table) -> Result<()> {
    remove_redis_trigger(root);
    set_bell(root)?;
    for component in components_mut(root)? {
        remove_redis_address(component?);
    }
    Ok(())
}

/// The tables of the components.
fn components_mut(root: &mut Table) -> Result<impl Iterator<Item = Result<&mut dyn TableLike>>> {
    let components = table_mut(root, "component").context("there is no [component.…]")?;
    Ok(components
        .iter_mut()
        .map(|(id, it)| it.as_table_like_mut().with_context(|| format!("component.{} is no table", id.get()))))
}

/// Takes away `[[trigger.redis]]` and `[application.trigger.redis]`.
fn remove_redis_trigger(root: &mut Table) {
    if let Some(triggers) = table_mut(root, "trigger") {
        triggers.remove("redis");
    }
    if let Some(application) = table_mut(root, "application") {
        let triggers = application.get_mut("trigger").and_then(Item::as_table_like_mut);
        let left = triggers.is_some_and(|triggers| {
            triggers.remove("redis");
            !triggers.is_empty()
        });
        if !left {
            application.remove("trigger");
        }
    }
}

/// The bells ring by service chaining, and there is no address of a Redis.
fn set_bell(root: &mut Table) -> Result<()> {
    let variables = table_mut(root, "variables").context("there is no [variables]")?;
    variables.remove(REDIS);
    let bell = variables.get_mut("bell").and_then(Item::as_table_like_mut);
    let bell = bell.context("there is no variable `bell`")?;
    bell.insert("default", value("http"));
    Ok(())
}

fn remove_redis_address(component: &mut dyn TableLike) {
    let named = |item: &toml_edit::Value| item.as_str().is_some_and(|text| text.contains(REDIS));
    if let Some(hosts) = component.get_mut("allowed_outbound_hosts").and_then(Item::as_array_mut) {
        hosts.retain(|host| !named(host));
        if let Some(first) = hosts.iter_mut().next()
            && first.decor().prefix().and_then(|it| it.as_str()) == Some(" ")
        {
            first.decor_mut().set_prefix("");
        }
    }
    if let Some(variables) = component.get_mut("variables").and_then(Item::as_table_like_mut) {
        let keys = variables.iter().filter(|(_, item)| item.as_value().is_some_and(named));
        for key in keys.map(|(key, _)| key.to_owned()).collect::<Vec<_>>() {
            variables.remove(&key);
        }
    }
}

/// The address of the Redis may hold its password: it becomes a secret, and what a component may connect to is a
/// variable of its own.
fn split_redis_address(root: &mut Table) -> Result<()> {
    let variables = table_mut(root, "variables").context("there is no [variables]")?;
    let address = variables.get_mut(REDIS).and_then(Item::as_table_like_mut).context("there is no redis_address")?;
    let host = address.get("default").cloned().unwrap_or_else(|| value(""));
    address.insert("secret", value(true));
    address.fmt();
    let mut redis_host = InlineTable::new();
    redis_host.insert("default", host.into_value().unwrap_or_else(|_| "".into()));
    variables.insert(REDIS_HOST, value(redis_host));
    let components = table_mut(root, "component").context("there is no [component.…]")?;
    for (_, component) in components.iter_mut() {
        let hosts = component.get_mut("allowed_outbound_hosts").and_then(Item::as_array_mut);
        for host in hosts.into_iter().flat_map(|hosts| hosts.iter_mut()) {
            if let Some(text) = host.as_str().filter(|text| text.contains(REDIS)) {
                let renamed = text.replace(REDIS, REDIS_HOST);
                let decor = host.decor().clone();
                *host = renamed.into();
                *host.decor_mut() = decor;
            }
        }
    }
    Ok(())
}

/// Leaves one component, its triggers, and the variables that they use.
fn keep_component(root: &mut Table, id: &str) -> Result<()> {
    let components = table_mut(root, "component").context("there is no [component.…]")?;
    ensure!(components.contains_key(id), "spin.toml has no component `{id}`");
    let others = components.iter().map(|(other, _)| other.to_owned()).filter(|other| other != id);
    for other in others.collect::<Vec<_>>() {
        components.remove(&other);
    }
    let triggers = table_mut(root, "trigger").context("there is no [[trigger.…]]")?;
    for kind in ["http", "redis"] {
        if let Some(triggers) = triggers.get_mut(kind).and_then(Item::as_array_of_tables_mut) {
            triggers.retain(|trigger| trigger.get("component").and_then(Item::as_str) == Some(id));
        }
    }
    let http =
        triggers.get_mut("http").and_then(Item::as_array_of_tables_mut).context("there is no [[trigger.http]]")?;
    let everything = http.iter().any(|trigger| trigger.get("route").and_then(Item::as_str) == Some("/..."));
    if !everything {
        let mut private = Table::new();
        private.insert("route", value(PRIVATE_ROUTE));
        private.insert("component", value(id));
        http.push(private);
    }
    let wakes = triggers.get("redis").and_then(Item::as_array_of_tables).is_some_and(|redis| !redis.is_empty());
    if !wakes {
        remove_redis_trigger(root);
    }
    if let Some(application) = table_mut(root, "application") {
        let name = application.get("name").and_then(Item::as_str).unwrap_or_default();
        let name = value(format!("{name}-{id}"));
        application.insert("name", name);
    }
    let mut others = root.clone();
    others.remove("variables");
    let others = DocumentMut::from(others).to_string();
    let variables = table_mut(root, "variables").context("there is no [variables]")?;
    let unused = variables.iter().map(|(name, _)| name.to_owned());
    let unused = unused.filter(|name| !others.contains(&format!("{{{{ {name} }}}}")));
    for name in unused.collect::<Vec<_>>() {
        variables.remove(&name);
    }
    Ok(())
}

fn move_sources(root_table: &mut Table, root: &Path, directory: &Path) -> Result<()> {
    components_mut(root_table)?.try_for_each(|component| move_source(component?, root, directory))
}

/// Keeps the path of the `.wasm` file right. What builds it stays with the original: its paths count from there.
fn move_source(component: &mut dyn TableLike, root: &Path, directory: &Path) -> Result<()> {
    if root == directory {
        return Ok(());
    }
    let source = component.get("source").and_then(Item::as_str).context("`source` is not a path")?;
    let moved = relative(&root.join(source), directory);
    component.insert("source", value(moved.display().to_string()));
    component.remove("build");
    Ok(())
}

/// The way from a directory to a file; both are absolute.
fn relative(file: &Path, directory: &Path) -> PathBuf {
    let shared = file.components().zip(directory.components()).take_while(|(a, b)| a == b).count();
    let up = directory.components().skip(shared).map(|_| Segment::ParentDir);
    up.chain(file.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shop() -> Manifest {
        Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../spin.toml")).unwrap()
    }

    #[test]
    fn one_call_of_cargo_builds_all_components() {
        let components = shop().components().unwrap();
        let line = build_arguments(&components, &["fixture"]).unwrap().join(" ");
        assert_eq!(line.matches(" -p ").count(), components.len() + 1, "{line}");
        assert!(line.starts_with("build --profile component --target wasm32-wasip2 -p customer-center -p"), "{line}");
        assert!(line.contains(" -p fixture "), "{line}");
    }

    #[test]
    fn the_derived_manifest_knows_no_redis() {
        let text = shop().http_only(Path::new("/a"), Path::new("/a")).unwrap();
        let derived = Manifest::parse(&text).unwrap();
        assert_eq!(derived.default("bell"), Some("http"));
        let code = text.lines().map(|line| line.split('#').next().unwrap());
        let left: Vec<_> = code.filter(|line| line.contains("redis")).collect();
        assert_eq!(left, Vec::<&str>::new());
        assert!(derived.document.get("application").unwrap().get("trigger").is_none());
    }

    #[test]
    fn the_derived_manifest_keeps_everything_else_and_its_comments() {
        let (shop, text) = (shop(), shop().http_only(Path::new("/a"), Path::new("/a")).unwrap());
        let derived = Manifest::parse(&text).unwrap();
        let http = |manifest: &Manifest| {
            let triggers = manifest.document.get("trigger").and_then(|it| it.get("http"));
            triggers.and_then(Item::as_array_of_tables).unwrap().len()
        };
        assert_eq!(http(&derived), http(&shop));
        assert_eq!(derived.components().unwrap().len(), shop.components().unwrap().len());
        for comment in shop.document.to_string().lines().filter(|line| line.starts_with('#')) {
            assert!(text.contains(comment), "{comment}");
        }
    }

    /// Whether a line that is no comment has this text.
    fn has(manifest: &str, text: &str) -> bool {
        manifest.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| line.contains(text))
    }

    #[test]
    fn in_a_cluster_the_password_of_the_redis_is_in_no_allowed_host() {
        let text = shop().cluster(None, Bells::Redis, Path::new("/a"), Path::new("/a")).unwrap();
        let derived: DocumentMut = text.parse().unwrap();
        let components = derived.get("component").unwrap().as_table_like().unwrap();
        for (id, component) in components.iter() {
            let hosts = component.get("allowed_outbound_hosts").unwrap().to_string();
            assert!(!hosts.contains("redis_address"), "{id}: {hosts}");
            assert_eq!(hosts.contains("{{ redis_host }}"), id != "journal", "{id}: {hosts}");
        }
        let variables = derived.get("variables").unwrap();
        assert_eq!(variables.get("redis_address").unwrap().get("secret").unwrap().as_bool(), Some(true));
        let default = |name: &str| variables.get(name).unwrap().get("default").unwrap().as_str().unwrap().to_owned();
        assert_eq!(default("redis_host"), default("redis_address"));
    }

    /// What AKS runs: a Redis trigger whose connection ends would end the app.
    #[test]
    fn in_a_cluster_without_redis_nothing_is_left_of_it() {
        let ids = shop().components().unwrap().into_iter().map(|it| Some(it.id));
        for only in ids.chain([None]) {
            let text = shop().cluster(only.as_deref(), Bells::Http, Path::new("/a"), Path::new("/a")).unwrap();
            assert!(!has(&text, "redis"), "{text}");
            let rings = only.as_deref() != Some("journal");
            assert_eq!(Manifest::parse(&text).unwrap().default("bell"), rings.then_some("http"), "{text}");
            assert!(text.contains("--cluster --http-only"), "the title says how to derive it:\n{text}");
        }
    }

    #[test]
    fn a_component_alone_has_its_own_triggers_and_a_private_route() {
        let text = shop().cluster(Some("order"), Bells::Redis, Path::new("/a"), Path::new("/a")).unwrap();
        let derived = Manifest::parse(&text).unwrap();
        assert_eq!(derived.components().unwrap().len(), 1);
        for there in
            ["mealkit-order", "\"/orders/...\"", "\"/internal/...\"", "mealkit.payment", "payment_timeout_ms = {"]
        {
            assert!(has(&text, there), "{there} is missing:\n{text}");
        }
        for gone in ["/products", "sandbox_fault", "customer_center_url", "component = \"product\""] {
            assert!(!has(&text, gone), "{gone} is left:\n{text}");
        }
        assert!(shop().cluster(Some("unknown"), Bells::Redis, Path::new("/a"), Path::new("/a")).is_err());
    }

    #[test]
    fn the_journal_alone_answers_on_every_path_and_wakes_up_on_no_bell() {
        let text = shop().cluster(Some("journal"), Bells::Redis, Path::new("/a"), Path::new("/a")).unwrap();
        assert!(has(&text, "\"/...\"") && !has(&text, "/internal/") && !has(&text, "redis"), "{text}");
    }

    #[test]
    fn sources_stay_right_wherever_the_manifest_goes() {
        let source = |directory: &str| {
            let text = shop().http_only(Path::new("/a/b"), Path::new(directory)).unwrap();
            let document: DocumentMut = text.parse().unwrap();
            let product = document.get("component").unwrap().get("product").unwrap().clone();
            (product.get("source").unwrap().as_str().unwrap().to_owned(), product.get("build").is_some())
        };
        let wasm = "target/wasm32-wasip2/component/product.wasm";
        assert_eq!(source("/a/b"), (wasm.to_owned(), true));
        assert_eq!(source("/a/b/target"), ("wasm32-wasip2/component/product.wasm".to_owned(), false));
        assert_eq!(source("/c"), (format!("../a/b/{wasm}"), false));
    }
}
