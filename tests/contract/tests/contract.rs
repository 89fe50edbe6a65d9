//! What was promised once stays: the API and the events of today against those in `golden/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "whatever goes wrong here is a failed test"
)]

use contract_tests::{Api, Facts, events, root};
use contracts::{EventType, samples};
use serde_json::{Value, json};
use std::{collections::BTreeSet, env, fs};

/// Set it to write additions down. What breaks somebody is never written.
const NEW: &str = "NEW_GOLDEN";

/// Compares with what was promised; `for_whom` says who is hit by the loss of a line, `may_wait` which additions need not be
/// written down yet.
fn compare(file: &str, today: &Facts, for_whom: impl Fn(&str) -> String, may_wait: impl Fn(&str) -> bool) {
    let path = root().join("tests/contract/golden").join(file);
    let promised: Facts = fs::read_to_string(&path).unwrap_or_default().parse().unwrap();
    let changes = today.since(&promised);
    let breaking: String =
        changes.breaking.iter().map(|line| format!("{line}\n    breaks {}\n", for_whom(&line[2..]))).collect();
    assert!(
        breaking.is_empty(),
        "\nBREAKING (- was promised, + is now demanded, or lacking in old logs):\n{breaking}\nKeep the old beside the new (docs/zero-downtime.md), or give \
         the new a name of its own. Is nobody hit after all? Then change the lines of tests/contract/golden/{file} by hand, \
         and say why in the commit."
    );
    if changes.additive.is_empty() {
        return;
    }
    if env::var_os(NEW).is_some() {
        return fs::write(path, today.to_string()).unwrap();
    }
    let (waiting, added): (Vec<_>, Vec<_>) = changes.additive.into_iter().partition(|line| may_wait(line));
    let how =
        format!("write it down with `{NEW}=1 cargo test -p contract-tests`, and commit tests/contract/golden/{file}.");
    assert!(
        added.is_empty(),
        "\nADDED, which breaks nobody:\n{}\n\nFrom now on it is promised: {how}",
        added.join("\n")
    );
    println!("ADDED, which breaks nobody:\n{}\n\nOnce it is released, it is promised: {how}", waiting.join("\n"));
}

fn readers_of(fact: &str) -> String {
    let event = fact.split(' ').next().unwrap_or_default();
    let reads = |it: &saga_tests::About| EventType::find(it.consumes, event).is_some();
    let readers = saga_tests::contexts().into_iter().filter(reads).map(|it| it.name);
    let readers: BTreeSet<_> = readers.collect();
    let readers: Vec<_> = readers.into_iter().chain(["whoever follows /events", "every log that holds it"]).collect();
    readers.join(", ")
}

fn clients_of(fact: &str) -> String {
    if fact.starts_with("ANY ") {
        return "all clients".to_owned();
    }
    let operation: Vec<_> = fact.split(' ').take(2).collect();
    format!("the clients of {}", operation.join(" "))
}

#[test]
fn the_api_keeps_its_promises() {
    compare("api.txt", &Api::shop().facts(), clients_of, |_| false);
}

#[test]
fn the_events_keep_their_promises() {
    // An optional member is promised once it is released: until then it costs one line in its record.
    compare("events.txt", &events::facts(), readers_of, |line| line.ends_with(" or null"));
}

#[test]
fn who_is_hit_by_an_event_is_known() {
    assert_eq!(
        readers_of("StockDecreased carries .stock integer"),
        "customer-center, delivery, whoever follows /events, every log that holds it"
    );
    assert_eq!(clients_of("GET /orders answers 200 .items array"), "the clients of GET /orders");
}

/// The API says of every event what `wit/` says.
#[test]
fn the_api_describes_the_events_as_they_are() {
    let path = root().join("docs/openapi.yaml");
    let described = events::described();
    if env::var_os(NEW).is_some() {
        return fs::write(path, described).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap() == described,
        "docs/openapi.yaml says of the events something else than wit/contracts/events.wit; `{NEW}=1 cargo test -p \
         contract-tests` writes it anew."
    );
}

