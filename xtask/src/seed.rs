//! A few kits to begin with.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use http::HeaderValue;
use serde_json::{Value, json};
use token::Role;

use crate::{
    client::{Client, post},
    console::{print, say},
    people::{self, Called, Mint, Person, by},
};

/// Name, description, price in KRW, stock.
const KITS: [(&str, &str, u32, u32); 4] = [
    ("Kimchi jjigae", "Kimchi stew with pork belly and tofu, for two", 15_900, 50),
    ("Bulgogi hot pot", "Marinated beef, glass noodles, mushrooms and broth, for three", 24_900, 30),
    ("Mushroom risotto", "Arborio rice, porcini and parmesan, for two", 18_500, 20),
    ("Gambas al ajillo", "Prawns, garlic, chilli and a baguette, for two", 21_000, 3),
];

/// Registers the kits, each with an idempotency key: done twice, there are as many as before.
pub async fn seed(address: SocketAddr, mint: &Mint, state: &Path) -> Result<()> {
    let people = people::settle(address, mint, state).await?;
    let seller = people.iter().find(|(called, _)| *called == Called::Seller).context("there is a seller")?;
    let seller = mint.authorization(&seller.1.id, &[Role::Seller], None)?;
    let mut client = Client::connect(address).await?;
    let (mut list, mut first) = (String::new(), None);
    for ((name, description, price, stock), number) in KITS.into_iter().zip(1..) {
        let kit = json!({
            "name": name, "description": description, "price": price, "stock": stock,
        });
        let mut call = by(post("/products", &kit)?, &seller);
        call.headers_mut().insert("idempotency-key", HeaderValue::from_str(&format!("seed-{number}"))?);
        let product = client.send(call).await?.json().with_context(|| {
            format!("the kit \"{name}\" was not registered; without --seed, the app starts as it is")
        })?;
        let id = product.get("id").and_then(Value::as_str).context("the answer has no id")?.to_owned();
        list += &format!("  {id}  {name}, {price} KRW, {stock} in stock\n");
        first = first.or(Some(id));
    }
    let of = |(called, person): &(Called, Person)| {
        format!("  {:<8} {:<26} {}\n", format!("{called:?}").to_lowercase(), person.email, person.password)
    };
    let accounts: String = people.iter().map(of).collect();
    say(format!(
        "There are people, with their passwords:\n{accounts}And there are kits:\n{list}Sign in and order the first one:\n"
    ));
    let (_, member) = people.iter().find(|(called, _)| *called == Called::Member).context("there is a member")?;
    print(sign_in_with_curl(address, member));
    print(order_with_curl(address, &first.unwrap_or_default()));
    Ok(())
}

fn sign_in_with_curl(address: SocketAddr, member: &Person) -> String {
    let Person { email, password, .. } = member;
    format!(
        "TOKEN=$(curl -s http://{address}/sessions -H 'content-type: application/json' \\\n  -d '{{\"email\": \"{email}\", \
         \"password\": \"{password}\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')\n"
    )
}

fn order_with_curl(address: SocketAddr, product_id: &str) -> String {
    format!(
        "curl -si http://{address}/orders -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \
         -d '{{\"product_id\": \"{product_id}\", \"quantity\": 2, \"address\": \"110 Sejong-daero, Seoul\", \
         \"payment\": {{\"card_number\": \"4111111111111111\", \"card_owner\": \"Hana Kim\"}}}}'\n"
    )
}
