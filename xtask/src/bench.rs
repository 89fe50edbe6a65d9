//! `cargo xtask bench`: the shop beside the floor, which is a bare component with one statement. It asserts nothing; it is
//! there to be read, and to be improved against.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tempfile::TempDir;
use token::{Claims, Role};

use crate::{
    app::{App, Launch},
    build,
    cargo::{cargo, step},
    client::{Client, by, get, post, post_nothing},
    console::{print, say, short},
    load::{Calls, Measured, load},
    people,
    process::Ending,
    project::Project,
    redis::{Redis, free_port},
};

/// How many kits are ordered, one after the other.
const KITS: usize = 16;
/// So many pages are looked at, one after the other.
const PAGES: usize = 100;
/// Who orders, sells and runs the shop.
const SOMEBODY: &str = "bench";
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the shop may take to work off what is left after the load.
const WORK_OFF: Duration = Duration::from_secs(600);
const END: Duration = Duration::from_secs(11);

/// Measure the shop on the bundled host.
#[derive(Args)]
pub struct Bench {
    /// How long each measurement lasts
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many clients send requests at once, one measurement for each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    clients: Vec<usize>,
    /// Where the bells ring; over Redis, if there is a redis-server, when it is not given
    #[arg(long, value_name = "WHERE")]
    bell: Option<Wire>,
}

/// Where the bells ring.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Wire {
    /// On Redis channels.
    Redis,
    /// By service chaining.
    Http,
}

/// What was measured of one kind of request, for each number of clients.
struct Series {
    name: &'static str,
    measured: Vec<(usize, Measured)>,
}

/// How the orders of one measurement were worked off by everybody who cares.
struct WorkedOff {
    orders: usize,
    events: i64,
    load: Duration,
    lag: Duration,
    /// What all of it took.
    effort: Effort,
}

/// What the host has done so far.
#[derive(Clone, Copy)]
struct Effort {
    /// What its process has used of the CPUs.
    cpu: Duration,
    /// What it has counted of each of [`COUNTED`].
    counts: [u64; COUNTED.len()],
}

/// What the host counts: its heading in the table, and its name in the host's metrics.
const COUNTED: [(&str, &str); 4] = [
    ("statements", "sqlite_statements_total"),
    ("commits", "sqlite_commits_total"),
    ("syncs", "sqlite_syncs_total"),
    ("opened", "sqlite_connections_total"),
];

/// What was measured of the shop.
struct OfShop {
    orders: Series,
    pages: Series,
    /// Reading without a token, and with one.
    tokens: [Series; 2],
    worked_off: Vec<WorkedOff>,
    memory: String,
}

/// What is measured on.
struct Ground {
    host: PathBuf,
    directory: TempDir,
}

/// An app that is measured.
struct Measurable {
    app: App,
    address: SocketAddr,
    /// Where it tells its metrics.
    metrics: SocketAddr,
}

/// The memory of a process, in MB.
struct Memory {
    now: u64,
    most: u64,
}

impl Bench {
    /// Measures.
    pub async fn run(self, project: &Project) -> Result<()> {
        if cfg!(debug_assertions) {
            return self.run_optimised(project);
        }
        build::components(project, &["fixture"])?;
        build::host(project)?;
        let mut ending = Ending::new()?;
        tokio::select! {
            () = ending.asked() => bail!("stopped"),
            outcome = self.measure(project) => outcome,
        }
    }

    /// The clients share the cores with the shop, so they must not waste them.
    fn run_optimised(self, project: &Project) -> Result<()> {
        step(cargo(project).args(["build", "--release", "-p", "xtask"]))?;
        let clients = self.clients.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let mut optimised = std::process::Command::new(project.target().join("release/xtask"));
        optimised.args(["bench", "--seconds", &self.seconds.to_string(), "--clients", &clients]);
        if let Some(bell) = self.bell.and_then(|bell| bell.to_possible_value()) {
            optimised.args(["--bell", bell.get_name()]);
        }
        Err(optimised.exec().into())
    }

