//! What sellers and members do.

use crate::{Answer, Events, Json, Shop, eventually, json};

/// A card that the sandbox approves.
pub const CARD: &str = "4111111111111111";

/// A kit that was registered.
#[derive(Clone, Debug)]
pub struct Kit {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub seller: String,
}

/// An order that was paid.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub member: String,
}

/// An id that nobody else has: shops are shared.
pub fn unique(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::now_v7().simple())
}

impl Shop {
    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send()
    }

    /// POST with a JSON body.
    pub fn post(&self, path: &str, body: &Json) -> Answer {
        self.call("POST", path).json(body).send()
    }

    /// POST without a body.
    pub fn act(&self, path: &str) -> Answer {
        self.call("POST", path).send()
    }

    /// A seller registers a kit for 12,000 KRW.
    pub fn kit(&self, stock: u32) -> Kit {
        self.kit_for(12_000, stock)
    }

    /// A seller registers a kit.
    pub fn kit_for(&self, price: u64, stock: u32) -> Kit {
        let seller = unique("seller");
        let kit = json!({"seller_id": seller, "name": "Bibimbap", "price": price, "stock": stock});
        let id = text(&self.post("/products", &kit).is(201)["id"]);
        Kit { id, seller }
    }

    /// How many of a kit are left.
    pub fn stock(&self, kit: &Kit) -> i64 {
        self.get(&format!("/products/{}", kit.id)).is(200)["stock"].as_i64().expect("a stock")
    }

    /// The body of an order.
    pub fn order_body(kit: &Kit, member: &str, quantity: u32) -> Json {
        json!({
            "member_id": member, "product_id": kit.id, "quantity": quantity, "address": "1 Sejong-daero, Seoul",
            "payment": {"card_number": CARD, "card_owner": "Kim Minji"},
        })
    }

    /// A new member orders a kit, paying with this card.
    pub fn try_order(&self, kit: &Kit, quantity: u32, card: &str) -> Answer {
        let mut body = Self::order_body(kit, &unique("member"), quantity);
        body["payment"]["card_number"] = card.into();
        self.post("/orders", &body)
    }

    /// A new member orders a kit and pays.
    pub fn order(&self, kit: &Kit, quantity: u32) -> Order {
        let order = self.try_order(kit, quantity, CARD).is(201);
        Order { id: text(&order["id"]), member: text(&order["member_id"]) }
    }

    /// An order whose kits were taken and whose delivery is on its way.
    pub fn order_under_way(&self, kit: &Kit, quantity: u32) -> Order {
        let order = self.order(kit, quantity);
        self.wait_for(&order.id, &UNDER_WAY);
        order
    }

    /// Waits until these, and no others, are the events of an order.
    pub fn wait_for(&self, order_id: &str, kinds: &[&str]) -> Events {
        let what = format!("complete with {kinds:?}: the events of order {order_id}");
        let events = eventually(&what, || {
            let events = self.events(order_id);
            if events.are(kinds) { Ok(events) } else { Err(format!("{:?}", events.types())) }
        });
        events.assert_well_formed(order_id);
        events
    }

    /// Waits until my page shows all events of an order, and checks its statuses: order, payment, delivery.
    pub fn wait_for_page(&self, order_id: &str, events: &Events, statuses: [Json; 3]) -> Json {
        let timeline: Vec<Json> =
            events.0.iter().map(|event| json!({"seq": event.seq(), "type": event.kind, "at": event.time})).collect();
        let page = eventually(&format!("on my page: {timeline:?}"), || {
            let answer = self.get(&format!("/mypages/{order_id}"));
            let page = answer.json();
            if answer.status == 200 && page["timeline"] == json!(timeline) { Ok(page) } else { Err(answer.to_string()) }
        });
        let shown = [&page["order_status"], &page["payment_status"], &page["delivery_status"]];
        assert_eq!(shown, statuses.each_ref(), "{page}");
        page
    }

    /// The payment of an order, if it has one.
    pub fn payment(&self, order_id: &str) -> Option<Json> {
        self.only(&format!("/payments?order_id={order_id}"))
    }

    /// The delivery of an order, if it has one.
    pub fn delivery(&self, order_id: &str) -> Option<Json> {
        self.only(&format!("/deliveries?order_id={order_id}"))
    }

    fn only(&self, path: &str) -> Option<Json> {
        let page = self.get(path).is(200);
        assert!(page["next"].is_null(), "more than one page: {page}");
        match page["items"].as_array().expect("items").as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => panic!("more than one: {page}"),
        }
    }

    /// The member says that the kit is there.
    pub fn complete(&self, order_id: &str) -> Answer {
        let delivery = self.delivery(order_id).expect("a delivery");
        self.act(&format!("/deliveries/{}/complete", text(&delivery["id"])))
    }

    /// The member cancels.
    pub fn cancel(&self, order_id: &str) -> Answer {
        self.act(&format!("/orders/{order_id}/cancel"))
    }

    /// What an order says of itself.
    pub fn status(&self, order_id: &str) -> String {
        text(&self.get(&format!("/orders/{order_id}")).is(200)["status"])
    }

    /// Who was told what about an order: (kind of recipient, recipient, type of the event), sorted.
    pub fn told(&self, order_id: &str) -> Vec<(String, String, String)> {
        let page = self.get(&format!("/notifications?order_id={order_id}")).is(200);
        let items = page["items"].as_array().expect("items");
        let mut told: Vec<_> = items
            .iter()
            .map(|item| {
                assert_eq!(item["order_id"], order_id, "{item}");
                assert!(item["message"].as_str().is_some_and(|message| !message.is_empty()), "{item}");
                (text(&item["recipient"]["kind"]), text(&item["recipient"]["id"]), text(&item["event_type"]))
            })
            .collect();
        told.sort();
        told
    }
}

/// The events of an order that is paid and under way.
pub const UNDER_WAY: [&str; 5] = ["OrderPlaced", "PaymentCompleted", "StockDecreased", "DeliveryRequested", "Notified"];

/// A text in JSON.
pub fn text(json: &Json) -> String {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}")).to_owned()
}
