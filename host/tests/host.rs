//! The host as a process, with the fixture in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Collector, Host, Redis, address, fixture, free_port, wait_until};
use serde_json::{Value, json};

/// One component on public routes.
const ONE: &str = r#"
[[trigger.http]]
route = "/fixture/..."
component = "fixture"
[component.fixture]
source = "FIXTURE"
sqlite_databases = ["default"]
key_value_stores = ["default"]
"#;

/// A public component that may call a private one, and stands in the Redis trigger too.
const TWO: &str = r#"
[application.trigger.redis]
address = "{{ redis_address }}"
[variables]
redis_address = { required = true }
inner_url = { default = "http://inner.spin.internal" }
[[trigger.http]]
route = "/outer/..."
component = "outer"
[[trigger.http]]
route = { private = true }
component = "inner"
[[trigger.redis]]
channel = "bell"
component = "outer"
[[trigger.redis]]
channel = "bell"
component = "inner"
[component.outer]
source = "FIXTURE"
sqlite_databases = ["default"]
allowed_outbound_hosts = ["{{ redis_address }}", "{{ inner_url }}"]
[component.outer.variables]
greeting = "from {{ inner_url }}"
[component.inner]
source = "FIXTURE"
"#;

fn two(redis: &str) -> Host {
    Host::start(TWO, &["--variable", &format!("redis_address={redis}")])
}

#[test]
fn an_unknown_key_in_the_manifest_is_refused_by_name() {
    let said = Host::refuse(&format!("{ONE}files = [\"a\"]\n"), &[]);
    assert!(said.contains("spin.toml: component.fixture: unknown field `files`; this host doesn't do that"), "{said}");
}

#[test]
fn a_component_that_is_not_built_is_named_with_the_way_to_build_it() {
    let said = Host::refuse(&ONE.replace("FIXTURE", "nowhere.wasm"), &[]);
    assert!(said.contains("component.fixture") && said.contains("nowhere.wasm"), "{said}");
    assert!(said.contains("cargo xtask build"), "{said}");
}

#[test]
fn a_required_variable_without_a_value_is_named() {
    let said = Host::refuse(TWO, &[]);
    assert!(said.contains("`redis_address` is required"), "{said}");
}

#[test]
fn a_forbidden_host_is_refused_and_named() {
    let host = Host::start(ONE, &[]);
    let (status, body) = host.get("/fixture/chain?url=http://127.0.0.1:9/x");
    assert_eq!((status, body.as_str()), (502, "ErrorCode::HttpRequestDenied"));
    host.wait_for("component `fixture` may not reach http://127.0.0.1:9: add it to allowed_outbound_hosts");

    let (status, body) = host.get("/fixture/publish?address=redis://127.0.0.1:9&channel=c&payload=p");
    assert_eq!((status, body.as_str()), (502, "Error::InvalidAddress"));
    host.wait_for("component `fixture` may not reach redis://127.0.0.1:9: add it to allowed_outbound_hosts");
}

#[test]
fn a_forbidden_database_is_refused_and_named() {
    let host = Host::start(ONE, &[]);
    assert_eq!(host.get("/fixture/open?db=other"), (502, "Error::AccessDenied".to_string()));
    host.wait_for("component `fixture` may not open the database `other`: add it to sqlite_databases");
    let (_, body) = host.get("/fixture/attach");
    assert!(body.contains("not authorized"), "{body}");
}