    async fn measure(self, project: &Project) -> Result<()> {
        // On a real disk: /tmp may be memory, where a durable insert costs nothing.
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(project.target())?;
        let ground = Ground { host: project.host(), directory };
        let (insert, select, floor_memory) = self.measure_floor(&ground, project).await?;
        let OfShop { orders, pages, tokens, worked_off, memory } = self.measure_shop(&ground, project).await?;

        print(format!(
            "\n{:<22}{:>8}{:>12}{:>10}{:>10}{:>10}",
            "", "clients", "requests/s", "p50 ms", "p99 ms", "of floor"
        ));
        for (series, floor) in [(&insert, None), (&orders, Some(&insert)), (&select, None), (&pages, Some(&select))] {
            series.print(floor);
        }
        print(format!(
            "\n{:<22}{:>8}{:>12}{:>10}{:>10}{:>10}",
            "orders, worked off", "clients", "orders/s", "lag", "orders", "events"
        ));
        for (clients, it) in self.clients.iter().zip(&worked_off) {
            let rate = ratio(it.orders as f64, (it.load + it.lag).as_secs_f64(), 0);
            print(format!("{:<22}{clients:>8}{rate:>12}{:>10}{:>10}{:>10}", "", short(it.lag), it.orders, it.events));
        }
        let headings = COUNTED.map(|(heading, _)| format!("{heading:>12}")).concat();
        print(format!("\n{:<22}{:>8}{:>12}{headings}", "each of them took", "clients", "CPU ms"));
        for (clients, it) in self.clients.iter().zip(&worked_off) {
            let of_each = |all: f64| format!("{:>12}", ratio(all, it.orders as f64, 2));
            let counts = it.effort.counts.map(|count| of_each(count as f64)).concat();
            print(format!("{:<22}{clients:>8}{}{counts}", "", of_each(milliseconds(it.effort.cpu))));
        }
        print(format!("\nResident memory of the host: {floor_memory} after the floor, {memory} after the shop."));
        let [without, with] = &tokens;
        let medians = without.measured.iter().zip(&with.measured).map(|((clients, without), (_, with))| {
            let [without, with] = [without, with].map(|it| milliseconds(it.quantile(0.5)));
            format!("{with:.2} and {without:.2} ms with {clients} at once")
        });
        let medians = medians.collect::<Vec<_>>().join(", ");
        print(format!("With a token ({}) and without ({}), p50: {medians}.", with.name, without.name));
        for series in [&insert, &orders, &select, &pages, without, with] {
            series.print_failures();
        }
        Ok(())
    }

    async fn measure_floor(&self, ground: &Ground, project: &Project) -> Result<(Series, Series, String)> {
        let manifest = ground.directory.path().join("floor.toml");
        fs::write(&manifest, floor_manifest(&project.fixture()))?;
        let Measurable { mut app, address, .. } =
            ground.start("floor", "/select", manifest, Vec::new(), Vec::new()).await?;
        let insert = self.series("insert (floor)", address, || Arc::new(|| get("/insert"))).await?;
        let select = self.series("select (floor)", address, || Arc::new(|| get("/select"))).await?;
        let memory = memory_of(&app);
        app.process.stop(END).await;
        Ok((insert, select, memory))
    }

