//! Replicas are replaced one after the other, and nobody notices.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};
use tests::{
    Client, Json, Kit, Mode, Proxy, Redis, Replica, Shop, UNDER_WAY, eventually, on_our_host, run_own, text, unique,
};

/// How many members order and look at their pages, without a pause.
const MEMBERS: usize = 6;
/// How many requests have to come through before, between and after the replacements.
const REQUESTS: usize = 100;
/// Longer than the proxy takes to notice that a replica is not ready: two checks, 200 ms apart.
const DRAIN: &str = "3";
/// How many kits there are; enough for all.
const STOCK: u32 = 100_000;

#[test]
fn two_replicas_are_replaced_under_load_and_no_request_fails() {
    run_own(Mode::Redis, |_| {
        if on_our_host() {
            replace_two_replicas();
        }
    });
}

/// What members have seen so far.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    orders: Mutex<Vec<String>>,
    failures: Mutex<Vec<String>>,
    enough: AtomicBool,
}

fn replace_two_replicas() {
    let folder = tempfile::Builder::new().prefix("mealkit-rolling-").tempdir().unwrap();
    let redis = Redis::start(folder.path());
    let variable = format!("redis_address={}", redis.address());
    let key = format!("signing_key={}", tests::signing_key());
    let arguments = ["--variable", &variable, "--variable", &key, "--drain", DRAIN];
    let mut replicas = [Replica::start(folder.path(), &arguments), Replica::start(folder.path(), &arguments)].map(Some);
    let ports = replicas.each_ref().map(|replica| replica.as_ref().unwrap().port());
    let Some(proxy) = Proxy::start(folder.path(), &ports) else { return };
    for port in ports {
        proxy.wait_until(true, port);
    }
    let shop = Shop::at(proxy.url());
    // Whoever wakes the context member has it publish its key.
    shop.get("/.well-known/jwks.json").is(200);
    let (kit, seen) = (shop.kit(STOCK), Seen::default());

    thread::scope(|scope| {
        for _ in 0..MEMBERS {
            scope.spawn(|| seen.live(proxy.client(), &kit));
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            seen.wait_for_more();
            for (replica, port) in replicas.iter_mut().zip(ports) {
                let status = replica.take().unwrap().leave();
                assert!(status.success(), "it dropped what it had begun: {status}");
                proxy.wait_until(false, port);
                seen.wait_for_more();
                *replica = Some(Replica::start_on(port, folder.path(), &arguments));
                proxy.wait_until(true, port);
                let before = proxy.backend(port).requests;
                eventually("serving again", || match proxy.backend(port).requests - before {
                    50.. => Ok(()),
                    requests => Err(requests),
                });
            }
        }));
        seen.enough.store(true, Ordering::SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });

    let (requests, failures) = (seen.requests.into_inner(), seen.failures.into_inner().unwrap());
    println!("{requests} requests through the proxy, {} of them failed", failures.len());
    assert_eq!(failures, [""; 0]);
    // And what was answered is so.
    shop.act("/catch-up").is(200);
    let orders = seen.orders.into_inner().unwrap();
    for id in &orders {
        shop.wait_for(id, &UNDER_WAY);
    }
    assert_eq!(shop.stock(&kit), i64::from(STOCK) - orders.len() as i64);
}

impl Seen {
    /// A member orders and looks, again and again.
    fn live(&self, client: &Client, kit: &Kit) {
        let member = unique("member");
        let order = Shop::order_body(kit, &member, 1);
        let page = format!("/mypages?member_id={member}");
        while !self.enough.load(Ordering::SeqCst) {
            if let Some(order) = self.ask(client, "POST", "/orders", Some(&order), 201) {
                self.orders.lock().unwrap().push(text(&order["id"]));
            }
            self.ask(client, "GET", &page, None, 200);
            self.ask(client, "GET", &format!("/products/{}", kit.id), None, 200);
        }
    }

    fn ask(&self, client: &Client, method: &str, path: &str, body: Option<&Json>, status: u16) -> Option<Json> {
        let call = client.call(method, path);
        let call = if let Some(body) = body { call.json(body) } else { call };
        self.requests.fetch_add(1, Ordering::SeqCst);
        let failure = match call.exchange() {
            Ok(answer) if answer.status == status => return Some(answer.json()),
            Ok(answer) => answer.to_string(),
            Err(error) => format!("{method} {path}: {error}"),
        };
        self.failures.lock().unwrap().push(failure);
        None
    }

    fn wait_for_more(&self) {
        let before = self.requests.load(Ordering::SeqCst);
        eventually("more requests", || match self.requests.load(Ordering::SeqCst) - before {
            REQUESTS.. => Ok(()),
            requests => Err(requests),
        });
    }
}
