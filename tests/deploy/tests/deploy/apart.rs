//! The contexts apart, as the overlays have them: each SpinApp is a process of the bundled host, run from the manifest that is
//! derived for it and with the variables that the overlay sets; nginx leads to them as the Ingress says.

use crate::monitoring::METRICS;
use deploy_tests::{Objects, Tool, checks::NOT_PUBLIC, root, string};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tests::{CARD, Client, Person, Redis, eventually, text, within};

/// The first start compiles the components, all at once.
const START: Duration = Duration::from_secs(180);

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = || fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Shop {
    gateway: Client,
    ports: BTreeMap<String, u16>,
    _redis: Option<Redis>,
    _processes: Vec<Running>,
    _folder: tempfile::TempDir,
}

fn host() -> Option<PathBuf> {
    let host = env::var_os("MEALKIT_HOST").map_or_else(|| root().join("target/release/mealkit-host"), PathBuf::from);
    let is_there = host.is_file();
    assert!(
        is_there || env::var_os("CI").is_none_or(|ci| ci != "true"),
        "there is no {}: `cargo xtask build`",
        host.display()
    );
    if !is_there {
        eprintln!("SKIPPED: there is no {}; it comes with `cargo xtask build`", host.display());
    }
    is_there.then_some(host)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port()
}

impl Shop {
    /// The apps of this overlay, with a Redis if it has one.
    fn open(overlay: &str) -> Option<Self> {
        let (objects, nginx, host) = (Objects::overlay(overlay)?, Tool::nginx()?, host()?);
        let has_redis = objects.find("Service", "mealkit-redis").is_some();
        if has_redis && env::var_os("MEALKIT_NO_REDIS").is_some() {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("mealkit-apart-").tempdir().unwrap();
        let redis = has_redis.then(|| Redis::start(folder.path()));
        let apps: Vec<&Value> = objects.kind("SpinApp").collect();
        let ports: BTreeMap<_, _> = apps.iter().map(|app| (string(&app["metadata"]["name"]), free_port())).collect();
        let mut processes = vec![];
        for app in apps {
            let name = string(&app["metadata"]["name"]);
            let manifest = manifest(name.trim_start_matches("mealkit-"), has_redis, folder.path());
            let mut command = Command::new(&host);
            command.arg("up").arg("-f").arg(manifest).args(["--listen", &format!("127.0.0.1:{}", ports[&name])]);
            command.arg("--state-dir").arg(folder.path().join("state")).current_dir(root());
            for variable in app["spec"]["variables"].as_array().unwrap() {
                let value = value(&objects, variable, &ports, redis.as_ref());
                command.arg("--variable").arg(format!("{}={value}", string(&variable["name"])));
            }
            processes.push(Running::start(&mut command, &folder.path().join(format!("{name}.log"))));
        }
        // Both lead to the same routes (`kubernetes.rs`), but nginx knows no HTTPRoute.
        let (gateway, process) = gateway(&Objects::overlay("local-split")?, &nginx, &ports, folder.path());
        processes.push(process);
        let shop =
            Self { gateway: Client::new(&gateway), ports, _redis: redis, _processes: processes, _folder: folder };
        // Whoever wakes the context member has it publish its key.
        within(START, "the key that signs tokens", || {
            match shop.at("mealkit-member").call("GET", "/.well-known/jwks.json").try_send() {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.to_string()),
                Err(error) => Err(error.to_string()),
            }
        });
        // The journal reaches all of them: then all of them are there.
        within(START, "all contexts caught up", || {
            match shop.at("mealkit-journal").call("POST", "/catch-up").try_send() {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.to_string()),
                Err(error) => Err(error.to_string()),
            }
        });
        Some(shop)
    }

    /// One app, past the gateway.
    fn at(&self, app: &str) -> Client {
        Client::new(&format!("http://127.0.0.1:{}", self.ports[app]))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.gateway.call("POST", path).json(body).send().is(201)
    }

    fn get(&self, path: &str) -> Value {
        self.gateway.call("GET", path).send().is(200)
    }
}