    async fn measure_shop(&self, ground: &Ground, project: &Project) -> Result<OfShop> {
        let over_redis =
            self.bell.unwrap_or(if Redis::is_installed() { Wire::Redis } else { Wire::Http }) == Wire::Redis;
        let (manifest, variables, redis) = if over_redis {
            let redis = Redis::start().await?;
            (project.spin_toml(), vec![("redis_address".to_owned(), redis.address.clone())], Some(redis))
        } else {
            (project.write_http_manifest()?, Vec::new(), None)
        };
        let bells = if redis.is_some() { "over Redis" } else { "by service chaining" };
        let cores = available_parallelism()?;
        say(format!("The bells ring {bells}; {cores} cores, shared with the clients; {} s each.", self.seconds));
        let signing_key = people::random()?;
        let secrets = vec![("signing_key", signing_key.clone())];
        let mut shop = ground.start("shop", "/products", manifest, variables, secrets).await?;
        let address = shop.address;
        people::publish_key(address).await?;
        let token = &people::mint(&signing_key, SOMEBODY, |claims| Claims {
            roles: vec![Role::Member, Role::Seller, Role::Operator],
            seller_id: Some(SOMEBODY.to_owned()),
            ..claims
        })?;

        let order = orders(address, token).await?;
        load(address, 4, WARM_UP, &order).await?;
        let mut before = work_off(address, token).await?;
        let mut series = Series { name: "POST /orders", measured: Vec::new() };
        let mut worked_off = Vec::new();
        for clients in self.clients.iter().copied() {
            let begun = shop.effort().await?;
            let measured = self.load(series.name, address, clients, &order).await?;
            let start = Instant::now();
            let head = work_off(address, token).await?;
            let (orders, load, lag) = (measured.successes(), measured.time, start.elapsed());
            let effort = shop.effort().await?.since(begun);
            worked_off.push(WorkedOff { orders, events: head - before, load, lag, effort });
            before = head;
            series.measured.push((clients, measured));
        }
        let page = everything(address, token, "/mypages", "order_id").await?;
        let pages = self.series("GET /mypages/{id}", address, || page.clone()).await?;
        let tokens = self.measure_tokens(address, token).await?;
        let memory = memory_of(&shop.app);
        shop.app.process.stop(END).await;
        if let Some(redis) = redis {
            redis.stop().await;
        }
        Ok(OfShop { orders: series, pages, tokens, worked_off, memory })
    }

    /// What a token costs: one thing by its id, of what everybody may see and of what only its member may.
    async fn measure_tokens(&self, address: SocketAddr, token: &str) -> Result<[Series; 2]> {
        let kits = everything(address, token, "/products", "id").await?;
        let orders = everything(address, token, "/orders", "id").await?;
        let without = self.series("GET /products/{id}", address, || kits.clone()).await?;
        Ok([without, self.series("GET /orders/{id}", address, || orders.clone()).await?])
    }

    /// One measurement for each number of clients, after a warm-up.
    async fn series(&self, name: &'static str, address: SocketAddr, calls: impl Fn() -> Calls) -> Result<Series> {
        let calls = calls();
        load(address, 4, WARM_UP, &calls).await?;
        let mut measured = Vec::new();
        for clients in self.clients.iter().copied() {
            measured.push((clients, self.load(name, address, clients, &calls).await?));
        }
        Ok(Series { name, measured })
    }

    async fn load(&self, name: &str, address: SocketAddr, clients: usize, calls: &Calls) -> Result<Measured> {
        say(format!("  {name}, {clients} at once …"));
        load(address, clients, Duration::from_secs(self.seconds), calls).await
    }
}

impl Series {
    fn print(&self, floor: Option<&Self>) {
        for (index, (clients, measured)) in self.measured.iter().enumerate() {
            let floor = floor.and_then(|floor| floor.measured.get(index));
            let of_floor = floor.map(|(_, floor)| ratio(measured.rate(), floor.rate(), 2)).unwrap_or_default();
            let name = if index == 0 { self.name } else { "" };
            let row = format!(
                "{name:<22}{clients:>8}{:>12.0}{:>10.2}{:>10.2}{of_floor:>10}",
                measured.rate(),
                milliseconds(measured.quantile(0.5)),
                milliseconds(measured.quantile(0.99)),
            );
            print(row.trim_end());
        }
    }

    fn print_failures(&self) {
        for (clients, measured) in &self.measured {
            if let Some(failure) = &measured.failure {
                let (name, failures) = (self.name, measured.failures);
                print(format!("{name} with {clients} clients: {failures} FAILED; the first said {failure}"));
            }
        }
    }
}