#[test]
fn a_forbidden_store_is_refused_and_named() {
    let host = Host::start(ONE, &[]);
    assert_eq!(host.get("/fixture/store?name=other"), (502, "Error::AccessDenied".to_string()));
    host.wait_for("component `fixture` may not open the key-value store `other`: add it to key_value_stores");
    assert_eq!(host.ok("/fixture/store?name=default"), r#"Some([118, 97, 108, 117, 101]) ["key"] true true"#);
}

#[test]
fn a_private_route_is_reached_by_chaining_only() {
    let Some(redis) = Redis::start() else { return };
    let host = two(&redis.address());
    assert_eq!(host.get("/inner/count").0, 404);
    for forged in ["inner.spin.internal", "inner.spin.internal:80", "INNER.spin.internal"] {
        assert_eq!(host.get_as("/inner/count", forged).0, 404, "{forged}");
        // On a public route there is no host left to be called by.
        assert_eq!(host.get_as("/outer/count", forged).0, 400, "{forged}");
    }
    let seen = host.ok("/outer/chain?url=http://inner.spin.internal/some/headers");
    assert!(seen.starts_with("200 http://inner.spin.internal/some/headers"), "{seen}");
    assert!(!seen.contains("\"host\""), "the callee must see no Host header: {seen}");
    assert_eq!(host.ok("/outer/variable?name=greeting"), "from http://inner.spin.internal");
    assert!(host.get("/outer/variable?name=none").1.contains("Error::Undefined"));
}

#[test]
fn chaining_from_the_redis_trigger_is_refused_at_the_start_where_the_manifest_names_it() {
    let said = Host::refuse(
        &TWO.replace("{{ inner_url }}\"]", "http://inner.spin.internal\"]"),
        &["--variable", "redis_address=redis://127.0.0.1:9"],
    );
    assert!(said.contains("component `outer` stands in the Redis trigger"), "{said}");
}

#[test]
fn chaining_from_the_redis_trigger_fails_where_a_variable_names_it_and_works_from_http() {
    let Some(redis) = Redis::start() else { return };
    let host = two(&redis.address());
    host.wait_for("Active channels");
    assert_eq!(host.ok("/outer/chain?url=http://inner.spin.internal/count"), "200 1");
    redis.publish("bell", "chain?url=http://inner.spin.internal/count");
    host.wait_for("[outer] chain?url=http://inner.spin.internal/count failed: ErrorCode::DnsError");
    host.wait_for("component `outer`: a message of `bell` is lost");
}

#[test]
fn each_message_has_a_fresh_instance_and_one_is_handled_after_the_other() {
    let Some(redis) = Redis::start() else { return };
    let host = two(&redis.address());
    host.wait_for("Active channels");
    redis.publish("bell", "slow");
    redis.publish("bell", "count");
    redis.publish("bell", "count");
    wait_until("all messages are handled", Duration::from_secs(15), || {
        host.output().matches("count -> 1").count() == 4
    });
    let output = host.output();
    assert_eq!(output.matches("slow has started").count(), 2, "both components are woken: {output}");
    let last_end = output.rfind("slow -> slow has ended").unwrap();
    assert!(last_end < output.find("count -> 1").unwrap(), "{output}");
}

#[test]
fn a_handler_that_panics_loses_its_message_only() {
    let Some(redis) = Redis::start() else { return };
    let host = two(&redis.address());
    host.wait_for("Active channels");
    redis.publish("bell", "panic");
    host.wait_for("component `outer`: a message of `bell` is lost");
    redis.publish("bell", "count");
    host.wait_for("[outer] count -> 1");
}

#[test]
fn http_goes_on_without_redis_and_the_channels_come_back_with_it() {
    let port = free_port();
    let host = two(&address(port));
    host.wait_for(&format!("Redis at {} does not answer", address(port)));
    assert_eq!(host.ok("/outer/count"), "1");
    let publish = format!("/outer/publish?address={}&channel=bell&payload=count", address(port));
    assert_eq!(host.get(&publish).0, 502);

    let Some(redis) = Redis::start_on(port) else { return };
    host.wait_for("Active channels");
    assert_eq!(host.ok(&publish), "published");
    host.wait_for("[outer] count -> 1");

    drop(redis);
    host.wait_for("is gone; messages get lost until it is back");
    host.ok("/outer/count");
    let Some(redis) = Redis::start_on(port) else { return };
    wait_until("it subscribes again", Duration::from_secs(20), || {
        host.output().matches("Active channels").count() == 2
    });
    assert_eq!(redis.publish("bell", "variable?name=greeting"), 1);
    host.wait_for("[outer] variable?name=greeting -> from http://inner.spin.internal");
    assert_eq!(host.ok(&publish), "published");
    assert_eq!(redis.port(), port);
}

#[test]
fn a_connection_to_redis_that_broke_stays_broken() {
    let Some(redis) = Redis::start() else { return };
    let (port, address) = (redis.port(), redis.address());
    let host = two(&address);
    let kept = format!("/outer/publish-kept?address={address}&channel=other&payload=x");
    let fresh = format!("/outer/publish?address={address}&channel=other&payload=x");
    assert_eq!(host.ok(&kept), "published");
    // It keeps the instance.
    let _asleep = host.get_later("/outer/sleep?ms=60000");
    drop(redis);
    assert_eq!(host.get(&kept).0, 502);
    let Some(_redis) = Redis::start_on(port) else { return };
    assert_eq!(host.get(&kept).0, 502);
    assert_eq!(host.ok(&fresh), "published");
}

#[test]
fn a_second_statement_before_the_rows_of_the_first_are_read_fails_loudly() {
    let host = Host::start(ONE, &[]);
    let (status, body) = host.get("/fixture/undrained");
    assert_eq!(status, 502);
    assert!(body.contains("still has rows nobody read (WITH RECURSIVE"), "{body}");
    host.wait_for("component `fixture`: a statement has rows that nobody read, and another one was started");

    let (status, body) = host.get("/fixture/unread-result");
    assert_eq!(status, 502);
    assert!(body.contains("collect them before you wait for its result"), "{body}");
}

#[test]
fn rows_that_were_dropped_or_are_few_and_statements_given_up_hold_nobody_up() {
    let host = Host::start(ONE, &[]);
    assert_eq!(host.ok("/fixture/dropped"), "all of them ran");
    assert!(host.ok("/fixture/cancelled").starts_with("given up"));
    assert_eq!(host.ok("/fixture/rows"), "1000");
    assert!(!host.output().contains("nobody read"), "{}", host.output());
}

#[test]
fn who_shares_a_connection_waits_until_the_rows_of_the_other_are_read_or_dropped() {
    let host = Host::start(ONE, &[]);
    for (round, (then, outcome)) in [("read", "1000"), ("drop", "dropped")].into_iter().enumerate() {
        let held = host.get_later(&format!("/fixture/held?then={then}"));
        wait_until("rows are held", Duration::from_secs(15), || host.output().matches("rows are held").count() > round);
        assert_eq!(host.ok("/fixture/beside"), "Unread, then No");
        assert_eq!(held.join().unwrap().unwrap(), (200, outcome.to_string()));
    }
    assert_eq!(host.ok("/fixture/inserted"), "[Value::Integer(2)]");
    assert!(!host.output().contains("nobody read"), "{}", host.output());
}

#[test]
fn more_rows_than_four_that_nobody_reads_keep_the_lock_of_their_statement() {
    let host = Host::start(ONE, &[]);
    assert_eq!(host.ok("/fixture/locks?rows=4"), "Ok(()), 4 rows");
    assert_eq!(host.ok("/fixture/locks?rows=5"), "Err(Error::Io(\"database is locked\")), 5 rows");
}

#[test]
fn a_write_whose_rows_are_dropped_is_done_wholly() {
    let host = Host::start(ONE, &[]);
    assert_eq!(host.ok("/fixture/given-up-write"), "[Value::Integer(1000)]");
}

#[test]
fn what_guests_cost_the_database_is_counted() {
    let host = Host::start(ONE, &["--metrics", "127.0.0.1:0"]);
    let metric = |name: &str| host.metric(&format!("sqlite_{name}_total"));
    host.ok("/fixture/insert");
    assert_eq!(metric("connections"), 1);
    let (statements, commits, syncs) = (metric("statements"), metric("commits"), metric("syncs"));
    for _ in 0..10 {
        host.ok("/fixture/insert");
        host.ok("/fixture/select");
    }
    assert_eq!(metric("statements") - statements, 20);
    assert_eq!(metric("commits") - commits, 10);
    assert_eq!(metric("syncs") - syncs, 10, "one of the log each, for synchronous is FULL");
    assert_eq!(metric("connections"), 1);
    host.ok("/fixture/store?name=default");
    assert_eq!(metric("commits") - commits, 13, "a table, a value, and its end");
}

#[test]
fn what_spin_does_not_hand_on_is_refused() {
    let host = Host::start(ONE, &[]);
    let request = |headers: &[u8]| {
        [&b"GET /fixture/headers HTTP/1.1\r\n"[..], headers, &b"connection: close\r\n\r\n"[..]].concat()
    };
    assert_eq!(host.raw(&request(b"host: localhost\r\n")), 200);
    assert_eq!(host.raw(&request("host: localhost\r\nx-name: \u{ae40}\r\n".as_bytes())), 200, "UTF-8");
    for headers in [
        &b"host: localhost\r\nx-name: \xff\xfe\r\n"[..],
        b"",
        b"host:\r\n",
        b"host: not a host\r\n",
        b"host: somebody@localhost\r\n",
        b"host: localhost\r\nhost: localhost\r\n",
    ] {
        assert_eq!(host.raw(&request(headers)), 400, "{}", String::from_utf8_lossy(headers));
    }
    let absolute = |host: &str| {
        let line = "GET http://localhost/fixture/headers HTTP/1.1";
        format!("{line}\r\nhost: {host}\r\nconnection: close\r\n\r\n").into_bytes()
    };
    assert_eq!(host.raw(&absolute("localhost")), 200);
    assert_eq!(host.raw(&absolute("elsewhere")), 400, "two hosts that are not one");
}

#[test]
fn a_client_that_closes_its_sending_half_is_answered() {
    let host = Host::start(ONE, &[]);
    for connection in ["close", "keep-alive"] {
        let request = format!("GET /fixture/slow HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n");
        assert_eq!(host.raw_half_closed(request.as_bytes()), 200, "{connection}");
    }
}

#[test]
fn only_the_first_statement_of_a_text_runs() {
    let host = Host::start(ONE, &[]);
    host.ok("/fixture/insert");
    host.ok("/fixture/two-statements");
    assert_eq!(host.ok("/fixture/inserted"), "[Value::Integer(2)]");
}

#[test]
fn what_is_committed_survives_a_kill() {
    let host = Host::start(ONE, &[]);
    for _ in 0..10 {
        host.ok("/fixture/insert");
    }
    let directory = host.kill();
    let host = Host::start_in(directory, &[]);
    assert_eq!(host.ok("/fixture/inserted"), "[Value::Integer(10)]");
    assert_eq!(host.ok("/fixture/journal"), "[Value::Text(\"wal\")]");
}

#[test]
fn concurrent_inserts_all_count() {
    let host = Host::start(ONE, &[]);
    let inserts: Vec<_> = (0..64).map(|_| host.get_later("/fixture/insert")).collect();
    for insert in inserts {
        assert_eq!(insert.join().unwrap().unwrap().0, 200);
    }
    assert_eq!(host.ok("/fixture/inserted"), "[Value::Integer(64)]");
}

#[test]
fn an_instance_is_reused_and_a_panic_ends_it_with_its_requests() {
    let host = Host::start(ONE, &[]);
    assert_eq!(host.ok("/fixture/count"), "1");
    assert_eq!(host.ok("/fixture/count"), "2");

    let slow = host.get_later("/fixture/slow");
    host.wait_for("slow has started");
    assert_eq!(host.get("/fixture/panic").0, 500);
    assert_eq!(slow.join().unwrap().unwrap().0, 500, "it was in flight on the same instance");
    host.wait_for("as asked");
    host.wait_for("component `fixture`: an instance ended");
    assert_eq!(host.ok("/fixture/count"), "1", "a fresh instance");
}

#[test]
fn a_statement_with_the_text_of_trap_ends_its_instance_and_does_not_run() {
    let host = Host::start(ONE, &["--trap", "poison"]);
    host.ok("/fixture/insert?note=food");
    let slow = host.get_later("/fixture/slow");
    host.wait_for("slow has started");
    assert_eq!(host.get("/fixture/insert?note=some+poison").0, 500);
    assert_eq!(slow.join().unwrap().unwrap().0, 500, "it was in flight on the same instance");
    host.wait_for("component `fixture`: an instance ended");
    host.wait_for("a statement trapped on `poison`");
    assert_eq!(host.ok("/fixture/count"), "1", "a fresh instance");
    assert_eq!(host.ok("/fixture/inserted"), "[Value::Integer(1)]");
}

#[test]
fn an_instance_serves_128_requests_and_ends_after_a_second_without_any() {
    let host = Host::start(ONE, &[]);
    for n in 1..=128 {
        assert_eq!(host.ok("/fixture/count"), n.to_string());
    }
    assert_eq!(host.ok("/fixture/count"), "1");
    assert_eq!(host.ok("/fixture/count"), "2");
    wait_until("the instance ends for want of requests", Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_millis(1_100));
        host.ok("/fixture/count") == "1"
    });
}

