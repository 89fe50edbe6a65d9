//! The events, as the code has them: `wit/contracts/events.wit`, of which its Rust types are made.

use crate::{Facts, root};
use contracts::{EventType, samples};
use std::{collections::BTreeMap, fmt::Write, fs};
use wit_parser::{Docs, Resolve, Type, TypeDefKind, TypeId};

/// What stands below this line of `docs/openapi.yaml` is written from `wit/`.
const MARK: &str = "    # From here to the end: `NEW_GOLDEN=1 cargo test -p contract-tests` writes it from wit/contracts/events.wit.\n";

/// The published language.
struct Language {
    resolve: Resolve,
    /// The name of each event, and its record.
    events: Vec<(String, TypeId)>,
}

impl Language {
    fn read() -> Self {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(root().join("wit/contracts")).expect("the published language");
        let interface = resolve.packages[package].interfaces["events"];
        let types = &resolve.interfaces[interface].types;
        let TypeDefKind::Variant(event) = &resolve.types[types["event"]].kind else { panic!("`event` is no variant") };
        let events = event.cases.iter().map(|case| {
            let Some(Type::Id(id)) = case.ty else { panic!("{} has no data", case.name) };
            (pascal(&case.name), id)
        });
        let events = events.collect();
        Self { resolve, events }
    }
}

/// `docs/openapi.yaml` as it ought to be: what it says of the events is what `wit/` says.
pub fn described() -> String {
    let path = root().join("docs/openapi.yaml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (by_hand, _) =
        text.split_once(MARK).unwrap_or_else(|| panic!("docs/openapi.yaml has no line `{}`", MARK.trim()));
    let Language { resolve, events } = Language::read();
    let mut text = format!("{by_hand}{MARK}{EVENT}");
    for (name, _) in &events {
        let _ = writeln!(text, "        - {{$ref: '#/components/schemas/{name}Event'}}");
    }
    text.extend(events.iter().map(|(name, _)| ENVELOPE.replace("{name}", name)));
    for (name, id) in &events {
        let TypeDefKind::Record(record) = &resolve.types[*id].kind else { panic!("the data of {name} is no record") };
        // What was added since it was frozen is not in older events.
        let event_type = EventType::find(EventType::ALL, name).expect("a type in `events!`");
        let frozen = samples::golden(event_type, event_type.version());
        let named: Vec<_> = record.fields.iter().map(|field| (field.name.replace('-', "_"), field)).collect();
        let always: Vec<_> = named.iter().map(|(name, _)| &**name).filter(|name| frozen.get(name).is_some()).collect();
        let docs = quoted(&resolve.types[*id].docs);
        let _ = writeln!(text, "    {name}:\n      type: object\n      description: {docs}");
        let _ = writeln!(text, "      required: [{}]\n      properties:", always.join(", "));
        for (name, field) in named {
            let docs =
                if field.docs.is_empty() { String::new() } else { format!(", description: {}", quoted(&field.docs)) };
            let _ = writeln!(text, "        {name}: {{{}{docs}}}", schema(&resolve, &field.ty));
        }
    }
    text
}

const EVENT: &str = r#"    Event:
      description: "A CloudEvent (1.0). What its data holds depends on its type. Types may be added: skip those that you do not know."
      oneOf:
"#;

const ENVELOPE: &str = r#"    {name}Event:
      type: object
      required: [specversion, id, source, type, subject, time, sequence, correlationid, causationid, traceparent, datacontenttype, data]
      properties:
        specversion: {const: "1.0"}
        id: {type: string}
        source: {type: string}
        type: {const: {name}}
        subject: {type: string}
        time: {type: string, format: date-time}
        sequence: {type: integer, minimum: 1}
        correlationid: {type: string}
        causationid: {type: string}
        traceparent: {type: string}
        authtype: {type: string, enum: [app_user, service_account, system, unauthenticated, unknown], description: "What made it happen (the extension Auth Context)."}
        authid: {type: string, description: "Which one: a member, a service, a context."}
        dataschema: {type: string, format: uri, description: "The version of its type that the data has the form of: `urn:mealkit:event:<type>:<version>`. Left out for the first one."}
        datacontenttype: {const: application/json}
        data: {$ref: '#/components/schemas/{name}'}
"#;

/// Words in YAML.
fn quoted(docs: &Docs) -> String {
    let text = docs.contents.as_deref().unwrap_or_default().replace('\n', " ");
    serde_json::to_string(&text).expect("a text")
}

/// A member's schema. (A record within an event has one by hand, for it may stand elsewhere, too.)
fn schema(resolve: &Resolve, kind: &Type) -> String {
    match kind {
        Type::String => "type: string".to_owned(),
        Type::Bool => "type: boolean".to_owned(),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => "type: integer, minimum: 0".to_owned(),
        Type::S8 | Type::S16 | Type::S32 | Type::S64 => "type: integer".to_owned(),
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(kind) => schema(resolve, kind),
            TypeDefKind::List(kind) => format!("type: array, items: {{{}}}", schema(resolve, kind)),
            TypeDefKind::Option(kind) => {
                let schema = schema(resolve, kind);
                let (kind, rest) =
                    schema.split_once(',').map_or((&*schema, String::new()), |(kind, rest)| (kind, format!(",{rest}")));
                format!("type: [{}, \"null\"]{rest}", kind.trim_start_matches("type: "))
            }
            TypeDefKind::Record(_) => {
                let name = resolve.types[*id].name.as_deref().unwrap_or_default();
                format!("$ref: '#/components/schemas/{}'", pascal(name))
            }
            other => panic!("how {other:?} looks in JSON is not said yet"),
        },
        other => panic!("how {other:?} looks in JSON is not said yet"),
    }
}

/// What they promise: every member is there in every event of its type.
pub fn facts() -> Facts {
    let mut facts = Facts::default();
    let Language { resolve, events } = Language::read();
    for (event, id) in events {
        let mut members = BTreeMap::new();
        add(&resolve, id, "", &mut members);
        for (path, kind) in members {
            facts.add(format!("{event} carries {path} {kind}"));
        }
    }
    facts
}

fn add(resolve: &Resolve, id: TypeId, prefix: &str, members: &mut BTreeMap<String, String>) {
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
fn of(resolve: &Resolve, kind: &Type) -> Result<String, TypeId> {
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