impl Ground {
    /// Starts an app on the host, with a state of its own, and waits until it answers.
    async fn start(
        &self,
        name: &str,
        path: &str,
        manifest: PathBuf,
        variables: Vec<(String, String)>,
        secrets: Vec<(&'static str, String)>,
    ) -> Result<Measurable> {
        let free = || anyhow::Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)));
        let (listen, metrics) = (free()?, free()?);
        let log = self.directory.path().join(format!("{name}.log"));
        let output = File::create(&log)?;
        let state = self.directory.path().join(name);
        let program = self.host.clone();
        let (output, metrics_at) = (Some(output), Some(metrics));
        let launch =
            Launch { program, manifest, listen, state, variables, secrets, metrics: metrics_at, logs: false, output };
        let mut app = launch.start()?;
        let answers = app.answers(path).await;
        answers.with_context(|| format!("it printed:\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        Ok(Measurable { app, address: listen, metrics })
    }
}

impl Measurable {
    /// What the host has done until now.
    async fn effort(&self) -> Result<Effort> {
        let answer = Client::connect(self.metrics).await?.send(get("/metrics")?).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let mut counts = [0; COUNTED.len()];
        for (count, (_, name)) in counts.iter_mut().zip(COUNTED) {
            *count = metric(&text, name).with_context(|| format!("the host's metrics have no {name}: {text}"))?;
        }
        Ok(Effort { cpu: cpu_of(&self.app), counts })
    }
}

impl Effort {
    fn since(self, begun: Self) -> Self {
        let mut counts = self.counts;
        for (count, begun) in counts.iter_mut().zip(begun.counts) {
            *count -= begun;
        }
        Self { cpu: self.cpu.saturating_sub(begun.cpu), counts }
    }
}

/// The value of a metric without labels, in Prometheus' text format.
fn metric(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.parse().ok()
}

/// Orders of a few kits, whose stock does not run out.
async fn orders(address: SocketAddr, token: &str) -> Result<Calls> {
    let mut client = Client::connect(address).await?;
    let mut kits = Vec::new();
    for number in 0..KITS {
        let kit = json!({"name": format!("Kit {number}"), "price": 15_900, "stock": 1_000_000});
        kits.push(id_in(&client.send(by(token, post("/products", &kit)?)?).await?.json()?, "id")?);
    }
    let orders: Vec<_> = kits.iter().map(|kit| order_of(kit)).collect();
    let (token, next) = (token.to_owned(), AtomicUsize::new(0));
    Ok(Arc::new(move || by(&token, post("/orders", round_robin(&orders, &next)?)?)))
}

fn order_of(product_id: &str) -> Value {
    json!({
        "product_id": product_id, "quantity": 1, "address": "110 Sejong-daero, Seoul",
        "payment": {"card_number": "4111111111111111", "card_owner": "Hana Kim"},
    })
}

/// Looks at what a list shows first, one after the other. Of the kits, as anybody does; of the rest, as whose it is.
async fn everything(address: SocketAddr, token: &str, path: &str, id: &str) -> Result<Calls> {
    let list = by(token, get(&format!("{path}?limit={PAGES}"))?)?;
    let list = Client::connect(address).await?.send(list).await?.json()?;
    let items = list.get("items").and_then(Value::as_array).with_context(|| format!("GET {path} has no items"))?;
    let paths = items.iter().map(|item| Ok(format!("{path}/{}", id_in(item, id)?)));
    let paths = paths.collect::<Result<Vec<_>>>()?;
    let token = (path != "/products").then(|| token.to_owned());
    let next = AtomicUsize::new(0);
    Ok(Arc::new(move || {
        let call = get(round_robin(&paths, &next)?)?;
        token.as_deref().map_or(Ok(call.clone()), |token| by(token, call))
    }))
}

fn round_robin<'a, T>(all: &'a [T], next: &AtomicUsize) -> Result<&'a T> {
    let index = next.fetch_add(1, Ordering::Relaxed).checked_rem(all.len());
    index.and_then(|index| all.get(index)).context("there is nothing to ask for")
}

fn id_in(object: &Value, name: &str) -> Result<String> {
    let id = object.get(name).and_then(Value::as_str);
    Ok(id.with_context(|| format!("there is no {name} in {object}"))?.to_owned())
}

