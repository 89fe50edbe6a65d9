//! The application: its components compiled and linked, ready to be instantiated.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc::channel},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::sync::{mpsc, watch};
use wasmtime::{
    Cache, Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
    component::{self, HasSelf, InstancePre, Linker},
};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use crate::{
    allowed_hosts::AllowedHosts,
    bindings,
    logs::Logs,
    manifest::Manifest,
    outbound_http::{self, Chaining, Network, Outbound},
    runtime_config::RuntimeConfig,
    state::{Component, State},
    variables::Variables,
};

/// After this time it is worth saying that something is being compiled; from the cache it takes less.
const COMPILING: Duration = Duration::from_millis(250);

/// How many instances there may be at once.
const INSTANCES: u32 = 1000;

/// The application.
pub struct App {
    /// Where everybody's words go.
    pub logs: Logs,
    /// Who can call whom.
    pub network: Arc<Network>,
    /// Told when the host ends.
    pub shutdown: Shutdown,
    engine: Engine,
    components: BTreeMap<String, Arc<Loaded>>,
    alive: Mutex<Option<mpsc::Sender<()>>>,
}

/// A component that is compiled and linked.
pub struct Loaded {
    /// What it may touch.
    pub component: Arc<Component>,
    /// Ready to be instantiated.
    pub pre: InstancePre<State>,
}

/// How far the end of the host is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// It is not asked for.
    Serving,
    /// Everything is still served, but whoever asks for readiness is told to send requests elsewhere.
    Draining,
    /// Nothing new is taken; what is in flight is finished.
    Ending,
}

/// Told when the host ends.
#[derive(Clone)]
pub struct Shutdown(watch::Receiver<Phase>);

impl Shutdown {
    /// And the switch that tells it.
    pub fn new() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (sender, Self(receiver))
    }

    /// Whether requests should go elsewhere from now on.
    pub fn is_announced(&self) -> bool {
        *self.0.borrow() != Phase::Serving
    }

    /// Returns when the shutdown has begun, and nothing new is to be taken.
    pub async fn begun(&mut self) {
        // Without a sender the process is ending too.
        let _ = self.0.wait_for(|phase| *phase == Phase::Ending).await;
    }
}

impl App {
    /// Compiles and links all components. Returns also what is closed when the last instance has gone.
    pub fn load(
        manifest: &Manifest,
        directory: &Path,
        variables: &Variables,
        config: &RuntimeConfig,
        logs: &Logs,
        trap: Option<&str>,
        shutdown: Shutdown,
    ) -> Result<(Self, mpsc::Receiver<()>)> {
        let engine = engine()?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(plain)?;

        let mut configured = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for (id, manifest) in &manifest.components {
            let place = format!("component.{id}");
            let source = directory.join(manifest.source()?);
            ensure!(
                source.is_file(),
                "{place}: there is no {}; build it first, with `cargo xtask build` or `spin build`",
                source.display()
            );
            let expand = |template: &String| variables.expand(template).with_context(|| place.clone());
            let hosts = manifest.allowed_outbound_hosts.iter().map(expand).collect::<Result<Vec<_>>>()?;
            let own = manifest.variables.iter().map(|(name, template)| Ok((name.clone(), expand(template)?)));
            let databases = manifest.sqlite_databases.iter();
            let stores = manifest.key_value_stores.iter();
            let component = Component {
                id: id.as_str().into(),
                allowed_hosts: AllowedHosts::parse(&hosts).with_context(|| place.clone())?,
                variables: own.collect::<Result<_>>()?,
                environment: manifest.environment.clone().into_iter().collect(),
                databases: databases.map(|label| (label.clone(), config.databases.get(label).cloned())).collect(),
                stores: stores.map(|label| (label.clone(), config.stores.get(label).cloned())).collect(),
                trap: trap.map(Arc::from),
                logs: logs.clone(),
            };
            configured.insert(id.clone(), (source.clone(), Arc::new(component)));
            sources.insert(source, id.clone());
        }

        let compiled = compile(&engine, sources)?;
        let mut components = BTreeMap::new();
        for (id, (source, component)) in configured {
            let Some(compiled) = compiled.get(&source) else {
                continue;
            };
            let pre = linker.instantiate_pre(compiled).map_err(plain).with_context(|| {
                format!("component `{id}` needs something that this host doesn't have; build it with spin-sdk 7")
            })?;
            components.insert(id, Arc::new(Loaded { component, pre }));
        }

        let (alive, ended) = mpsc::channel(1);
        let app = Self {
            logs: logs.clone(),
            network: Arc::new(Network::new()),
            shutdown,
            engine,
            components,
            alive: Mutex::new(Some(alive)),
        };
        Ok((app, ended))
    }

    /// A component by its id.
    pub fn component(&self, id: &str) -> Result<Arc<Loaded>> {
        self.components.get(id).cloned().with_context(|| format!("there is no component `{id}`"))
    }

    /// A store for a new instance of a component.
    pub fn store(&self, loaded: &Loaded, chaining: Chaining) -> Store<State> {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let outbound = Outbound::new(loaded.component.clone(), self.network.clone(), chaining);
        Store::new(&self.engine, State::new(loaded.component.clone(), outbound, alive))
    }

    /// From now on new instances are not waited for.
    pub fn wait_for_no_more(&self) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// An error of the engine with all its causes.
pub fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).cranelift_opt_level(OptLevel::Speed);
    // Without a cache directory it works too, and compiles each time.
    config.cache(Cache::from_file(None).ok());

    // Memory is reserved once and reused: the Redis trigger instantiates for every message.
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 8)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 4)
        .total_stacks(INSTANCES * 4)
        .max_memories_per_component(4)
        .max_core_instances_per_component(64)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    if let Ok(engine) = Engine::new(&config) {
        return Ok(engine);
    }
    // Where so much address space is not to be had.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config).map_err(plain).context("the wasm engine does not start on this machine")
}

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    let http = <State as WasiHttpView>::http;
    wasmtime_wasi_http::p3::bindings::http::types::add_to_linker::<_, WasiHttp>(linker, http)?;
    wasmtime_wasi_http::p3::bindings::http::client::add_to_linker::<_, outbound_http::Client>(linker, http)?;
    bindings::Host_::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// Compiles the files side by side, or takes them from the cache.
fn compile(engine: &Engine, sources: BTreeMap<PathBuf, String>) -> Result<BTreeMap<PathBuf, component::Component>> {
    let (sender, results) = channel();
    let mut waiting = sources.clone();
    for source in sources.into_keys() {
        let (engine, sender) = (engine.clone(), sender.clone());
        std::thread::spawn(move || {
            let compiled = component::Component::from_file(&engine, &source);
            let _ = sender.send((source, compiled));
        });
    }
    drop(sender);
    let mut compiled = BTreeMap::new();
    let mut announced = false;
    while !waiting.is_empty() {
        let result = if announced { results.recv().ok() } else { results.recv_timeout(COMPILING).ok() };
        let Some((source, result)) = result else {
            ensure!(!announced, "the compiler gave up");
            for id in waiting.values() {
                crate::console(&format!("Compiling {id} …"));
            }
            announced = true;
            continue;
        };
        let component = result
            .map_err(plain)
            .with_context(|| format!("{} is no component; build it for wasm32-wasip2", source.display()))?;
        waiting.remove(&source);
        compiled.insert(source, component);
    }
    Ok(compiled)
}
