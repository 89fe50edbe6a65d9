//! `spin:redis`: outbound connections to Redis.
//!
//! Each open is a connection of its own, without time-outs; one that broke stays broken, and one whose Redis says nothing waits:
//! as on Spin, it is the guest who gives up.

use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Value, aio::MultiplexedConnection};
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::{
    bindings::spin::redis::redis::{Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult},
    state::State,
    telemetry::Span,
};

/// An open connection of a component.
#[derive(Clone)]
pub struct Connection(MultiplexedConnection);

impl Connection {
    async fn open(address: &str) -> Result<Self, Error> {
        let client = Client::open(address).map_err(|_| Error::InvalidAddress)?;
        let config = AsyncConnectionConfig::new();
        client.get_multiplexed_async_connection_with_config(&config).await.map(Self).map_err(other)
    }

    async fn run<T: FromRedisValue>(mut self, command: Cmd) -> Result<T, Error> {
        command.query_async(&mut self.0).await.map_err(|error| match error.kind() {
            redis::ErrorKind::TypeError => Error::TypeError,
            _ => other(error),
        })
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
        let connection = Connection::open(&address).await?;
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
        connection(accessor, &this)?.run::<i64>(publish).await.map(drop)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.get");
        connection(accessor, &this)?.run(command("GET", &[key])).await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.set");
        let set = command("SET", &[key.as_bytes(), &value]);
        connection(accessor, &this)?.run(set).await
    }

    async fn incr(accessor: &Accessor<T, Self>, this: Resource<Connection>, key: String) -> Result<i64, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.incr");
        connection(accessor, &this)?.run(command("INCR", &[key])).await
    }

    async fn del(accessor: &Accessor<T, Self>, this: Resource<Connection>, keys: Vec<String>) -> Result<u32, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.del");
        connection(accessor, &this)?.run(command("DEL", &keys)).await
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
        connection(accessor, &this)?.run(sadd).await
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        let _span = Span::call(accessor, "spin_outbound_redis.smembers");
        connection(accessor, &this)?.run(command("SMEMBERS", &[key])).await
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
        connection(accessor, &this)?.run(srem).await
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
        let value: Value = connection(accessor, &this)?.run(command).await?;
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