/// The golden files of the events are what the API says, to the last member.
#[test]
fn the_samples_of_the_events_fit_the_api() {
    for event in samples::all() {
        let name = event.name();
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        let validator = Api::shop().validator(&schema, true);
        let data = EventType::find(EventType::ALL, name).unwrap().write(&event).unwrap();
        let data: Value = serde_json::from_str(&data).unwrap();
        let errors: Vec<_> = validator.iter_errors(&data).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

/// What others rely on and what only adds something are told apart.
#[test]
fn breaking_and_additive_changes_are_told_apart() {
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changed = |change: Change<'_>| {
        let mut document = Api::shop().document().clone();
        change(&mut document);
        Api::new(document).facts().since(&Api::shop().facts())
    };
    let schema = |name: &'static str, change: fn(&mut Value)| {
        move |it: &mut Value| change(&mut it["components"]["schemas"][name])
    };
    let breaks: [(&str, Change<'_>); 8] = [
        (
            "- GET /orders/{id} answers 200 .amount integer",
            &schema("Order", |it| drop(it["properties"].as_object_mut().unwrap().remove("amount"))),
        ),
        (
            "- GET /orders/{id} answers 200 .amount integer",
            &schema("Order", |it| it["properties"]["amount"]["type"] = json!("string")),
        ),
        (
            "- GET /orders/{id} answers 200 .reason always",
            &schema("Order", |it| it["required"].as_array_mut().unwrap().retain(|it| it != "reason")),
        ),
        (
            "- GET /orders answers 200 .items[].status may be \"paid\"",
            &schema("Order", |it| it["properties"]["status"]["enum"] = json!(["placed"])),
        ),
        (
            "+ POST /orders demands body .coupon",
            &schema("NewOrder", |it| {
                it["properties"]["coupon"] = json!({"type": "string"});
                it["required"].as_array_mut().unwrap().push(json!("coupon"));
            }),
        ),
        (
            "+ POST /orders demands body .quantity maximum 9",
            &schema("NewOrder", |it| it["properties"]["quantity"]["maximum"] = json!(9)),
        ),
        ("- DELETE /orders/{id} answers 200 application/json", &|it| {
            drop(it["paths"]["/orders/{id}"].as_object_mut().unwrap().remove("delete"))
        }),
        ("- GET /orders accepts query member_id", &|it| it["paths"]["/orders"]["get"]["parameters"] = json!([])),
    ];
    for (line, change) in breaks {
        let changes = changed(change);
        assert!(changes.breaking.contains(&line.to_owned()), "`{line}` is not said to break anybody: {changes:?}");
    }
    let adds: [Change<'_>; 5] = [
        &schema("Order", |it| it["properties"]["gift"] = json!({"type": "boolean"})),
        &schema("NewOrder", |it| it["properties"]["gift"] = json!({"type": "boolean"})),
        &schema("Order", |it| it["properties"]["status"]["enum"].as_array_mut().unwrap().push(json!("returned"))),
        &schema("NewOrder", |it| it["properties"]["note"] = json!({"type": "string", "maxLength": 9})),
        &|it| it["paths"]["/coupons"] = it["paths"]["/products"].clone(),
    ];
    for change in adds {
        let changes = changed(change);
        assert!(changes.breaking.is_empty() && !changes.additive.is_empty(), "{changes:?}");
    }
}

/// A new member of an event is optional, unless the event is new, too.
#[test]
fn a_member_that_old_logs_lack_must_be_optional() {
    let facts = |text: &str| text.parse::<Facts>().unwrap();
    let promised = facts("OrderPlaced carries .amount integer");
    let since = |more: &str| facts(&format!("{promised}{more}")).since(&promised);
    let (optional, required) = ("OrderPlaced carries .card string or null", "OrderPlaced carries .card string");
    assert_eq!(since(optional).additive, [format!("+ {optional}")]);
    assert_eq!(since(required).breaking, [format!("+ {required}")]);
    let of_a_new_event = since("OrderReturned carries .amount integer");
    assert!(of_a_new_event.breaking.is_empty() && of_a_new_event.additive.len() == 1, "{of_a_new_event:?}");
}

/// An event of a later version says so, and the API knows it.
#[test]
fn an_event_may_tell_the_version_of_its_data() {
    let header = |name: &str| (name == "content-type").then(|| "application/json".to_owned());
    for event in samples::all() {
        let name = event.name();
        let data = EventType::find(EventType::ALL, name).unwrap().write(&event).unwrap();
        let item = json!({"specversion": "1.0", "id": "i", "source": "s", "type": name, "subject": event.subject(),
            "time": "2026-11-22T00:00:00Z", "sequence": 1, "correlationid": "c", "causationid": "c", "traceparent": "t",
            "dataschema": EventType::dataschema(name, 2), "datacontenttype": "application/json",
            "data": serde_json::from_str::<Value>(&data).unwrap()});
        let page = json!({"items": [item], "next": null}).to_string();
        assert_eq!(Api::shop().check("GET", "/events", 200, header, &page), Ok(()), "{name}");
    }
}

/// An answer that is not what the contract says is refused, in words that say for whom.
#[test]
fn an_answer_that_breaks_the_contract_is_refused() {
    let header = |name: &str| match name {
        "content-type" => Some("application/json".to_owned()),
        "ETag" => Some("\"1\"".to_owned()),
        _ => None,
    };
    let delivery = json!({"id": "d", "order_id": "o", "member_id": "m", "address": "a",
        "courier_id": null, "status": "requested",
        "created_at": "2026-11-22T00:00:00Z", "updated_at": "2026-11-22T00:00:00Z"});
    let answer = |change: &dyn Fn(&mut Value)| {
        let mut body = delivery.clone();
        change(&mut body);
        Api::shop().check("GET", "/deliveries/d?x=1", 200, header, &body.to_string())
    };
    assert_eq!(answer(&|_| {}), Ok(()));
    let refused = |change: &dyn Fn(&mut Value)| answer(change).unwrap_err();
    let whom = "for the clients of GET /deliveries/{id}";
    let gone = refused(&|it| drop(it.as_object_mut().unwrap().remove("status")));
    assert!(gone.starts_with(&format!("BREAKING {whom}")) && gone.contains("status"), "{gone}");
    let other = refused(&|it| it["status"] = json!("lost"));
    assert!(other.starts_with("BREAKING") && other.contains("/status"), "{other}");
    let more = refused(&|it| it["secret"] = json!(1));
    assert!(more.starts_with(&format!("UNDOCUMENTED {whom}")) && more.contains("secret"), "{more}");
    let check = |method, path, status, body: &str| Api::shop().check(method, path, status, header, body);
    let body = delivery.to_string();
    assert!(check("GET", "/deliveries/d", 201, &body).unwrap_err().contains("the status 201"));
    assert!(check("GET", "/nowhere", 200, &body).unwrap_err().contains("no such route"));
    assert!(check("GET", "/deliveries/d", 404, &body).unwrap_err().contains("not application/problem+json"));
    assert!(check("POST", "/products", 201, &body).unwrap_err().contains("header Location"));
}