/// Waits until every context stands at the end of the log, and says where that is.
async fn work_off(address: SocketAddr, token: &str) -> Result<i64> {
    let mut client = Client::connect(address).await?;
    let start = Instant::now();
    loop {
        let answer = client.send(by(token, post_nothing("/catch-up")?)?).await?;
        if answer.status.is_success()
            && let Some(end) = end_of_log(&answer.json()?)
        {
            return Ok(end);
        }
        if start.elapsed() > WORK_OFF {
            bail!("not worked off after {}: {}", short(WORK_OFF), String::from_utf8_lossy(&answer.body));
        }
    }
}

/// Where all contexts stand, if none lags.
fn end_of_log(caught_up: &Value) -> Option<i64> {
    let contexts = caught_up.get("contexts")?.as_object()?;
    let position = |it: &Value| Some((it.get("cursor")?.as_i64()?, it.get("lag")?.as_i64()?));
    let positions = contexts.values().map(position).collect::<Option<Vec<_>>>()?;
    let (end, _) = *positions.first()?;
    positions.iter().all(|it| *it == (end, 0)).then_some(end)
}

fn floor_manifest(fixture: &Path) -> String {
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"floor\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"fixture\"\n[component.fixture]\nsource = {:?}\nsqlite_databases = [\"default\"]\n",
        fixture.display().to_string()
    )
}

/// So many for each; nothing where there is none of them.
fn ratio(all: f64, of: f64, decimals: usize) -> String {
    if of > 0.0 { format!("{:.decimals$}", all / of) } else { "–".to_owned() }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The CPU time that an app's process has used so far (proc_pid_stat(5)).
fn cpu_of(app: &App) -> Duration {
    let stat = app.process.id().and_then(|id| fs::read_to_string(format!("/proc/{id}/stat")).ok());
    stat.as_deref().and_then(cpu_in).unwrap_or_default()
}

/// User and system time: the 12th and 13th word behind the name, in ticks of 10 ms.
fn cpu_in(stat: &str) -> Option<Duration> {
    let (_, words) = stat.rsplit_once(')')?;
    let ticks = words.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

/// The resident memory of an app's process, in words.
fn memory_of(app: &App) -> String {
    let status = app.process.id().and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok());
    match status.as_deref().and_then(Memory::parse) {
        Some(Memory { now, most }) => format!("{now} MB (at most {most} MB)"),
        None => "unknown".to_owned(),
    }
}

impl Memory {
    fn parse(status: &str) -> Option<Self> {
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024 / 1_000_000)
        };
        Some(Self { now: megabytes("VmRSS:")?, most: megabytes("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_log_is_worked_off_when_all_stand_at_its_end() {
        let at = |a, b, lag| {
            end_of_log(&json!({"contexts": {"a": {"cursor": a, "lag": 0}, "b": {"cursor": b, "lag": lag}}}))
        };
        assert_eq!(at(7, 7, 0), Some(7));
        assert_eq!(at(7, 6, 0), None);
        assert_eq!(at(7, 7, 1), None);
        assert_eq!(end_of_log(&json!({"contexts": {"a": {"error": "it is down"}}})), None);
    }

    #[test]
    fn cpu_time_is_read_behind_the_name() {
        let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn nothing_is_said_of_none() {
        assert_eq!((ratio(5.0, 2.0, 2), ratio(5.0, 0.0, 2)), ("2.50".to_owned(), "–".to_owned()));
    }

    #[test]
    fn a_metric_is_read_by_its_whole_name() {
        let text = "# HELP syncs_total Syncs\n# TYPE syncs_total counter\nsyncs_total_of_all 1\nsyncs_total 7\n";
        assert_eq!(metric(text, "syncs_total"), Some(7));
        assert_eq!(metric(text, "syncs"), None);
    }

    #[test]
    fn memory_is_read_in_megabytes() {
        let memory = Memory::parse("Name:\thost\nVmHWM:\t  200000 kB\nVmRSS:\t  100000 kB\n").unwrap();
        assert_eq!((memory.now, memory.most), (102, 204));
    }
}
