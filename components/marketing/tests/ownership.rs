//! Whose a notification is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use contracts::ids::SellerId;
use kernel::{
    actor::{Member, Role},
    testing::{App, Native, authorization, event, person, service},
};
use marketing::{Marketing, http::routes};

#[tokio::test]
async fn a_notification_is_read_by_whom_it_is_for_and_by_operators() {
    let native = Native::new();
    let app = App::<Marketing>::open(&native, routes).await;
    // One for the seller `seller-1`, one for the member `member-1`.
    native.append("payment", event("PaymentCompleted", "a"));
    native.append("delivery", event("DeliveryCompleted", "a"));
    let of = |id: &str, role: Role| authorization(&person(id, &[role]));
    let sells = |id: &str, seller: &str, roles: &[Role]| {
        authorization(&Member { seller: Some(SellerId::new(seller)), ..person(id, roles) })
    };
    for (who, kinds) in [
        (of("member-1", Role::Member), vec!["member"]),
        (of("member-2", Role::Member), vec![]),
        (of("hana", Role::Seller), vec!["seller"]),
        (sells("jisoo", "seller-2", &[Role::Seller]), vec![]),
        (of("root", Role::Operator), vec!["member", "seller"]),
        // A seller who is called like a member is somebody else, and the other way round.
        (sells("jisoo", "member-1", &[Role::Seller]), vec![]),
        (of("seller-1", Role::Member), vec![]),
    ] {
        for query in ["", "?order_id=a"] {
            let list = app.ask(&who, "GET", &format!("/notifications{query}"), None).await;
            let found: Vec<_> = list.items().iter().map(|one| one["recipient"]["kind"].as_str().unwrap()).collect();
            assert_eq!(found, kinds);
        }
    }
    for recipient in ["member:member-1", "seller:seller-1"] {
        let path = format!("/notifications?recipient={recipient}");
        let list = app.ask(&of("member-2", Role::Member), "GET", &path, None).await;
        assert_eq!(list.items().len(), 0);
    }
    for (who, status) in [(of("minho", Role::Courier), 403), (service("report", "events"), 403), (String::new(), 401)] {
        assert_eq!(app.ask(&who, "GET", "/notifications", None).await.status, status);
    }
    assert_eq!(native.scans(), []);
    // Who orders and sells gets both (of which there are few, so that they are sorted).
    let both = sells("member-1", "seller-1", &[Role::Member, Role::Seller]);
    assert_eq!(app.ask(&both, "GET", "/notifications", None).await.items().len(), 2);
}
