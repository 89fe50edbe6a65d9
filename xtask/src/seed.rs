//! A few kits to begin with.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use http::HeaderValue;
use serde_json::{Value, json};

use crate::{
    client::{Client, post},
    console::{print, say},
};

/// Name, description, price in KRW, stock.
const KITS: [(&str, &str, u32, u32); 4] = [
    ("Kimchi jjigae", "Kimchi stew with pork belly and tofu, for two", 15_900, 50),
    ("Bulgogi hot pot", "Marinated beef, glass noodles, mushrooms and broth, for three", 24_900, 30),
    ("Mushroom risotto", "Arborio rice, porcini and parmesan, for two", 18_500, 20),
    ("Gambas al ajillo", "Prawns, garlic, chilli and a baguette, for two", 21_000, 3),
];

/// Registers the kits, each with an idempotency key: done twice, there are as many as before.
pub async fn seed(address: SocketAddr) -> Result<()> {
    let mut client = Client::connect(address).await?;
    let (mut list, mut first) = (String::new(), None);
    for ((name, description, price, stock), number) in KITS.into_iter().zip(1..) {
        let kit = json!({
            "seller_id": "seller-1", "name": name, "description": description, "price": price, "stock": stock,
        });
        let mut call = post("/products", &kit)?;
        call.headers_mut().insert("idempotency-key", HeaderValue::from_str(&format!("seed-{number}"))?);
        let product = client.send(call).await?.json().with_context(|| {
            format!("the kit \"{name}\" was not registered; without --seed, the app starts as it is")
        })?;
        let id = product.get("id").and_then(Value::as_str).context("the answer has no id")?.to_owned();
        list += &format!("  {id}  {name}, {price} KRW, {stock} in stock\n");
        first = first.or(Some(id));
    }
    say(format!("There are kits now:\n{list}Order the first one:\n"));
    print(order_with_curl(address, &first.unwrap_or_default()));
    Ok(())
}

fn order_with_curl(address: SocketAddr, product_id: &str) -> String {
    format!(
        "curl -si http://{address}/orders -H 'content-type: application/json' -d '{{\"member_id\": \"hana\", \
         \"product_id\": \"{product_id}\", \"quantity\": 2, \"address\": \"110 Sejong-daero, Seoul\", \
         \"payment\": {{\"card_number\": \"4111111111111111\", \"card_owner\": \"Hana Kim\"}}}}'\n"
    )
}
