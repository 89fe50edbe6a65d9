//! `spin:redis`: outbound connections to Redis.
//!
//! All instances share one connection per address, which takes many commands at once, so that an open costs nothing and a
//! Redis that was away is found again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Value, aio::MultiplexedConnection};
use tokio::sync::Mutex;
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::{
    bindings::spin::redis::redis::{Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult},
    state::State,
    telemetry::Span,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection per address.
#[derive(Default)]
pub struct SharedConnections(Mutex<HashMap<String, Shared>>);

#[derive(Clone)]
struct Shared {
    connection: MultiplexedConnection,
    /// Tells a connection from the one that replaced it.
    number: u64,
}

impl SharedConnections {
    async fn get(&self, address: &str) -> Result<Shared, Error> {
        let mut connections = self.0.lock().await;
        if let Some(shared) = connections.get(address) {
            return Ok(shared.clone());
        }
        let client = Client::open(address).map_err(|_| Error::InvalidAddress)?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(CONNECT_TIMEOUT).set_response_timeout(RESPONSE_TIMEOUT);
        // Others wait here too: they want the same connection.
        let connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(other)?;
        let shared = Shared { connection, number: fastrand::u64(..) };
        connections.insert(address.to_string(), shared.clone());
        Ok(shared)
    }

    async fn forget(&self, address: &str, number: u64) {
        let mut connections = self.0.lock().await;
        if connections.get(address).is_some_and(|shared| shared.number == number) {
            connections.remove(address);
        }
    }
}

/// An open connection of a component.
#[derive(Clone)]
pub struct Connection {
    address: String,
    shared: Arc<SharedConnections>,
}

/// Whether a command may reach Redis twice.
#[derive(Clone, Copy, PartialEq)]
enum Repeat {
    Harmless,
    Never,
}

impl Connection {
    async fn run<T: FromRedisValue>(&self, command: Cmd, repeat: Repeat) -> Result<T, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Shared { mut connection, number } = self.shared.get(&self.address).await?;
            match command.query_async(&mut connection).await {
                Ok(value) => return Ok(value),
                Err(error) if error.is_io_error() || error.is_connection_dropped() => {
                    self.shared.forget(&self.address, number).await;
                    // Nobody told us that the connection was dead: try once on a fresh one.
                    if tries > 1 || repeat == Repeat::Never || error.is_timeout() {
                        return Err(other(error));
                    }
                }
                Err(error) if error.kind() == redis::ErrorKind::TypeError => {
                    return Err(Error::TypeError);
                }
                Err(error) => return Err(other(error)),
            }
        }
    }
}

fn other(error: redis::RedisError) -> Error {
    Error::Other(error.to_string())
}

fn command(name: &str, arguments: &[impl redis::ToRedisArgs]) -> Cmd {
    let mut command = redis::cmd(name);
    for argument in arguments {
        command.arg(argument);
    }
    command
}

fn connection<T>(accessor: &Accessor<T, HasSelf<State>>, this: &Resource<Connection>) -> Result<Connection, Error> {
    accessor.with(|mut access| match access.get().table.get(this) {
        Ok(connection) => Ok(connection.clone()),
        Err(error) => Err(Error::Other(error.to_string())),
    })
}

impl Host for State {}

impl HostConnection for State {
    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T> HostConnectionWithStore<T> for HasSelf<State> {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Result<Resource<Connection>, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.open_connection");
        let component = accessor.with(|mut access| access.get().component.clone());
        if !component.allowed_hosts.allow(&address) {
            component.logs.say(format!(
                "component `{}` may not reach {}: add it to allowed_outbound_hosts",
                component.id,
                without_password(&address)
            ));
            return Err(Error::InvalidAddress);
        }
        let connection = Connection { address, shared: component.redis.clone() };
        connection.shared.get(&connection.address).await?;
        accessor.with(|mut access| access.get().table.push(connection)).map_err(|_| Error::TooManyConnections)
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.publish");
        let publish = command("PUBLISH", &[channel.as_bytes(), &payload]);
        connection(accessor, &this)?.run::<i64>(publish, Repeat::Harmless).await.map(drop)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.get");
        connection(accessor, &this)?.run(command("GET", &[key]), Repeat::Harmless).await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.set");
        let set = command("SET", &[key.as_bytes(), &value]);
        connection(accessor, &this)?.run(set, Repeat::Harmless).await
    }

    async fn incr(accessor: &Accessor<T, Self>, this: Resource<Connection>, key: String) -> Result<i64, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.incr");
        connection(accessor, &this)?.run(command("INCR", &[key]), Repeat::Never).await
    }

    async fn del(accessor: &Accessor<T, Self>, this: Resource<Connection>, keys: Vec<String>) -> Result<u32, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.del");
        connection(accessor, &this)?.run(command("DEL", &keys), Repeat::Harmless).await
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.sadd");
        let mut sadd = command("SADD", &[key]);
        sadd.arg(values);
        connection(accessor, &this)?.run(sadd, Repeat::Harmless).await
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.smembers");
        connection(accessor, &this)?.run(command("SMEMBERS", &[key]), Repeat::Harmless).await
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.srem");
        let mut srem = command("SREM", &[key]);
        srem.arg(values);
        connection(accessor, &this)?.run(srem, Repeat::Harmless).await
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        name: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.execute");
        let mut command = redis::cmd(&name);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(value) => command.arg(value),
                RedisParameter::Binary(value) => command.arg(value),
            };
        }
        let value: Value = connection(accessor, &this)?.run(command, Repeat::Never).await?;
        let mut results = Vec::new();
        flatten(value, &mut results)?;
        Ok(results)
    }
}

/// What Redis answers may be a tree; `execute` returns its leaves.
fn flatten(value: Value, results: &mut Vec<RedisResult>) -> Result<(), Error> {
    results.push(match value {
        Value::Nil => RedisResult::Nil,
        Value::Int(value) => RedisResult::Int64(value),
        Value::Boolean(value) => RedisResult::Int64(value.into()),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::SimpleString(text) => RedisResult::Status(text),
        Value::Okay => RedisResult::Status("OK".to_string()),
        Value::Double(value) => RedisResult::Binary(value.to_string().into_bytes()),
        Value::Array(values) | Value::Set(values) => {
            return values.into_iter().try_for_each(|value| flatten(value, results));
        }
        other => {
            return Err(Error::Other(format!("Redis answered with something that Spin doesn't pass on: {other:?}")));
        }
    });
    Ok(())
}

/// An address as it may be shown.
pub fn without_password(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => address.to_string(),
    }
}
