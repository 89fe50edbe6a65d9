//! A component as it was configured, and the state of one instance of it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::mpsc;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    allowed_hosts::AllowedHosts, key_value::KeyValueStores, logs::Logs, outbound_http::Outbound,
    redis::SharedConnections, sqlite::Databases,
};

/// What one component may touch.
pub struct Component {
    /// Its id in the manifest.
    pub id: Arc<str>,
    /// Where it may connect to.
    pub allowed_hosts: AllowedHosts,
    /// Its variables.
    pub variables: BTreeMap<String, String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// The databases that it may open.
    pub databases: Databases,
    /// The key-value stores that it may open.
    pub stores: KeyValueStores,
    /// The connections to Redis, which all components share.
    pub redis: Arc<SharedConnections>,
    /// A statement with this text in a parameter traps; for tests.
    pub trap: Option<Arc<str>>,
    /// Where its output goes.
    pub logs: Logs,
}

/// The state of one instance.
pub struct State {
    /// What it may touch.
    pub component: Arc<Component>,
    /// Its connections, requests and so on.
    pub table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    /// While there is one of these, an instance lives: the host waits for them before it ends.
    _alive: Option<mpsc::Sender<()>>,
}

impl State {
    /// The state of a new instance.
    pub fn new(component: Arc<Component>, outbound: Outbound, alive: Option<mpsc::Sender<()>>) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(component.logs.stdout(&component.id))
            .stderr(component.logs.stderr(&component.id))
            .envs(&component.environment)
            .allow_tcp(false)
            .allow_udp(false);
        Self {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
            component,
            outbound,
            _alive: alive,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}
