//! Calls between contexts, signed.

use crate::tally::Tallies;
use axum::{Router, body::Bytes};
use http::{HeaderMap, Request};
use kernel::{
    Kernel,
    call::Keys,
    http::{BELL, METRICS, Routes},
    testing::{App, Native, Reply, authorization, everybody},
};
use std::{sync::Arc, time::Duration};

fn routes(_: Arc<Kernel<Tallies>>) -> Routes {
    Routes::new()
}

/// What the header `Authorization` says of a call that these keys sign.
async fn signed(native: &Arc<Native>, keys: &Keys, method: &str, path: &str, body: &str) -> String {
    let said = async |headers: HeaderMap| headers["authorization"].to_str().unwrap().to_owned();
    native.route("http://echo", Router::new().fallback(said));
    let request = Request::builder().method(method).uri(format!("http://echo{path}"));
    let request = request.body(Bytes::from(body.to_owned())).unwrap();
    String::from_utf8(keys.send(request).await.unwrap().into_body().to_vec()).unwrap()
}

struct Callee {
    native: Arc<Native>,
    app: App<Tallies>,
}

impl Callee {
    async fn new() -> Self {
        let native = Native::new();
        Self { app: App::open(&native, routes).await, native }
    }

    async fn another(&self) -> Self {
        let native = self.native.replica();
        Self { app: App::open(&native, routes).await, native }
    }

    fn caller(&self) -> Arc<Keys> {
        Keys::new("order", self.native.clone())
    }

    async fn sign(&self, method: &str, path: &str) -> String {
        signed(&self.native, &self.caller(), method, path, "").await
    }

    async fn call(&self, method: &str, path: &str, authorization: &str) -> Reply {
        self.app.call(method, path, &[("authorization", authorization)], None).await
    }

    /// Puts a key in front of those that are there.
    fn rotate(&self, key: &str) {
        self.native.sql("INSERT INTO shop_key (key) VALUES (?)", vec![key.into()]);
    }

    /// Whether a call is taken that is made as contexts make them.
    async fn takes(&self, caller: &Keys) -> bool {
        self.native.route("http://tally", self.app.router.clone());
        let request = Request::get(format!("http://tally{METRICS}")).body(Bytes::new()).unwrap();
        caller.send(request).await.is_ok_and(|answer| answer.status().is_success())
    }
}

#[tokio::test]
async fn who_belongs_to_the_shop_is_let_in() {
    let callee = Callee::new().await;
    assert_eq!(callee.call("GET", METRICS, &callee.sign("GET", METRICS).await).await.status, 200);
    let query = "/internal/dead-letters?after=0&limit=10";
    assert_eq!(callee.call("GET", query, &callee.sign("GET", query).await).await.status, 200);
    assert!(callee.takes(&callee.caller()).await);
}

