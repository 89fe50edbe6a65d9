//! Who may use the journal: operators, and services with the scope for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use journal::http::routes;
use kernel::{
    actor::Role,
    testing::{Native, Reply, authorization, call, guarded, person, service},
};
use std::{sync::Arc, time::Duration};

async fn ask(native: &Arc<Native>, who: &str, method: &str, path: &str) -> Reply {
    let journal = guarded(native, routes(native.clone()).await);
    call(native, &journal, method, path, &[("authorization", who)], None).await
}

fn operator() -> String {
    authorization(&person("root", &[Role::Operator]))
}

#[tokio::test]
async fn operators_and_services_with_the_scope_use_the_journal() {
    let native = Native::new();
    let member = authorization(&person("mina", &[Role::Member, Role::Seller, Role::Courier]));
    for (method, path, scope, done) in [
        ("GET", "/events", "events", 200),
        ("GET", "/metrics", "metrics", 200),
        ("POST", "/catch-up", "catch-up", 200),
        ("GET", "/dead-letters", "dead-letters", 200),
        ("POST", "/dead-letters/product-1/retry", "dead-letters", 404),
        ("POST", "/dead-letters/product-1/discard", "dead-letters", 404),
    ] {
        for who in [operator(), service("report", scope)] {
            assert_eq!(ask(&native, &who, method, path).await.status, done, "{path}");
        }
        for (who, status) in [(&member, 403), (&service("report", "rebuild eve"), 403), (&String::new(), 401)] {
            assert_eq!(ask(&native, who, method, path).await.status, status, "{path}");
        }
    }
    for who in [operator(), service("report", "catch-up"), member, String::new()] {
        assert_eq!(ask(&native, &who, "POST", "/bell").await.status, 401);
    }
}

#[tokio::test]
async fn a_dead_letter_is_closed_by_an_operator_who_signed_in_just_now() {
    let native = Native::new();
    native.advance(Duration::from_secs(16 * 60));
    for path in ["/dead-letters/product-1/retry", "/dead-letters/product-1/discard"] {
        let late = ask(&native, &operator(), "POST", path).await;
        late.assert_problem(401, "unauthenticated");
        assert!(late.header("www-authenticate").contains("insufficient_user_authentication"));
        assert_eq!(ask(&native, &service("report", "dead-letters"), "POST", path).await.status, 404);
    }
    assert_eq!(ask(&native, &operator(), "GET", "/dead-letters").await.status, 200);
}

#[tokio::test]
async fn how_the_shop_is_doing_everybody_may_ask_and_why_operators() {
    let native = Native::new();
    let member = authorization(&person("mina", &[Role::Member]));
    for who in [String::new(), member.clone(), operator(), "Bearer rubbish".to_owned()] {
        for path in ["/", "/health/live", "/health/ready"] {
            assert_eq!(ask(&native, &who, "GET", path).await.status, 200, "{path}");
        }
        native.set_variable("contexts", "order = http://nobody.spin.internal\n");
        let ready = ask(&native, &who, "GET", "/health/ready").await;
        ready.assert_problem(503, "not-ready");
        assert_eq!(ready.body.get("reasons").is_some(), who == operator());
        native.set_variable("contexts", "");
    }
}
