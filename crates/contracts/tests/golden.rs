//! The wire form of every event, frozen: what is in the log of a running shop must be readable for ever, in every version.
//!
//! `golden/<Type>/<version>.json`. A new optional field is no new version: the files stay as they are, and are read as
//! before. Whatever else changes the form is one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use contracts::{
    Event, EventType,
    samples::{self, golden},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

fn type_of(event: &Event) -> EventType {
    EventType::find(EventType::ALL, event.name()).unwrap()
}

fn written(event: &Event) -> Value {
    serde_json::from_str(&type_of(event).write(event).unwrap()).unwrap()
}

/// What is written today that the golden file has, too, in records within it as well; whatever else is written must be
/// optional.
fn as_frozen(now: &Value, golden: &Value) -> Value {
    let (Value::Object(now), Value::Object(golden)) = (now, golden) else { return now.clone() };
    let frozen = now.iter().filter_map(|(field, now)| Some((field.clone(), as_frozen(now, golden.get(field)?))));
    frozen.collect()
}

#[test]
fn an_event_is_written_as_it_always_was() {
    for event in samples::all() {
        let (name, version) = (event.name(), type_of(&event).version());
        let golden = golden(type_of(&event), version);
        assert_eq!(
            as_frozen(&written(&event), &golden),
            golden,
            "\n{name} is not written any more as golden/{name}/{version}.json has it (left: now, right: golden). Logs and \
             followers have it in the old form: a change of the wire form is a new version, with a step that brings the old \
             form to it (docs/decisions/0016-event-versions.md)."
        );
    }
}

#[test]
fn an_event_of_the_past_is_still_understood_in_every_version() {
    for event in samples::all() {
        let (name, newest) = (event.name(), type_of(&event).version());
        let frozen = golden(type_of(&event), newest);
        for version in 1..newest {
            let older = golden(type_of(&event), version);
            let read = type_of(&event)
                .read(version, &older.to_string())
                .unwrap_or_else(|error| panic!("golden/{name}/{version}.json cannot be read any more: {error}"));
            assert_eq!(
                as_frozen(&written(&read), &frozen),
                frozen,
                "golden/{name}/{version}.json is read as something else than golden/{name}/{newest}.json"
            );
        }
    }
}

#[test]
fn every_file_has_its_event() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = fs::read_dir(folder).unwrap().flat_map(|it| fs::read_dir(it.unwrap().path()).unwrap());
    let files: BTreeSet<_> = files.map(|file| file.unwrap().path()).collect();
    let versions = EventType::ALL.iter().flat_map(|it| (1..=it.version()).map(move |version| (it, version)));
    let wanted: BTreeSet<_> = versions
        .map(|(name, version)| {
            let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
            golden.join(name.as_str()).join(format!("{version}.json"))
        })
        .collect();
    assert_eq!(files, wanted, "one file in golden/<Type>/ for every version");
}

#[test]
fn only_what_is_added_is_left_out_of_the_comparison() {
    let golden = json!({"id": "1", "to": {"id": "2"}});
    let frozen = |now: Value| as_frozen(&now, &golden);
    assert_eq!(frozen(json!({"id": "1", "to": {"id": "2", "added": 3}, "added": 3})), golden);
    assert_ne!(frozen(json!({"id": "1", "to": {"renamed": "2"}})), golden);
    assert_ne!(frozen(json!({"id": "1", "to": {"id": 2}})), golden);
    assert_ne!(frozen(json!({"to": {"id": "2"}})), golden);
}

#[test]
fn no_event_has_more_of_a_card_than_its_last_four_digits() {
    for event in samples::all() {
        assert!(!written(&event).to_string().contains("4111"), "{}", event.name());
    }
}

#[test]
fn a_version_that_this_build_does_not_know_is_no_event() {
    for version in [0, 2, u32::MAX] {
        let error = contracts::OrderCancelled::TYPE.read(version, "{}").unwrap_err();
        assert_eq!(error.to_string(), format!("OrderCancelled has versions 1 to 1 here, not {version}"));
    }
}
