//! Whose a page is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use customer_center::{MyPages, http::routes};
use kernel::{
    actor::Role,
    testing::{App, Native, authorization, event, person, service},
};

fn of(id: &str, role: Role) -> String {
    authorization(&person(id, &[role]))
}

#[tokio::test]
async fn a_page_is_seen_by_its_member_and_by_operators() {
    let native = Native::new();
    let app = App::<MyPages>::open(&native, routes).await;
    native.append("order", event("OrderPlaced", "a"));
    for (who, one, list) in [
        (of("member-1", Role::Member), 200, Some(1)),
        (of("member-2", Role::Member), 404, Some(0)),
        (of("root", Role::Operator), 200, Some(1)),
        (of("hana", Role::Seller), 403, None),
        (of("minho", Role::Courier), 403, None),
        (service("report", "events rebuild"), 403, None),
        (String::new(), 401, None),
    ] {
        assert_eq!(app.ask(&who, "GET", "/mypages/a", None).await.status, one);
        for query in ["", "?member_id=member-1"] {
            let reply = app.ask(&who, "GET", &format!("/mypages{query}"), None).await;
            match list {
                Some(count) => assert_eq!((reply.status, reply.items().len()), (200, count)),
                None => assert_eq!(reply.status, one),
            }
        }
    }
    assert_eq!(native.scans(), []);
}

#[tokio::test]
async fn of_a_page_that_is_delayed_only_operators_hear() {
    let native = Native::new();
    let app = App::<MyPages>::open(&native, routes).await;
    native.sql(
        "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
        VALUES ('x', '/mealkit/order', 'OrderPlaced', 'a', 'now', 'a', 'c', 't', '{}')",
        vec![],
    );
    app.ask(&of("root", Role::Operator), "GET", "/mypages/a", None).await.assert_problem(503, "delayed");
    app.ask(&of("member-1", Role::Member), "GET", "/mypages/a", None).await.assert_problem(404, "not-found");
}

#[tokio::test]
async fn a_rebuild_is_for_operators_and_services_with_its_scope() {
    let app = App::<MyPages>::open(&Native::new(), routes).await;
    for (who, status) in [
        (of("root", Role::Operator), 200),
        (service("night", "catch-up rebuild"), 200),
        (service("night", "catch-up"), 403),
        (of("member-1", Role::Member), 403),
        (of("hana", Role::Seller), 403),
        (String::new(), 401),
    ] {
        assert_eq!(app.ask(&who, "POST", "/mypages/rebuild", None).await.status, status);
    }
}
