//! The Redis trigger: each message wakes a fresh instance of every component on its channel.
//!
//! Unlike Spin, whose application ends with its Redis, this waits for it to come back. Messages of the meantime are lost,
//! as they are on any Redis channel.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use futures::StreamExt;
use redis::{Client, Msg, aio::PubSub};
use tokio::task::JoinSet;
use wasmtime::Store;

use crate::{
    app::{App, Loaded, Shutdown, plain},
    bindings::exports::spin::redis::inbound_redis::GuestIndices,
    outbound_http::Chaining,
    redis::without_password,
    state::State,
    telemetry::{Kind, Span},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A component that a channel wakes up.
pub struct Handler {
    loaded: Arc<Loaded>,
    indices: GuestIndices,
}

impl Handler {
    /// Of a component that must be able to take messages.
    pub fn new(loaded: Arc<Loaded>) -> Result<Self> {
        let indices = GuestIndices::new(&loaded.pre).map_err(plain).with_context(|| {
            format!(
                "component `{}` stands in the Redis trigger but exports no spin:redis/inbound-redis@3.0.0; build it with \
                 spin-sdk 7 (#[redis_subscriber])",
                loaded.component.id
            )
        })?;
        Ok(Self { loaded, indices })
    }

    async fn handle(&self, app: &App, channel: &str, payload: Vec<u8>) -> Result<()> {
        let mut span = Span::start(format!("{channel} receive"), Kind::Consumer, None);
        let mut store = app.store(&self.loaded, Chaining::Impossible);
        if let Some(span) = &mut span {
            span.set("messaging.system", "redis");
            span.set("messaging.operation", "receive");
            span.set("component_id", &*self.loaded.component.id);
            store.data_mut().trace_only(span.context());
        }
        let handled = self.call(store, payload).await;
        if let (Some(span), Err(error)) = (&mut span, &handled) {
            span.fail(format!("{error:#}"));
        }
        handled
    }

    async fn call(&self, mut store: Store<State>, payload: Vec<u8>) -> Result<()> {
        let instance = self.loaded.pre.instantiate_async(&mut store).await.map_err(plain)?;
        let guest = self.indices.load(&mut store, &instance).map_err(plain)?;
        // When the call has returned, whatever the guest spawned is dropped with its instance.
        store
            .run_concurrent(async |accessor| guest.call_handle_message(accessor, payload).await)
            .await
            .flatten()
            .map_err(|error| anyhow!("{}", error.root_cause()))?
            .map_err(|error| anyhow!("the handler returned {error}"))
    }
}

/// The channels of one Redis.
pub struct Subscriber {
    client: Client,
    address: String,
    channels: BTreeMap<String, Vec<Arc<Handler>>>,
}

impl Subscriber {
    /// Will subscribe to these channels.
    pub fn new(address: &str, channels: BTreeMap<String, Vec<Arc<Handler>>>) -> Result<Self> {
        let client = Client::open(address).with_context(|| {
            format!("the Redis address `{}` is none; write redis://host:port", without_password(address))
        })?;
        Ok(Self { client, address: without_password(address), channels })
    }

    /// Takes messages until the shutdown; one at a time.
    pub async fn run(self, app: Arc<App>, mut shutdown: Shutdown) {
        let mut wait = SHORTEST_WAIT;
        loop {
            let subscribed = tokio::select! {
                subscribed = self.subscribe() => subscribed,
                () = shutdown.begun() => return,
            };
            match subscribed {
                Ok(subscription) => {
                    self.announce();
                    wait = SHORTEST_WAIT;
                    let mut messages = subscription.into_on_message();
                    loop {
                        let message = tokio::select! {
                            message = messages.next() => message,
                            () = shutdown.begun() => return,
                        };
                        match message {
                            Some(message) => self.dispatch(&app, &message).await,
                            None => break,
                        }
                    }
                    app.logs.say(format!("Redis at {} is gone; messages get lost until it is back", self.address));
                }
                Err(error) => {
                    app.logs.say(format!("Redis at {} does not answer ({error:#}); trying again", self.address))
                }
            }
            // Not all at once when many wait for the same Redis.
            let jitter = fastrand::f64().mul_add(0.5, 0.75);
            tokio::select! {
                () = tokio::time::sleep(wait.mul_f64(jitter)) => {}
                () = shutdown.begun() => return,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn subscribe(&self) -> Result<PubSub> {
        let subscribe = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            for channel in self.channels.keys() {
                subscription.subscribe(channel).await?;
            }
            Ok(subscription)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, subscribe).await.context("it took too long")?
    }

    fn announce(&self) {
        let mut text = format!("Active channels on {}:", self.address);
        for (channel, handlers) in &self.channels {
            let ids: Vec<_> = handlers.iter().map(|handler| &*handler.loaded.component.id).collect();
            text += &format!("\n  {channel}: {}", ids.join(", "));
        }
        crate::console(&text);
    }

    async fn dispatch(&self, app: &Arc<App>, message: &Msg) {
        let channel = message.get_channel_name();
        let mut running = JoinSet::new();
        for handler in self.channels.get(channel).into_iter().flatten() {
            let (app, handler) = (app.clone(), handler.clone());
            let payload = message.get_payload_bytes().to_vec();
            let channel = channel.to_string();
            running.spawn(async move {
                if let Err(error) = handler.handle(&app, &channel, payload).await {
                    let id = &handler.loaded.component.id;
                    app.logs.say(format!("component `{id}`: a message of `{channel}` is lost: {error:#}"));
                }
            });
        }
        while running.join_next().await.is_some() {}
    }
}
