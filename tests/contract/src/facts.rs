//! Promises as lines, and what changed between two lists of them.

use crate::api::resolved;
use serde_json::{Map, Value};
use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    str::FromStr,
};

/// What others may rely on (`… answers …`, `… accepts …`, `… carries …`), and what is asked of them (`… demands …`). A
/// line begins with whom it is about: an operation, or an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(pub BTreeSet<String>);

/// What became of the promises.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Somebody relied on it, or does not do what is asked of them now.
    pub breaking: Vec<String>,
    /// Nobody could have relied on it.
    pub additive: Vec<String>,
}

impl Facts {
    /// What changed since the older ones: a promise that is gone breaks somebody, and so does a new demand on what they
    /// did already, or a promise about events that the older ones in the log do not keep.
    pub fn since(&self, older: &Self) -> Changes {
        let gone = older.0.difference(&self.0).map(|fact| (is_demand(fact), format!("- {fact}")));
        let new = self.0.difference(&older.0);
        let new = new.map(|fact| {
            let breaks = (is_demand(fact) && older.concerned_by(fact)) || older.logs_lack(fact);
            (!breaks, format!("+ {fact}"))
        });
        let mut changes = Changes::default();
        for (is_additive, line) in gone.chain(new) {
            if is_additive { changes.additive.push(line) } else { changes.breaking.push(line) }
        }
        changes
    }

    /// Whether somebody could do already what a demand is about: call that operation, or, for a limit, give that value.
    fn concerned_by(&self, demand: &str) -> bool {
        let words: Vec<_> = demand.split(' ').collect();
        let began_with = match words.as_slice() {
            [method, path, "demands", place, name, _limit, ..] => format!("{method} {path} accepts {place} {name}"),
            [method, path, ..] => format!("{method} {path} "),
            _ => return true,
        };
        self.0.iter().any(|fact| fact.starts_with(&began_with))
    }

    /// Whether a member is always there from now on in events of which the log has some without it.
    fn logs_lack(&self, fact: &str) -> bool {
        let Some((event, member)) = fact.split_once(" carries ") else { return false };
        let began_with = format!("{event} carries ");
        !member.ends_with(" or null") && self.0.iter().any(|fact| fact.starts_with(&began_with))
    }

    pub(crate) fn add(&mut self, fact: impl Into<String>) {
        self.0.insert(fact.into());
    }
}

fn is_demand(fact: &str) -> bool {
    fact.contains(" demands ")
}

impl FromStr for Facts {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()))
    }
}

impl Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fact| writeln!(f, "{fact}"))
    }
}

/// What [`shape`] tells: a path, the JSON type there, and the schema.
pub type Seen<'a> = dyn FnMut(&str, &str, &Map<String, Value>) + 'a;

/// The members of what a schema describes: path and type, and which of them are always there. The path begins with
/// `prefix`; a list is `[]`.
pub fn shape(document: &Value, schema: &Value, prefix: &str, seen: &mut Seen<'_>) {
    let schema = resolved(document, schema);
    let members = schema.as_object().expect("a schema");
    if let Some(choices) = members.get("oneOf").and_then(Value::as_array) {
        for choice in choices {
            // Each choice of the log is told apart by its type.
            let choice = resolved(document, choice);
            let name = choice["properties"]["type"]["const"].as_str().unwrap_or("?");
            shape(document, choice, &format!("{prefix}<{name}>"), seen);
        }
        return;
    }
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => format!("exactly {}", schema["const"]),
    };
    seen(prefix, &kind, members);
    if let Some(items) = members.get("items") {
        shape(document, items, &format!("{prefix}[]"), seen);
    }
    if let Some(values) = members.get("additionalProperties").filter(|it| it.is_object()) {
        shape(document, values, &format!("{prefix}.*"), seen);
    }
    for (name, member) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
        shape(document, member, &format!("{prefix}.{name}"), seen);
    }
}