#[tokio::test]
async fn a_call_that_is_not_what_was_signed_is_not_taken() {
    let callee = Callee::new().await;
    let good = callee.sign("GET", METRICS).await;
    let query = callee.sign("GET", "/internal/dead-letters?after=0&limit=10").await;
    let elsewhere = Native::new();
    let other = signed(&elsewhere, &Keys::new("order", elsewhere.clone()), "GET", METRICS, "").await;
    for (what, method, path, authorization) in [
        ("nothing", "GET", METRICS, ""),
        ("a member's token", "GET", METRICS, &*authorization(&everybody())),
        ("another path", "GET", "/internal/dead-letters?after=0&limit=10", &*good),
        ("another query", "GET", "/internal/dead-letters?after=0&limit=11", &*query),
        ("another method", "POST", BELL, &*callee.sign("GET", BELL).await),
        ("another caller", "GET", METRICS, &*good.replace("caller=order", "caller=journal")),
        ("another time", "GET", METRICS, &*good.replace("time=17", "time=18")),
        ("another shop's key", "GET", METRICS, &*other),
        ("no signature", "GET", METRICS, good.split(",signature").next().unwrap()),
        ("half a signature", "GET", METRICS, &good[..good.len() - 10]),
        ("another scheme", "GET", METRICS, &*good.replace("Mealkit-HMAC-SHA256", "Bearer")),
        ("rubbish", "GET", METRICS, "Mealkit-HMAC-SHA256 rubbish"),
    ] {
        let reply = callee.call(method, path, authorization).await;
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        reply.assert_problem(401, "unauthenticated");
        assert!(!reply.header("www-authenticate").is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_body_is_signed_too() {
    let callee = Callee::new().await;
    let ring = serde_json::json!({"source": "/mealkit/order", "sequence": 1});
    let good = signed(&callee.native, &callee.caller(), "POST", BELL, &ring.to_string()).await;
    let by = [("authorization", good.as_str())];
    let call = |body| callee.app.call("POST", BELL, &by, Some(body));
    assert_eq!(call(ring.clone()).await.status, 200);
    assert_eq!(call(serde_json::json!({"source": "/mealkit/order", "sequence": 2})).await.status, 401);
    assert_eq!(callee.call("POST", BELL, &good).await.status, 401);
}

#[tokio::test]
async fn a_call_is_good_for_a_minute() {
    let callee = Callee::new().await;
    let good = callee.sign("GET", METRICS).await;
    callee.native.advance(Duration::from_secs(60));
    assert_eq!(callee.call("GET", METRICS, &good).await.status, 200);
    callee.native.advance(Duration::from_secs(1));
    assert_eq!(callee.call("GET", METRICS, &good).await.status, 401);
    // Clocks may differ the other way round, too.
    callee.native.set_back(Duration::from_secs(2 * 60 + 1));
    assert_eq!(callee.call("GET", METRICS, &good).await.status, 200);
    callee.native.set_back(Duration::from_secs(1));
    assert_eq!(callee.call("GET", METRICS, &good).await.status, 401);
}

#[tokio::test]
async fn a_newer_key_takes_the_place_of_the_old_one_without_a_call_that_fails() {
    let callee = Callee::new().await;
    let old = callee.caller();
    assert!(callee.takes(&old).await);
    callee.rotate("newer");
    let (new, fresh) = (callee.caller(), callee.another().await);
    for callee in [&callee, &fresh] {
        for caller in [&old, &new] {
            assert!(callee.takes(caller).await, "whoever has read which keys");
        }
    }
    // Without the old key only the new one is good; whoever still signs with the old one reads the keys again.
    callee.native.sql("DELETE FROM shop_key WHERE key <> 'newer'", vec![]);
    let by_old = signed(&callee.native, &old, "GET", METRICS, "").await;
    assert_eq!(callee.another().await.call("GET", METRICS, &by_old).await.status, 401);
    assert!(callee.another().await.takes(&old).await);
}

#[tokio::test]
async fn a_stranger_cannot_make_the_keys_be_read_again_and_again() {
    let callee = Callee::new().await;
    let good = callee.sign("GET", METRICS).await;
    assert_eq!(callee.call("GET", METRICS, &good).await.status, 200);
    let before = callee.native.calls("shop_key");
    for _ in 0..10 {
        assert_eq!(callee.call("GET", METRICS, &good.replace("time=17", "time=18")).await.status, 401);
    }
    assert_eq!(callee.native.calls("shop_key"), before);
    callee.native.advance(Duration::from_secs(2));
    for _ in 0..10 {
        callee.call("GET", METRICS, &good.replace("time=17", "time=18")).await;
    }
    assert_eq!(callee.native.calls("shop_key") - before, 1);
}

#[tokio::test]
async fn a_variable_takes_the_place_of_the_keys_in_the_database() {
    let callee = Callee::new().await;
    let with = async |key: &str| {
        let native = callee.native.replica();
        native.set_variable("shop_key", key);
        Callee { app: App::open(&native, routes).await, native }
    };
    let (one, both) = (with("one").await, with("two one").await);
    assert!(one.takes(&one.caller()).await && both.takes(&one.caller()).await && both.takes(&both.caller()).await);
    assert!(!one.takes(&callee.caller()).await && !callee.takes(&one.caller()).await);
    assert_eq!(one.native.calls("shop_key"), one.native.calls("CREATE TABLE IF NOT EXISTS shop_key"));
}

#[tokio::test]
async fn the_first_call_of_all_makes_the_log_and_with_it_the_key() {
    let native = Native::new();
    signed(&native, &Keys::new("journal", native.clone()), "GET", METRICS, "").await;
    assert_eq!(native.integer("SELECT length(key) FROM shop_key"), 64);
    assert_eq!(native.integer("SELECT count(*) FROM shop_key"), 1);
}