#[test]
fn a_request_in_flight_finishes_when_the_host_is_asked_to_end() {
    let mut host = Host::start(ONE, &[]);
    let slow = host.get_later("/fixture/slow");
    host.wait_for("slow has started");
    host.ok("/fixture/spawn");
    host.terminate();
    assert_eq!(slow.join().unwrap().unwrap(), (200, "slow has ended".to_string()));
    assert!(host.ended().success());
    host.wait_for("spawned work is done");
}

#[test]
fn a_host_that_drains_is_not_ready_but_serves_until_it_ends() {
    let mut host = Host::start(&ONE.replace("/fixture/...", "/..."), &["--drain", "3"]);
    assert_eq!(host.get("/health/ready").0, 502, "it is the component that answers");
    let slow = host.get_later("/slow");
    host.wait_for("slow has started");
    let mut kept = host.connect();
    assert_eq!(kept.get("/count").0, 200);
    host.terminate();
    wait_until("it is not ready", Duration::from_secs(2), || host.get("/health/ready").0 == 503);
    let (_, body) = host.get("/health/ready");
    assert!(body.starts_with(r#"{"type":"/problems/draining""#), "{body}");
    // New connections are served, and those that are kept alive once more.
    host.ok("/count");
    let (status, head) = kept.get("/count");
    assert!(status == 200 && head.contains("connection: close"), "{head}");
    assert_eq!(slow.join().unwrap().unwrap(), (200, "slow has ended".to_string()));
    host.ok("/spawn");
    assert!(host.ended().success());
    host.wait_for("spawned work is done");
}

#[test]
fn asked_twice_it_ends_at_once() {
    let mut host = Host::start(ONE, &["--drain", "3600"]);
    let slow = host.get_later("/fixture/slow");
    host.wait_for("slow has started");
    host.terminate();
    wait_until("it is not ready", Duration::from_secs(2), || host.get("/health/ready").0 == 503);
    host.terminate();
    assert!(!host.ended().success(), "what was in flight was dropped");
    assert!(slow.join().unwrap().is_err());
}

#[test]
fn a_message_in_flight_is_handled_when_the_host_is_asked_to_end() {
    let Some(redis) = Redis::start() else { return };
    let mut host = two(&redis.address());
    host.wait_for("Active channels");
    redis.publish("bell", "slow");
    host.wait_for("[outer] slow has started");
    host.terminate();
    assert!(host.ended().success());
    host.wait_for("[outer] slow -> slow has ended");
}

#[test]
fn what_components_print_is_in_files_and_on_the_console_unless_quiet() {
    let host = Host::start(ONE, &[]);
    host.ok("/fixture/print");
    host.wait_for("[fixture] printed to stdout");
    host.wait_for("[fixture] printed to stderr");
    let quiet = Host::start(ONE, &["--quiet"]);
    quiet.ok("/fixture/print");
    for (name, text) in [("stdout", "printed to stdout\n"), ("stderr", "printed to stderr\n")] {
        let file = quiet.directory.path().join(format!(".spin/logs/fixture_{name}.txt"));
        wait_until("the line is in the file", Duration::from_secs(5), || {
            std::fs::read_to_string(&file).is_ok_and(|printed| printed == text)
        });
    }
    assert!(!quiet.output().contains("printed"), "{}", quiet.output());
}

#[test]
fn the_host_answers_for_its_health_and_404_where_nobody_answers() {
    let host = Host::start(ONE, &[]);
    assert_eq!(host.get("/.well-known/spin/health"), (200, "OK".to_string()));
    assert_eq!(host.get("/elsewhere").0, 404);
    assert_eq!(host.get("/fixtures").0, 404);
    assert_eq!(host.ok("/fixture/count"), "1");
    assert!(host.ok("/fixture/headers").contains("\"spin-path-info\": \"/headers\""));
}

#[test]
fn other_databases_come_from_the_runtime_config() {
    let toml =
        ONE.replace("sqlite_databases = [\"default\"]", "sqlite_databases = [\"default\", \"other\", \"missing\"]");
    let directory = Arc::new(common::application(&toml));
    let config = directory.path().join("runtime.toml");
    std::fs::write(&config, "[sqlite_database.other]\ntype = \"spin\"\npath = \"files/other.db\"\n").unwrap();
    let host = Host::start_in(directory, &["--runtime-config-file", config.to_str().unwrap()]);
    assert_eq!(host.ok("/fixture/open?db=other"), "opened");
    assert!(host.directory.path().join("files/other.db").exists());
    assert_eq!(host.get("/fixture/open?db=missing"), (502, "Error::NoSuchDatabase".to_string()));
    host.wait_for("there is no database `missing`");
}

#[test]
fn another_server_is_reached_if_it_is_allowed() {
    let other = Host::start(ONE, &[]);
    let url = other.output().split("Serving ").nth(1).unwrap().lines().next().unwrap().to_string();
    let host = Host::start(&format!("{ONE}allowed_outbound_hosts = [\"{url}\", \"http://*.invalid\"]\n"), &[]);
    assert_eq!(host.ok(&format!("/fixture/chain?url={url}/fixture/count")), "200 1");
    let (_, body) = host.get("/fixture/chain?url=http://nowhere.invalid/");
    assert!(body.contains("DnsError"), "{body}");
    drop(other);
    let (_, body) = host.get(&format!("/fixture/chain?url={url}/fixture/count"));
    assert!(body.contains("ConnectionRefused"), "{body}");
    assert!(fixture().is_file());
}

/// What a span says of itself.
fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    &found.unwrap_or_else(|| panic!("no {key}: {span}"))["value"]
}

/// The public component calls the private one by HTTP only.
fn two_with_traces(collector: &Collector) -> Host {
    let toml = TWO.replace("[component.inner]\n", "[component.inner]\nsqlite_databases = [\"default\"]\n");
    let arguments = ["--variable", "redis_address=redis://127.0.0.1:1"];
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    Host::start_with(Arc::new(common::application(&toml)), &arguments, &environment)
}

#[test]
fn one_trace_goes_through_two_components_to_the_database() {
    let collector = Collector::start();
    let mut host = two_with_traces(&collector);
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let path = "/outer/chain?url=http://inner.spin.internal/some/insert";
    assert_eq!(host.get_traced(path, &format!("00-{trace}-{caller}-01")).0, 200);
    host.terminate();
    assert!(host.ended().success());

    // All of them are there: the host has waited for the collector.
    let spans = collector.spans();
    let one = |name: &str, parent: &Value| {
        let found: Vec<_> = spans.iter().filter(|s| s["name"] == name && s["parentSpanId"] == *parent).collect();
        assert_eq!(found.len(), 1, "{name} of {parent}: {spans:#?}");
        assert_eq!(found[0]["traceId"], trace);
        found[0]
    };
    let outer = one("GET /outer/...", &json!(caller));
    assert_eq!((&outer["kind"], attribute(outer, "component_id")), (&json!(2), &json!({"stringValue": "outer"})));
    assert_eq!(attribute(outer, "http.response.status_code"), &json!({"intValue": "200"}));
    let call = one("GET", &outer["spanId"]);
    assert_eq!(call["kind"], 3);
    assert_eq!(attribute(call, "url.full"), &json!({"stringValue": "http://inner.spin.internal/some/insert"}));
    let inner = one("GET /...", &call["spanId"]);
    assert_eq!(attribute(inner, "component_id"), &json!({"stringValue": "inner"}));
    one("spin_sqlite.open", &inner["spanId"]);
    let statements: Vec<_> = spans.iter().filter(|s| s["name"] == "spin_sqlite.execute").collect();
    assert!(statements.iter().all(|s| s["parentSpanId"] == inner["spanId"]), "{statements:#?}");
    let insert = json!({"stringValue": "INSERT INTO fixture (note) VALUES (?)"});
    assert!(statements.iter().any(|s| *attribute(s, "db.query.summary") == insert), "{statements:#?}");
    assert!(!format!("{spans:?}").contains("a row of the fixture"), "no parameters");
}

#[test]
fn requests_at_once_on_one_instance_are_not_mixed_up() {
    let collector = Collector::start();
    let host = Arc::new(two_with_traces(&collector));
    let trace = |number: usize| format!("{:032x}", number + 1);
    let requests: Vec<_> = (0..16)
        .map(|number| {
            let (host, traceparent) = (host.clone(), format!("00-{}-b7ad6b7169203331-01", trace(number)));
            std::thread::spawn(move || host.get_traced("/outer/insert", &traceparent).0)
        })
        .collect();
    for request in requests {
        assert_eq!(request.join().unwrap(), 200);
    }
    let inserts = |spans: &[Value], number: usize| {
        let of_trace: Vec<_> = spans.iter().filter(|span| span["traceId"] == trace(number)).cloned().collect();
        let server = of_trace.iter().find(|span| span["kind"] == 2).map(|span| span["spanId"].clone());
        let is_insert = |span: &&Value| {
            span["name"] == "spin_sqlite.execute"
                && attribute(span, "db.query.summary")["stringValue"].as_str().unwrap().starts_with("INSERT")
                && span["status"] == json!({})
        };
        of_trace.iter().filter(is_insert).filter(|span| Some(&span["parentSpanId"]) == server.as_ref()).count()
    };
    wait_until("every trace has its own insert", Duration::from_secs(15), || {
        let spans = collector.spans();
        (0..16).all(|number| inserts(&spans, number) == 1)
    });
}

#[test]
fn a_message_is_a_trace_and_so_is_what_it_leads_to() {
    let Some(redis) = Redis::start() else { return };
    let collector = Collector::start();
    let toml = TWO.replace("[component.inner]\n", "[component.inner]\nsqlite_databases = [\"default\"]\n");
    let (variable, endpoint) = (format!("redis_address={}", redis.address()), collector.endpoint());
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let host = Host::start_with(Arc::new(common::application(&toml)), &["--variable", &variable], &environment);
    host.wait_for("Active channels");
    redis.publish("bell", "insert");
    wait_until("both messages have a span with statements", Duration::from_secs(15), || {
        let spans = collector.spans();
        let messages: Vec<_> = spans.iter().filter(|span| span["name"] == "bell receive").collect();
        let has_statement = |message: &&&Value| {
            spans.iter().any(|s| s["name"] == "spin_sqlite.execute" && s["parentSpanId"] == message["spanId"])
        };
        messages.iter().filter(has_statement).count() == 2
    });
}

#[test]
fn without_a_collector_requests_go_through_as_they_came() {
    let host = Host::start(ONE, &[]);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(host.get_traced("/fixture/headers", traceparent).1.contains(traceparent));
    let collector = Collector::start();
    let host = two_with_traces(&collector);
    let (_, seen) = host.get_traced("/outer/headers", traceparent);
    assert!(seen.contains("00-0af7651916cd43dd8448eb211c80319c-"), "the same trace: {seen}");
    assert!(!seen.contains("b7ad6b7169203331"), "but the guest sees its own span: {seen}");
}
