//! Whose a kit is, and what they may do with it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use contracts::ids::SellerId;
use kernel::{
    actor::{Member, Role},
    testing::{App, Native, Reply, authorization, person, service},
};
use product::{Products, http::routes};
use serde_json::{Value as Json, json};
use std::sync::Arc;

async fn shop() -> (Arc<Native>, App<Products>) {
    let native = Native::new();
    let app = App::open(&native, routes).await;
    (native, app)
}

fn of(id: &str, role: Role) -> String {
    authorization(&person(id, &[role]))
}

/// Who sells for `seller-1`.
fn seller() -> String {
    of("hana", Role::Seller)
}

fn other_seller() -> String {
    authorization(&Member { seller: Some(SellerId::new("seller-2")), ..person("jisoo", &[Role::Seller]) })
}

fn kit() -> Json {
    json!({"name": "Bibimbap", "price": 12_000, "stock": 10})
}

async fn register(app: &App<Products>, who: &str, body: Json) -> Reply {
    app.ask(who, "POST", "/products", Some(body)).await
}

#[tokio::test]
async fn the_catalogue_is_for_everybody() {
    let (_, app) = shop().await;
    let made = register(&app, &seller(), kit()).await;
    for who in [String::new(), "Bearer rubbish".to_owned(), of("minsu", Role::Member), service("report", "events")] {
        for path in ["/products", "/products?q=bibim", made.header("location")] {
            assert_eq!(app.ask(&who, "GET", path, None).await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn sellers_register_their_own_kits() {
    let (native, app) = shop().await;
    register(&app, "", kit()).await.assert_problem(401, "unauthenticated");
    for who in [of("minsu", Role::Member), of("minho", Role::Courier), of("root", Role::Operator)] {
        register(&app, &who, kit()).await.assert_problem(403, "forbidden");
    }
    let mut named = kit();
    named["seller_id"] = "seller-1".into();
    register(&app, &other_seller(), named.clone()).await.assert_problem(403, "forbidden");
    let for_nobody = authorization(&Member { seller: None, ..person("hana", &[Role::Seller]) });
    register(&app, &for_nobody, kit()).await.assert_problem(403, "forbidden");
    assert_eq!(native.log(), []);
    for body in [kit(), named] {
        let made = register(&app, &seller(), body).await;
        assert_eq!((made.status, made.text("/seller_id")), (201, "seller-1"));
    }
    assert_eq!(register(&app, &other_seller(), kit()).await.text("/seller_id"), "seller-2");
}

#[tokio::test]
async fn a_kit_is_changed_by_who_sells_it_and_by_operators() {
    let (native, app) = shop().await;
    let made = register(&app, &seller(), kit()).await;
    let path = made.header("location");
    for (who, status) in [
        (String::new(), 401),
        (of("minsu", Role::Member), 403),
        (of("minho", Role::Courier), 403),
        (other_seller(), 404),
        (authorization(&person("hana", &[Role::Member])), 403),
    ] {
        assert_eq!(app.ask(&who, "PATCH", path, Some(json!({"price": 1}))).await.status, status);
    }
    assert_eq!(native.log_of(made.text("/id")), ["ProductRegistered"]);
    let colleague = of("another-of-seller-1", Role::Seller);
    for (who, price) in [(seller(), 13_000), (colleague, 14_000), (of("root", Role::Operator), 15_000)] {
        let changed = app.ask(&who, "PATCH", path, Some(json!({"price": price}))).await;
        assert_eq!((changed.status, &changed.body["price"]), (200, &json!(price)));
        assert_eq!(changed.text("/seller_id"), "seller-1");
    }
}

#[tokio::test]
async fn a_key_of_somebody_else_is_another_key() {
    let (_, app) = shop().await;
    let once = async |who: &str| {
        let headers = [("authorization", who), ("idempotency-key", "k")];
        app.call("POST", "/products", &headers, Some(kit())).await
    };
    let (mine, theirs) = (once(&seller()).await, once(&other_seller()).await);
    assert_eq!((mine.status, theirs.status), (201, 201));
    assert_ne!(mine.text("/id"), theirs.text("/id"));
    assert_eq!((once(&seller()).await.body, once(&other_seller()).await.body), (mine.body, theirs.body));
}
