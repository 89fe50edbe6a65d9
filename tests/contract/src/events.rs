//! The events, as the code has them: `wit/contracts/events.wit`, of which its Rust types are made.

use crate::{Facts, root};
use std::collections::BTreeMap;
use wit_parser::{Resolve, Type, TypeDefKind};

/// The records of the published language: the name of each event with its members, and each one's JSON type.
pub fn records() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root().join("wit/contracts")).expect("the published language");
    let interface = resolve.packages[package].interfaces["events"];
    let types = &resolve.interfaces[interface].types;
    let TypeDefKind::Variant(event) = &resolve.types[types["event"]].kind else { panic!("`event` is no variant") };
    let records = event.cases.iter().map(|case| {
        let Some(Type::Id(id)) = case.ty else { panic!("{} has no data", case.name) };
        let mut members = BTreeMap::new();
        add(&resolve, id, "", &mut members);
        (pascal(&case.name), members)
    });
    records.collect()
}

/// What they promise: every member is there in every event of its type.
pub fn facts() -> Facts {
    let mut facts = Facts::default();
    for (event, members) in records() {
        for (path, kind) in members {
            facts.add(format!("{event} carries {path} {kind}"));
        }
    }
    facts
}

fn add(resolve: &Resolve, id: wit_parser::TypeId, prefix: &str, members: &mut BTreeMap<String, String>) {
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            for field in &record.fields {
                let path = format!("{prefix}.{}", field.name.replace('-', "_"));
                match of(resolve, &field.ty) {
                    Ok(kind) => drop(members.insert(path, kind)),
                    Err(record) => add(resolve, record, &path, members),
                }
            }
        }
        TypeDefKind::Type(Type::Id(id)) => add(resolve, *id, prefix, members),
        other => panic!("an event's data is a record, not {other:?}"),
    }
}

/// A type in JSON, or the record that it is.
fn of(resolve: &Resolve, kind: &Type) -> Result<String, wit_parser::TypeId> {
    let name = match kind {
        Type::String => "string",
        Type::Bool => "boolean",
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::S8 | Type::S16 | Type::S32 | Type::S64 => "integer",
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(kind) => return of(resolve, kind),
            TypeDefKind::Option(kind) => return of(resolve, kind).map(|kind| format!("{kind} or null")),
            TypeDefKind::List(kind) => return of(resolve, kind).map(|kind| format!("list of {kind}")),
            TypeDefKind::Record(_) => return Err(*id),
            other => panic!("how {other:?} looks in JSON is not said yet"),
        },
        other => panic!("how {other:?} looks in JSON is not said yet"),
    };
    Ok(name.to_owned())
}

fn pascal(kebab: &str) -> String {
    let capital =
        |word: &str| word.chars().next().map(|first| first.to_uppercase().to_string() + &word[first.len_utf8()..]);
    kebab.split('-').filter_map(capital).collect()
}