/// The manifest of one component; without a Redis as the release has it.
fn manifest(component: &str, has_redis: bool, folder: &Path) -> PathBuf {
    let path = folder.join(format!("{component}.toml"));
    let mut xtask = Command::new(env!("CARGO"));
    xtask.args(["run", "--quiet", "--package", "xtask", "--", "manifest", "--cluster"]);
    xtask.args((!has_redis).then_some("--http-only"));
    xtask.args(["--component", component, "--output"]);
    let output = xtask.arg(&path).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// What the overlay sets a variable to, with the addresses of this machine instead of the Services'.
fn value(objects: &Objects, variable: &Value, ports: &BTreeMap<String, u16>, redis: Option<&Redis>) -> String {
    let reference = &variable["valueFrom"];
    let key = |kind: &str| reference[kind]["key"].as_str();
    match key("secretKeyRef") {
        Some("signing-key") => return tests::signing_key(),
        Some(_) => return String::new(),
        None => {}
    }
    if let Some(key) = key("configMapKeyRef") {
        return string(&objects.find("ConfigMap", "mealkit").unwrap()["data"][key]);
    }
    let text = string(&variable["value"]);
    if text.starts_with("redis://") {
        return redis.expect("an overlay without a Redis names one").address();
    }
    match text.strip_prefix("http://").and_then(|service| ports.get(service)) {
        Some(port) => format!("http://127.0.0.1:{port}"),
        None => text,
    }
}

/// nginx with the rules of the Ingress, and with nothing else.
fn gateway(objects: &Objects, nginx: &Tool, ports: &BTreeMap<String, u16>, folder: &Path) -> (String, Running) {
    let rules = &objects.find("Ingress", "mealkit").unwrap()["spec"]["rules"][0]["http"]["paths"];
    let locations: String = rules
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            let (path, port) = (string(&rule["path"]), ports[&string(&rule["backend"]["service"]["name"])]);
            let pass = format!("proxy_pass http://127.0.0.1:{port};");
            format!("location = {path} {{ {pass} }}\nlocation {path}/ {{ {pass} }}\n")
        })
        .collect();
    let (port, folder) = (free_port(), folder.display());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|it| format!("{it}_temp_path {folder}/{it};\n"))
        .concat();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\nevents {{}}\nhttp {{\naccess_log off;\n\
         {temporary}server {{\nlisten 127.0.0.1:{port};\n{locations}location / {{ return 404; }}\n}}\n}}\n"
    );
    let path = format!("{folder}/nginx.conf");
    fs::write(&path, config).unwrap();
    let process = Running::start(nginx.command().args(["-c", &path]), Path::new(&format!("{folder}/gateway.log")));
    (format!("http://127.0.0.1:{port}"), process)
}

/// A kit, an order and its cancellation, on which all contexts work: order charges at payment, which is another process;
/// delivery hears of it by a bell, and has no cron here that would make up for one that does not ring.
fn sells(shop: &Shop) {
    let kit =
        shop.post("/products", &json!({"seller_id": "seller-1", "name": "Bibimbap", "price": 12_500, "stock": 10}));
    let order = shop.post(
        "/orders",
        &json!({"member_id": "hana", "product_id": kit["id"], "quantity": 2, "address": "110 Sejong-daero, Seoul",
            "payment": {"card_number": CARD, "card_owner": "Hana Kim"}}),
    );
    assert_eq!(order["status"], "paid");
    let page = format!("/mypages/{}", text(&order["id"]));
    let becomes = |wanted: [&str; 3]| {
        eventually(&format!("{wanted:?}"), || {
            let page = shop.get(&page);
            let statuses = ["order_status", "payment_status", "delivery_status"]
                .map(|it| page[it].as_str().unwrap_or("none").to_owned());
            if statuses == wanted { Ok(()) } else { Err(format!("{statuses:?}")) }
        });
    };
    becomes(["delivery_requested", "completed", "requested"]);
    shop.gateway.call("DELETE", &format!("/orders/{}", text(&order["id"]))).send().is(200);
    becomes(["cancelled", "cancelled", "cancelled"]);
    let stock = format!("/products/{}", text(&kit["id"]));
    eventually("back in stock", || match shop.get(&stock)["stock"].as_i64() {
        Some(10) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// As on Azure.
#[test]
fn apart_and_without_redis_the_bells_ring_by_http() {
    let Some(shop) = Shop::open("aks-split") else { return };
    sells(&shop);
}

#[test]
fn the_contexts_apart_are_a_shop() {
    let Some(shop) = Shop::open("local-split") else { return };
    sells(&shop);

    // What the alerts and the dashboard go by is there.
    let metrics = format!(
        "GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\nconnection: close\r\n\r\n",
        Person::operator().authorization()
    );
    let metrics = shop.at("mealkit-journal").raw(&metrics);
    let missing: Vec<_> = METRICS.iter().filter(|name| !metrics.contains(&format!("# TYPE {name} "))).collect();
    assert!(missing.is_empty(), "{missing:?} are not in {metrics}");

    // Each is reached by its fellows, on the private route; by no stranger, not even past the gateway; and by nobody
    // through it.
    let charge = json!({"order": {"order_id": "made-up", "amount": 1}, "card_number": CARD});
    let ways_in =
        [("mealkit-payment", "/internal/charges"), ("mealkit-order", "/internal/settle"), ("mealkit-journal", "/bell")];
    for (app, path) in ways_in {
        for call in [shop.at(app).call("POST", path), shop.at(app).call("POST", path).anonymous()] {
            call.json(&charge).send().problem(401);
        }
    }
    let private = ["/internal/charges", "/internal/catch-up", "/internal/bell"];
    let ways = private.into_iter().chain(NOT_PUBLIC).chain([
        "/payments/internal/charges",
        "/payments/../internal/charges",
        "/payments/%2e%2e/internal/charges",
        "/payments/..%2finternal/charges",
        "/payments/%2e%2e%2finternal%2fcharges",
        "//internal/charges",
        "/payments//internal/charges",
        "/internal/charges/../../payments/x",
        "/internal%2fcharges/..%2f..%2fpayments/",
        "/internal/..%2fpayments/x",
        "/payments/..;/internal/charges",
        "/",
    ]);
    for path in ways {
        for method in ["GET", "POST"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: mealkit-payment\r\nconnection: close\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{{}}"
            );
            let answer = shop.gateway.raw(&request);
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(status == "404" || status == "405", "{method} {path} through the gateway: {answer}");
        }
    }
    // A context has its own routes and no others.
    let order = shop.at("mealkit-order").raw("GET /products HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(order.starts_with("HTTP/1.1 404"), "{order}");
}
