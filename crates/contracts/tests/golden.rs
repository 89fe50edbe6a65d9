//! The wire form of every event, frozen: what is in the log of a running shop must be readable for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use contracts::{Event, samples};
use serde_json::Value;
use std::{collections::BTreeSet, fs, io::ErrorKind, path::PathBuf};

/// Set it to write the golden files that are missing. Those that are there are never written.
const NEW: &str = "NEW_GOLDEN";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn golden(event: &Event) -> Value {
    let name = event.event_type();
    let path = folder().join(format!("{name}.json"));
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| panic!("golden/{name}.json: {error}")),
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os(NEW).is_some() => {
            let data = event.data().unwrap();
            fs::write(path, format!("{data:#}\n")).unwrap();
            data
        }
        Err(error) => panic!(
            "golden/{name}.json: {error}. A new event gets its golden file by `{NEW}=1 cargo test -p contracts`; \
             look at it and commit it."
        ),
    }
}

#[test]
fn an_event_is_written_as_it_always_was() {
    for event in samples::all() {
        let name = event.event_type();
        assert_eq!(
            event.data().unwrap(),
            golden(&event),
            "\n{name} is not written any more as golden/{name}.json has it (left: now, right: golden). \
             Logs and followers have it in the old form: a change of the wire form is a new version. Leave {name} as \
             it is, and add the new form as an event of its own to wit/contracts/events.wit."
        );
    }
}

#[test]
fn an_event_of_the_past_is_still_understood() {
    for event in samples::all() {
        let name = event.event_type();
        let read = Event::from_parts(name, golden(&event)).unwrap_or_else(|error| {
            panic!(
                "golden/{name}.json cannot be read any more: {error}. Logs are full of it: a change of the wire form is \
                 a new version."
            )
        });
        assert_eq!(read, event, "golden/{name}.json is read as something else than it was written from");
    }
}

#[test]
fn every_event_has_its_golden_file_and_every_file_its_event() {
    let types: BTreeSet<String> = Event::TYPES.iter().map(|name| (*name).to_owned()).collect();
    let sampled: BTreeSet<String> = samples::all().iter().map(|event| event.event_type().to_owned()).collect();
    assert_eq!(sampled, types, "every type of event needs one sample in src/samples.rs");
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let names: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, types, "one file in golden/ for every type of event");
}

#[test]
fn no_golden_file_has_more_of_a_card_than_its_last_four_digits() {
    for event in samples::all() {
        assert!(!event.data().unwrap().to_string().contains("4111"), "{}", event.event_type());
    }
}
