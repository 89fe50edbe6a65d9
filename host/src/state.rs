//! A component as it was configured, and the state of one instance of it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::mpsc;
use wasmtime::component::GuestTaskId;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    allowed_hosts::AllowedHosts, key_value::KeyValueStores, logs::Logs, outbound_http::Outbound, sqlite::Databases,
    telemetry::TraceContext,
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
    /// What the calls into the guest belong to, if anybody wants to know.
    traces: Vec<(GuestTaskId, TraceContext)>,
    /// The one call into this instance, when there is no other.
    only_trace: Option<TraceContext>,
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
            traces: Vec::new(),
            only_trace: None,
            _alive: alive,
        }
    }

    /// This call into the guest, of several, belongs to this.
    pub fn trace(&mut self, task: GuestTaskId, context: TraceContext) {
        self.traces.push((task, context));
    }

    /// The one call into this instance belongs to this.
    pub fn trace_only(&mut self, context: TraceContext) {
        self.only_trace = Some(context);
    }

    /// What the first of these tasks that is a call into the guest belongs to.
    pub fn trace_of(&self, tasks: &[GuestTaskId]) -> Option<TraceContext> {
        let of = |task| self.traces.iter().find(|(known, _)| known == task).map(|(_, context)| *context);
        self.only_trace.or_else(|| tasks.iter().find_map(of))
    }

    /// What the next outbound request belongs to.
    pub fn trace_outbound(&mut self, context: Option<TraceContext>) {
        self.outbound.caller = context;
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
