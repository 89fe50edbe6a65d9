//! The last kits.

use std::collections::BTreeMap;
use tests::{CARD, Shop, all_at_once, eventually, json, shared, text};

shared!(
    of_50_members_racing_for_the_last_10_kits_10_get_one_and_40_their_money,
    a_kit_that_is_changed_while_it_is_sold_loses_no_stock,
);

fn of_50_members_racing_for_the_last_10_kits_10_get_one_and_40_their_money(shop: &Shop) {
    let kit = shop.kit(10);
    // Paid is paid: whether there is a kit shows afterwards.
    let orders: Vec<String> = all_at_once(50, |_| text(&shop.try_order(&kit, 1, CARD).is(201)["id"]));
    let mut outcomes = BTreeMap::<String, u32>::new();
    for id in &orders {
        let (status, payment, delivery) = eventually("delivered or given back", || {
            let statuses = (
                shop.status(id),
                text(&shop.payment(id).expect("a payment")["status"]),
                shop.delivery(id).map_or_else(String::new, |delivery| text(&delivery["status"])),
            );
            match (shop.events(id).has("StockDecreased"), statuses.0.as_str()) {
                (true, "delivery_requested") => Ok(statuses),
                (false, "cancelled") if statuses.1 == "cancelled" && statuses.2 == "cancelled" => Ok(statuses),
                _ => Err(format!("{statuses:?} {:?}", shop.events(id).types())),
            }
        });
        *outcomes.entry(format!("{status}, {payment}, {delivery}")).or_default() += 1;
    }
    let expected = [("delivery_requested, completed, requested", 10), ("cancelled, cancelled, cancelled", 40)];
    assert_eq!(outcomes, expected.map(|(outcome, times)| (outcome.to_owned(), times)).into());
    assert_eq!(shop.stock(&kit), 0);

    for id in &orders {
        let events = if shop.status(id) == "cancelled" {
            let events = eventually("told", || match shop.events(id) {
                events if events.all("Notified").len() == 4 => Ok(events),
                events => Err(format!("{:?}", events.types())),
            });
            assert_eq!(events.one("OrderCancelled").data["reason"], "out_of_stock");
            assert!(!events.has("StockRestored"), "nothing was taken: {:?}", events.types());
            assert!(shop.told(id).iter().any(|(kind, _, event)| kind == "member" && event == "OutOfStock"));
            events
        } else {
            shop.wait_for(id, &tests::UNDER_WAY)
        };
        events.assert_well_formed(id);
        // Never below zero, on the way neither.
        for decreased in events.all("StockDecreased") {
            assert!((0..10).contains(&decreased.data["stock"].as_i64().unwrap()), "{decreased:?}");
        }
    }
    // And the ten can still have theirs delivered, or give it back.
    let lucky: Vec<&String> = orders.iter().filter(|id| shop.status(id) == "delivery_requested").collect();
    shop.complete(lucky[0]).is(200);
    shop.cancel(lucky[1]).is(200);
    eventually("one kit is back", || match shop.stock(&kit) {
        1 => Ok(()),
        stock => Err(stock),
    });
    assert_eq!(shop.get(&format!("/products/{}", kit.id)).is(200)["stock"], json!(1));
}

fn a_kit_that_is_changed_while_it_is_sold_loses_no_stock(shop: &Shop) {
    let kit = shop.kit(100);
    all_at_once(8, |person| {
        for price in 1..=5 {
            if person % 2 == 0 {
                shop.try_order(&kit, 2, CARD).is(201);
            } else {
                let change = json!({"price": 1_000 * price + person, "description": format!("{person}")});
                shop.call("PATCH", &format!("/products/{}", kit.id)).json(&change).send().is(200);
            }
        }
    });
    eventually("40 kits sold", || match shop.stock(&kit) {
        60 => Ok(()),
        stock => Err(stock),
    });
}
