//! A libSQL server instead of a file, reached as Spin reaches it: with the same crate.

use hyper_014::client::HttpConnector;
use libsql::Builder;

use super::{io, statement::Sender};
use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// A connection of its own. It asks the server nothing yet.
pub async fn connect(url: String, token: String) -> Result<libsql::Connection, Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let database = Builder::new_remote(url, token).connector(connector).build().await;
    database.and_then(|database| database.connect()).map_err(|_| Error::InvalidConnection)
}

/// Runs the first statement of a text.
pub async fn execute(
    server: &libsql::Connection,
    text: &str,
    parameters: Vec<Value>,
    sender: &mut Sender<'_>,
) -> Result<(), Error> {
    let parameters: Vec<_> = parameters.into_iter().map(parameter).collect();
    let mut rows = server.query(text, parameters).await.map_err(io)?;
    let columns = 0..rows.column_count();
    sender.columns(columns.clone().map(|column| rows.column_name(column).unwrap_or_default().to_string()).collect())?;
    while let Some(row) = rows.next().await.map_err(io)? {
        let values = columns.clone().map(|column| row.get_value(column).map(value).map_err(io));
        sender.send(RowResult { values: values.collect::<Result<_, _>>()? })?;
    }
    Ok(())
}

fn parameter(value: Value) -> libsql::Value {
    match value {
        Value::Null => libsql::Value::Null,
        Value::Integer(value) => libsql::Value::Integer(value),
        Value::Real(value) => libsql::Value::Real(value),
        Value::Text(value) => libsql::Value::Text(value),
        Value::Blob(value) => libsql::Value::Blob(value),
    }
}

fn value(value: libsql::Value) -> Value {
    match value {
        libsql::Value::Null => Value::Null,
        libsql::Value::Integer(value) => Value::Integer(value),
        libsql::Value::Real(value) => Value::Real(value),
        libsql::Value::Text(value) => Value::Text(value),
        libsql::Value::Blob(value) => Value::Blob(value),
    }
}
