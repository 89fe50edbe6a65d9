//! Types of events, each with its versions, and with the code that reads and writes its data: a component carries that
//! for the types that it names, and for no others.

use crate::Event;
use serde::{Serialize, Serializer, de::DeserializeOwned, de::Error};
use serde_json::Value;
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

/// A step from a version of an event's data to the next one.
pub type Upcast = fn(Value) -> Value;

/// A type of event: `OrderPlaced::TYPE`.
///
/// It has versions. The newest one is written, every one is readable: what was written in an older form is brought to the
/// newest step by step where it is read, so that nobody else knows of it (docs/decisions/0016-event-versions.md).
#[derive(Clone, Copy)]
pub struct EventType {
    pub(crate) name: &'static str,
    pub(crate) upcasts: &'static [Upcast],
    pub(crate) read: fn(Data<'_>) -> serde_json::Result<Event>,
    pub(crate) write: fn(&Event) -> serde_json::Result<String>,
}

/// An event's data, as it was written or brought to the newest version.
pub(crate) enum Data<'a> {
    Written(&'a str),
    Upcast(Value),
}

impl Data<'_> {
    pub(crate) fn read<T: DeserializeOwned>(self) -> serde_json::Result<T> {
        match self {
            Self::Written(text) => serde_json::from_str(text),
            Self::Upcast(value) => serde_json::from_value(value),
        }
    }
}

impl EventType {
    /// Its name: the CloudEvents `type`.
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// The type of this name, if it is one of these.
    pub fn find(among: &[Self], name: &str) -> Option<Self> {
        among.iter().copied().find(|event_type| event_type.name == name)
    }

    /// The newest version, counted from 1: the one that is written.
    pub fn version(self) -> u32 {
        u32::try_from(self.upcasts.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The same type with another past, for tests of what versions do.
    #[cfg(feature = "testing")]
    pub const fn with_past(self, upcasts: &'static [Upcast]) -> Self {
        Self { upcasts, ..self }
    }

    /// The event with this data of this version.
    ///
    /// # Errors
    /// When there is no such version, or the data is not of its form.
    pub fn read(self, version: u32, data: &str) -> serde_json::Result<Event> {
        let newest = self.version();
        if version == newest {
            return (self.read)(Data::Written(data));
        }
        let steps = version.checked_sub(1).and_then(|done| self.upcasts.get(usize::try_from(done).ok()?..));
        let Some(steps) = steps.filter(|steps| !steps.is_empty()) else {
            let known = format!("{self} has versions 1 to {newest} here, not {version}");
            return Err(serde_json::Error::custom(known));
        };
        let upcast = steps.iter().fold(serde_json::from_str(data)?, |data, step| step(data));
        (self.read)(Data::Upcast(upcast))
    }

    /// The event's data as it stands in the log, of the newest version.
    ///
    /// # Errors
    /// When the event is of another type.
    pub fn write(self, event: &Event) -> serde_json::Result<String> {
        (self.write)(event)
    }

    /// The CloudEvents `dataschema` of data of this version of a type, known or not.
    pub fn dataschema(name: &str, version: u32) -> String {
        format!("urn:mealkit:event:{name}:{version}")
    }
}

impl PartialEq for EventType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for EventType {}

impl PartialOrd for EventType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EventType {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

impl Hash for EventType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// Gives an event its type, with these steps from its older versions to the newest.
macro_rules! typed {
    ($event:ident, [$($step:path),*]) => {
        impl $event {
            pub const TYPE: $crate::EventType = $crate::EventType {
                name: stringify!($event),
                upcasts: &[$($step),*],
                read: |data| data.read::<Self>().map(Event::$event),
                write: |event| match event {
                    Event::$event(event) => serde_json::to_string(event),
                    other => Err(serde::de::Error::custom(format!("{} is no {}", other.name(), stringify!($event)))),
                },
            };

            /// One for tests (see `samples`).
            #[cfg(feature = "testing")]
            pub fn sample() -> Self {
                $crate::samples::typed(Self::TYPE)
            }
        }

        impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Event::$event(event)
            }
        }
    };
}
pub(crate) use typed;

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::{OrderCancelled, OrderPlaced};
    use serde_json::json;

    /// A type with a past: first its reason was called `why`, then it was a list.
    const THIRD: EventType = OrderCancelled::TYPE.with_past(&[named_why, listed]);

    fn named_why(mut data: Value) -> Value {
        if let Some(why) = data.as_object_mut().and_then(|fields| fields.remove("why"))
            && let Some(fields) = data.as_object_mut()
        {
            fields.insert("reasons".into(), json!([why]));
        }
        data
    }

    fn listed(mut data: Value) -> Value {
        let reason = data.pointer("/reasons/0").cloned();
        if let (Some(fields), Some(reason)) = (data.as_object_mut(), reason) {
            fields.insert("reason".into(), reason);
        }
        data
    }

    #[test]
    fn every_version_is_read_as_the_newest_one_and_that_is_written() -> serde_json::Result<()> {
        let event = Event::from(OrderCancelled::sample());
        let newest: Value = serde_json::from_str(&THIRD.write(&event)?)?;
        let with = |field: &str, value: Value| {
            let mut data = newest.clone();
            if let Some(fields) = data.as_object_mut() {
                fields.remove("reason");
                fields.insert(field.into(), value);
            }
            data
        };
        let (first, second) = (with("why", json!("changed my mind")), with("reasons", json!(["changed my mind"])));
        assert_eq!(THIRD.version(), 3);
        assert_eq!(THIRD.read(1, &first.to_string())?, event);
        assert_eq!(THIRD.read(2, &second.to_string())?, event);
        assert_eq!(THIRD.read(3, &THIRD.write(&event)?)?, event);
        assert!(THIRD.read(4, "{}").is_err() && THIRD.read(0, "{}").is_err());
        Ok(())
    }

    #[test]
    fn an_event_of_another_type_is_not_written() {
        assert!(THIRD.write(&OrderPlaced::sample().into()).is_err());
    }
}
