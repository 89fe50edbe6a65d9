//! Everything at once, with the power going several times. Afterwards the books balance.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tests::{Client, Events, Kit, Mode, Shop, eventually, own, text, unique};

own!(whatever_happens_the_books_balance);

/// How often the power goes.
const CRASHES: usize = 3;
/// How many members and sellers are busy.
const PEOPLE: usize = 8;
/// How much they do between two crashes.
const ACTS: usize = 40;
/// How many kits there are of each of the two kinds; too few.
const STOCK: u32 = 40;

fn whatever_happens_the_books_balance(mode: Mode) {
    let mut shop = Shop::start(mode).variable("commit_delay_ms", 1).variable("pending_timeout_ms", 100).open();
    let kits = [shop.kit(STOCK), shop.kit(STOCK)];
    let members = Mutex::new(vec![]);
    for _ in 0..CRASHES {
        let (client, acts) = (shop.client().clone(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for person in 0..PEOPLE {
                let (client, kits, members, acts) = (client.clone(), &kits, &members, &acts);
                scope.spawn(move || {
                    let member = unique("member");
                    members.lock().unwrap().push(member.clone());
                    while live(&client, &kits[person % 2], &member).is_some() {
                        acts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            // Everybody is in the middle of something.
            let busy = panic::catch_unwind(AssertUnwindSafe(|| {
                eventually("busy", || match acts.load(Ordering::SeqCst) {
                    ACTS.. => Ok(()),
                    acts => Err(acts),
                })
            }));
            shop.crash();
            busy.unwrap_or_else(|panic| panic::resume_unwind(panic));
        });
        shop.start_again();
    }

    // What was left open is closed, and what has to follow follows.
    let members = members.into_inner().unwrap();
    let orders: Vec<_> = eventually("nothing pending", || {
        shop.act("/catch-up").is(200);
        let pages = members.iter().map(|member| shop.get(&format!("/orders?limit=100&member_id={member}")).is(200));
        let orders: Vec<_> = pages.flat_map(|page| page["items"].as_array().unwrap().clone()).collect();
        match orders.iter().find(|order| order["status"] == "pending") {
            Some(pending) => Err(pending.clone()),
            None => Ok(orders),
        }
    });
    assert!(orders.len() >= CRASHES * ACTS, "orders were lost: {}", orders.len());
    shop.act("/catch-up").is(200);

    let mut taken = [0, 0];
    for order in &orders {
        let id = text(&order["id"]);
        let events = shop.events(&id);
        events.assert_well_formed(&id);
        let status = text(&order["status"]);
        let live = assert_balanced(&shop, &id, &status, &events);
        let kit = kits.iter().position(|kit| kit.id == text(&order["product_id"])).unwrap();
        taken[kit] += if live { order["quantity"].as_i64().unwrap() } else { 0 };
    }
    for (kit, taken) in kits.iter().zip(taken) {
        assert_eq!(shop.stock(kit), i64::from(STOCK) - taken, "kits were lost or made up");
    }
}

/// Something that people do. Nothing when the shop is gone.
fn live(client: &Client, kit: &Kit, member: &str) -> Option<()> {
    let chance = uuid::Uuid::now_v7().as_u128() as usize;
    let call = client.call("POST", "/orders").json(&Shop::order_body(kit, member, 1 + (chance % 3) as u32));
    let order = call.try_send().ok()?;
    let id = text(&order.is(201)["id"]);
    match chance / 3 % 4 {
        0 => {
            let cancel = client.call("POST", &format!("/orders/{id}/cancel")).try_send().ok()?;
            assert!([200, 409].contains(&cancel.status), "{cancel}");
        }
        1 => {
            let deliveries = client.call("GET", &format!("/deliveries?order_id={id}")).try_send().ok()?.is(200);
            let delivery = text(&deliveries["items"][0]["id"]);
            let complete = client.call("POST", &format!("/deliveries/{delivery}/complete")).try_send().ok()?;
            assert!([200, 409].contains(&complete.status), "{complete}");
        }
        2 => {
            // Another price; the stock is not the seller's business here, and must not suffer.
            let change = tests::json!({"price": 10_000 + chance % 1_000});
            client.call("PATCH", &format!("/products/{}", kit.id)).json(&change).try_send().ok()?.is(200);
        }
        _ => {
            client.call("GET", &format!("/mypages?member_id={member}")).try_send().ok()?.is(200);
        }
    }
    Some(())
}

/// The contexts agree about an order, and each step that was taken is either final or undone. Returns whether the order
/// holds kits.
fn assert_balanced(shop: &Shop, id: &str, status: &str, events: &Events) -> bool {
    let story = format!("{status}: {:?}", events.types());
    let at_most_once = [
        "PaymentCompleted",
        "PaymentCancelled",
        "StockDecreased",
        "StockRestored",
        "OutOfStock",
        "DeliveryRequested",
        "DeliveryCompleted",
        "DeliveryCancelled",
        "OrderCancelled",
        "OrderRejected",
    ];
    for kind in at_most_once {
        assert!(events.all(kind).len() <= 1, "{kind} twice; {story}");
    }
    let undone = |done: &str, undone: &str| {
        assert!(events.has(done) || !events.has(undone), "undone but never done; {story}");
        events.has(done) && !events.has(undone)
    };
    let live = ["delivery_requested", "delivered"].contains(&status);
    assert!(live || ["cancelled", "rejected"].contains(&status), "left in the middle; {story}");
    assert_eq!(undone("PaymentCompleted", "PaymentCancelled"), live, "the money; {story}");
    assert_eq!(undone("StockDecreased", "StockRestored"), live, "the kits; {story}");
    assert_eq!(undone("DeliveryRequested", "DeliveryCancelled"), live, "the delivery; {story}");
    assert_eq!(events.has("DeliveryCompleted"), status == "delivered", "{story}");
    assert_eq!(events.has("OrderCancelled"), status == "cancelled", "{story}");
    assert_eq!(events.has("OrderRejected"), status == "rejected", "{story}");

    let page = shop.get(&format!("/mypages/{id}")).is(200);
    assert_eq!(page["order_status"], status, "{story}");
    let timeline: Vec<&str> =
        page["timeline"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(timeline, events.types(), "my page");
    let payment = shop.payment(id).map(|payment| text(&payment["status"]));
    assert_eq!(payment.as_deref() == Some("completed"), live, "{payment:?}; {story}");
    let delivery = shop.delivery(id).map(|delivery| text(&delivery["status"]));
    let expected = match status {
        "delivered" => Some("completed"),
        "delivery_requested" => Some("requested"),
        _ => delivery.as_deref().filter(|delivery| *delivery == "cancelled"),
    };
    assert_eq!(delivery.as_deref(), expected, "{story}");
    live
}
