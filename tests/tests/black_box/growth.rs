//! A log of 200,000 events: the shop is as fast as with none, and a context that joins it now reads all of it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tests::{Kit, MEMBERS, Mode, Order, Shop, member_of_the_past, run_own, say, within};

/// How many events the log has in the end, at least.
const EVENTS: usize = 200_000;
/// How often each route is asked.
const TIMES: usize = 200;
/// The host may hold so much, in MB, while 200,000 events go through it.
const MEMORY: u64 = 600;

#[test]
fn a_shop_with_a_long_past_is_as_fast_as_an_empty_one_and_a_newcomer_reads_all_of_it() {
    run_own(Mode::Redis, |mode| {
        let mut shop = Shop::start(mode).open();
        let kit = shop.kit(1_000_000);
        let order = shop.order_under_way(&kit, 1);
        shop.complete(&order.id).is(200);
        // As many as a page of a list has.
        for _ in 1..20 {
            shop.post("/orders", &Shop::order_body(&kit, &order.member, 1)).is(201);
        }
        shop.come_to_rest().unwrap();
        let empty = latencies(&shop, &order);

        let began = Instant::now();
        let events_each = shop.grow(&order, &kit, EVENTS / 7);
        assert_eq!(events_each, 7, "placed, paid, told, taken, requested, delivered, told");
        let rest = shop.act("/catch-up").is(200);
        assert!(rest["contexts"].as_object().unwrap().values().all(|at| at["lag"] == 0), "{rest}");
        say(&format!("{EVENTS} events were made in {:.1?}", began.elapsed()));

        let order = Order { member: member_of_the_past(7), ..order };
        let grown = latencies(&shop, &order);
        for ((route, empty), (_, grown)) in empty.iter().zip(&grown) {
            let [before, after] = [empty, grown].map(|times| (quantile(times, 0.5), quantile(times, 0.99)));
            say(&format!(
                "{route:<28} p50 {:>9.1?} -> {:>9.1?}   p99 {:>9.1?} -> {:>9.1?}",
                before.0, after.0, before.1, after.1
            ));
            // Generous, since others use this machine, too; what reads the whole past takes a thousand times as long.
            assert!(
                after.0 < 5 * before.0 + Duration::from_millis(20),
                "{route} has become slow: {before:?} -> {after:?}"
            );
        }
        a_newcomer_reads_it_all(&mut shop, &kit);
    });
}

fn a_newcomer_reads_it_all(shop: &mut Shop, kit: &Kit) {
    let manifest = manifest_with_loyalty(shop.folder());
    shop.restart_by(manifest);
    let began = Instant::now();
    let client = shop.client().clone();
    let path = format!("/loyalty/{}", member_of_the_past(7));
    let (account, orders) = std::thread::scope(|scope| {
        // A request may end before the newcomer has read all; what was read stays read.
        let asking = scope.spawn(|| {
            within(Duration::from_secs(300), "all read", || match client.call("GET", &path).exchange() {
                Ok(answer) if answer.status == 200 => Ok(answer.json()),
                Ok(answer) => Err(answer.to_string()),
                Err(error) => Err(error.to_string()),
            })
        });
        // The shop goes on meanwhile.
        let mut orders = vec![];
        while !asking.is_finished() {
            let began = Instant::now();
            shop.order(kit, 1);
            orders.push(began.elapsed());
        }
        (asking.join().unwrap(), orders)
    });
    let took = began.elapsed();
    assert_eq!(account["orders"], (EVENTS / 7 + MEMBERS - 1 - 7) / MEMBERS, "{account}");
    assert_eq!(account["points"].as_i64(), account["orders"].as_i64().map(|orders| orders * 12), "{account}");
    let memory = shop.peak_memory();
    say(&format!(
        "the newcomer read {EVENTS} events in {took:.1?}; meanwhile {} orders, p50 {:.1?}, p99 {:.1?}; the host held {memory} MB at most",
        orders.len(),
        quantile(&orders, 0.5),
        quantile(&orders, 0.99),
    ));
    assert!(memory < MEMORY, "the host held {memory} MB");
    // It reads on like everybody else.
    let member = shop.order(kit, 2).member;
    // A route of its own, which is not in the shop's contract.
    let account = shop.call("GET", &format!("/loyalty/{member}")).exchange().unwrap();
    assert_eq!(account.is(200)["points"], 24);
}

/// How long each of these takes.
fn latencies(shop: &Shop, order: &Order) -> Vec<(String, Vec<Duration>)> {
    let (id, member) = (&order.id, &order.member);
    let routes = [
        ("my page", format!("/mypages/{id}")),
        ("a member's pages", format!("/mypages?member_id={member}")),
        ("all pages", "/mypages".into()),
        ("a member's orders", format!("/orders?member_id={member}")),
        ("all orders", "/orders".into()),
        ("all payments", "/payments".into()),
        ("all deliveries", "/deliveries".into()),
        ("a member's notifications", format!("/notifications?recipient=member:{member}")),
        ("an order's events", format!("/events?order_id={id}")),
    ];
    let time = |path: &str| {
        let began = Instant::now();
        shop.get(path).is(200);
        began.elapsed()
    };
    routes.map(|(name, path)| (name.to_owned(), (0..TIMES).map(|_| time(&path)).collect())).into()
}

fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// The shop's own manifest, and one more context in it. Nothing else changes.
fn manifest_with_loyalty(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().display().to_string();
    let own = std::fs::read_to_string(format!("{root}/spin.toml")).unwrap();
    let own = own.replace("source = \"target/", &format!("source = \"{root}/target/"));
    let loyalty = format!(
        r#"
[[trigger.http]]
route = "/loyalty/..."
component = "loyalty"

[[trigger.redis]]
channel = "mealkit.payment"
component = "loyalty"

[component.loyalty]
source = "{root}/target/wasm32-wasip2/component/newcomer.wasm"
allowed_outbound_hosts = ["{{{{ redis_address }}}}", "{{{{ journal_url }}}}"]
sqlite_databases = ["default"]

[component.loyalty.variables]
bell = "{{{{ bell }}}}"
redis_address = "{{{{ redis_address }}}}"
journal_url = "{{{{ journal_url }}}}"
"#
    );
    let manifest = folder.join("spin.toml");
    std::fs::write(&manifest, own + &loyalty).unwrap();
    manifest
}
