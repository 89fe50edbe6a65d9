//! `spin.toml`: what it says, and the manifest without Redis that is derived from it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component as Segment, Path, PathBuf, absolute},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use crate::{
    console::{print, say},
    project::Project,
};

/// The variable that names the Redis.
const REDIS: &str = "redis_address";

/// Derive a manifest from spin.toml.
#[derive(Args)]
pub struct Derive {
    /// The shop without Redis: the bells ring by service chaining, and only the HTTP trigger is left
    #[arg(long, required = true)]
    http_only: bool,
    /// Where to write it; printed if it is not given, with paths that are right beside spin.toml
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Derive {
    /// Derives the manifest.
    pub fn run(self, project: &Project) -> Result<()> {
        match self.output {
            Some(path) => {
                project.manifest.write_http_only(&project.root, &path)?;
                say(format!("{} is written; run it with `spin up -f {0}`", path.display()));
            }
            None => print(project.manifest.http_only(&project.root, &project.root)?.trim_end()),
        }
        Ok(())
    }
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
        let output = absolute(output)?;
        let directory = output.parent().context("name a file")?;
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        fs::write(&output, self.http_only(root, directory)?)
            .with_context(|| format!("{} cannot be written", output.display()))
    }

    /// The manifest without Redis, to be put into `directory`; this one is in `root`.
    pub fn http_only(&self, root: &Path, directory: &Path) -> Result<String> {
        let mut document = self.document.clone();
        let root_table = document.as_table_mut();
        remove_redis_trigger(root_table);
        set_bell(root_table)?;
        let components = table_mut(root_table, "component").context("there is no [component.…]")?;
        for (id, component) in components.iter_mut() {
            let component = component.as_table_like_mut().with_context(|| format!("component.{id} is no table"))?;
            remove_redis_address(component);
            move_source(component, root, directory)?;
        }
        let text = document.to_string();
        let title = "# Derived from spin.toml by `cargo xtask manifest --http-only`; change that one.\n\n";
        Ok(format!("{title}{}", text.trim_start()))
    }
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
        assert_eq!(components.len(), 7);
        let line = build_arguments(&components, &["fixture"]).unwrap().join(" ");
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
        assert_eq!(derived.components().unwrap().len(), 7);
        for comment in shop.document.to_string().lines().filter(|line| line.starts_with('#')) {
            assert!(text.contains(comment), "{comment}");
        }
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
