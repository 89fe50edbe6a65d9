//! Who asks. The shops of the tests sign tokens with a key that the tests know, so that nobody has to sign in first where
//! signing in is not what is tested.
//!
//! Whoever does not say who they are ([`Call::by`](crate::Call::by)) is whom the request is about: the member or the seller
//! that its body names, the member of the order in its path; else an operator.

use crate::Json;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use token::{Claims, Role, SigningKey, base64url};

/// The variable `signing_key` of the tests' shops; of one that somebody else started, it is in `MEALKIT_SIGNING_KEY`.
pub fn signing_key() -> String {
    std::env::var("MEALKIT_SIGNING_KEY").unwrap_or_else(|_| base64url::encode(&[7; 32]))
}

/// Somebody with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub roles: Vec<Role>,
    /// For whom they sell.
    pub seller: Option<String>,
}

impl Person {
    pub fn member(id: &str) -> Self {
        Self { id: id.to_owned(), roles: vec![Role::Member], seller: None }
    }

    pub fn seller(seller: &str) -> Self {
        Self { id: format!("person-of-{seller}"), roles: vec![Role::Seller], seller: Some(seller.to_owned()) }
    }

    pub fn courier(id: &str) -> Self {
        Self { id: id.to_owned(), roles: vec![Role::Courier], seller: None }
    }

    pub fn operator() -> Self {
        Self { id: "operator".to_owned(), roles: vec![Role::Operator], seller: None }
    }

    /// Somebody who may order and sell.
    pub fn somebody() -> Self {
        let roles = vec![Role::Member, Role::Seller];
        Self { id: "somebody".to_owned(), roles, seller: Some("somebody".to_owned()) }
    }

    /// What their token says.
    pub fn claims(&self) -> Claims {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or_default();
        // Some tests set the shop's clock.
        let claims = Claims::new(&self.id, &format!("session-of-{}", self.id), now, 32_503_680_000);
        Claims { jti: crate::unique("token"), roles: self.roles.clone(), seller_id: self.seller.clone(), ..claims }
    }

    /// The header `authorization` with their token.
    pub fn authorization(&self) -> String {
        authorization(&self.claims())
    }
}

/// The header `authorization` with a token that says this.
pub fn authorization(claims: &Claims) -> String {
    let key = SigningKey::parse(&signing_key()).expect("a key");
    format!("Bearer {}", token::sign(&key, claims).expect("a token"))
}

/// What is whose, as far as it was seen in answers; and tokens that were made before.
#[derive(Clone, Debug, Default)]
pub struct People(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    members: BTreeMap<String, String>,
    tokens: BTreeMap<String, String>,
}

impl People {
    /// The header of whoever this request is about.
    pub fn authorization(&self, method: &str, path: &str, body: Option<&[u8]>) -> String {
        let person = self.who(method, path, body);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.tokens.entry(format!("{person:?}")).or_insert_with(|| person.authorization()).clone()
    }

    fn who(&self, method: &str, path: &str, body: Option<&[u8]>) -> Person {
        let path = path.split('?').next().unwrap_or_default();
        let body: Json = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let named = |field: &str| body[field].as_str().map(str::to_owned);
        let mut segments = path.split('/').skip(1);
        match (method, segments.next(), segments.next()) {
            ("POST", Some("orders"), None) => {
                named("member_id").map_or_else(Person::somebody, |id| Person::member(&id))
            }
            ("POST", Some("products"), None) => {
                named("seller_id").map_or_else(Person::somebody, |id| Person::seller(&id))
            }
            ("POST" | "DELETE", Some("orders" | "deliveries"), Some(id)) => {
                let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                known.members.get(id).map_or_else(Person::operator, |member| Person::member(member))
            }
            _ => Person::operator(),
        }
    }

    /// Remembers whose is what an answer tells of.
    pub fn learn(&self, body: &str) {
        let Ok(answer) = serde_json::from_str::<Json>(body) else { return };
        let one = [answer.clone()];
        let items = answer["items"].as_array().map_or(&one[..], Vec::as_slice);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for item in items {
            let (Some(id), Some(member)) = (item["id"].as_str(), item["member_id"].as_str()) else { continue };
            known.members.insert(id.to_owned(), member.to_owned());
        }
    }
}

/// The body of an operator's cancellation, or completion: they say why.
pub fn because() -> Json {
    json!({"reason": "a test"})
}
