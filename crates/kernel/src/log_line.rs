//! Structured log lines: one JSON object a line, on standard error, where Spin keeps them per component.

use serde_json::{Map, Value, json};
use std::io::Write as _;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The shop at work.
    Info,
    /// Something that was handled, but that an operator may want to know of.
    Warn,
    /// A request or an event could not be handled.
    Error,
}

/// Writes a line. `fields` is a JSON object; secrets and card numbers have no place in it.
pub fn write(level: Level, context: &str, message: &str, fields: Value) {
    let level = match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let mut line = Map::new();
    #[expect(clippy::disallowed_methods, reason = "a line says when it was written, whatever time a test plays")]
    line.insert("time".into(), json!(crate::platform::timestamp(std::time::SystemTime::now())));
    line.insert("level".into(), json!(level));
    line.insert("context".into(), json!(context));
    line.insert("message".into(), json!(message));
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    let mut line = Value::Object(line).to_string();
    line.push('\n');
    // Standard error is unbuffered: every piece that is written is a call to the host.
    // Nobody could be told that it cannot be written.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
