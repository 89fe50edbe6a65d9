//! A few kits to begin with.

use anyhow::{Context, Result};
use http::HeaderValue;
use serde_json::{Value, json};
use token::Role;

use crate::{
    client::{Client, by, post},
    console::{print, say},
    people::{self, Kept},
};

/// Name, description, price in KRW, stock.
const KITS: [(&str, &str, u32, u32); 4] = [
    ("Kimchi jjigae", "Kimchi stew with pork belly and tofu, for two", 15_900, 50),
    ("Bulgogi hot pot", "Marinated beef, glass noodles, mushrooms and broth, for three", 24_900, 30),
    ("Mushroom risotto", "Arborio rice, porcini and parmesan, for two", 18_500, 20),
    ("Gambas al ajillo", "Prawns, garlic, chilli and a baguette, for two", 21_000, 3),
];

/// Signs everybody in, and has the seller register the kits and a member order one, each with an idempotency key: done
/// twice, there is as much as before.
pub async fn seed(kept: &mut Kept, code: &str) -> Result<()> {
    let address = kept.address;
    let mut client = Client::connect(address).await?;
    let people = people::gather(&mut client, kept, code).await;
    let people = people.context("there are no people to begin with; without --seed, the app starts as it is")?;
    let Some(people) = people else { return Ok(()) };
    let token_of = |role: Role| {
        let somebody = people.iter().find(|person| person.role == role);
        somebody.map(|person| &*person.token).with_context(|| format!("there is no {role}"))
    };
    let (seller, member) = (token_of(Role::Seller)?, token_of(Role::Member)?);
    let (mut list, mut first) = (String::new(), None);
    for ((name, description, price, stock), number) in KITS.into_iter().zip(1..) {
        let kit = json!({"name": name, "description": description, "price": price, "stock": stock});
        let id = made(&mut client, seller, "/products", &kit, number).await;
        let id = id.with_context(|| format!("the kit \"{name}\" was not registered"))?;
        list += &format!("  {id}  {name}, {price} KRW, {stock} in stock\n");
        first = first.or(Some(id));
    }
    let order = json!({
        "product_id": first, "quantity": 2, "address": "110 Sejong-daero, Seoul",
        "payment": {"card_number": "4111111111111111", "card_owner": "Hana Kim"},
    });
    let order_id = made(&mut client, member, "/orders", &order, 1).await.context("the order was not placed")?;
    say(format!("There are kits now:\n{list}and hana's order {order_id} of the first one."));
    people::introduce(&people, address);
    say("\nOrder one more:\n");
    print(format!(
        "curl -si http://{address}/orders -H \"authorization: Bearer $(cargo xtask token --role member)\" \
         -H 'content-type: application/json' -d '{order}'\n"
    ));
    Ok(())
}

/// The id of what was made, now or when this was last asked for.
async fn made(client: &mut Client, token: &str, path: &str, what: &Value, number: u32) -> Result<String> {
    let mut call = by(token, post(path, what)?)?;
    call.headers_mut().insert("idempotency-key", HeaderValue::from_str(&format!("seed-{number}"))?);
    let made = client.send(call).await?.json()?;
    Ok(made.get("id").and_then(Value::as_str).context("the answer has no id")?.to_owned())
}
