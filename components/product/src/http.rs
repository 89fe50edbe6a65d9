//! Routes -> commands and queries.

use crate::{
    Products,
    domain::{Changes, Command, Product, Refusal, Shelf},
    search::composed,
    store::{self, ShelfKey},
};
use ::http::StatusCode;
use axum::extract::{Path, State};
use contracts::{
    ProductRegistered,
    ids::{ProductId, SellerId},
};
use kernel::{
    Attempt, Created, Kernel, Trace, Versioned,
    actor::{Member, Role},
    http::{Access, Answer, Body, Checks, Key, Page, Problem, Query, Routes, integer, optional_integer, patched},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// The largest price of a kit, in KRW.
const MOST_PRICE: i64 = 100_000_000;
/// The largest stock of a kit.
const MOST_STOCK: i64 = 1_000_000;

pub fn routes(kernel: Arc<Kernel<Products>>) -> Routes {
    Routes::new()
        .get("/products", Access::Everybody, list)
        .post("/products", Access::Roles(&[Role::Seller]), register)
        .get("/products/{id}", Access::Everybody, show)
        .patch("/products/{id}", Access::Roles(&[Role::Seller, Role::Operator]), modify)
        .with_state(kernel)
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    /// For whom the seller sells; they need not say it.
    #[serde(default, deserialize_with = "patched")]
    seller_id: Option<SellerId>,
    name: String,
    description: Option<String>,
    #[serde(deserialize_with = "integer")]
    price: i64,
    #[serde(deserialize_with = "integer")]
    stock: i64,
    image_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "patched")]
    name: Option<String>,
    #[serde(default, deserialize_with = "patched")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "optional_integer")]
    price: Option<i64>,
    #[serde(default, deserialize_with = "optional_integer")]
    stock: Option<i64>,
    #[serde(default, deserialize_with = "patched")]
    image_url: Option<Option<String>>,
}

/// A kit as its readers see it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a ProductId,
    seller_id: &'a SellerId,
    name: &'a str,
    description: Option<&'a str>,
    price: u64,
    stock: u32,
    image_url: Option<&'a str>,
    version: i64,
    created_at: &'a str,
    updated_at: &'a str,
}

async fn register(
    State(kernel): State<Arc<Kernel<Products>>>,
    trace: Trace,
    member: Member,
    Key(key): Key,
    Body(registration): Body<Registration>,
) -> Result<Answer, Problem> {
    #[expect(clippy::disallowed_methods, reason = "the kit begins here")]
    let kit = registration.check(Uuid::now_v7().into(), &member)?;
    let attempt = key.map(|key| Attempt::new(&trace, &key, &registration, kit.product_id.as_str())).transpose()?;
    match kernel.create(Command::Register(kit), &trace, attempt.as_ref()).await? {
        Created::Now(executed) => Ok(created(&product(executed.state)?)),
        Created::Before(id) => Ok(created(&registered(&kernel, &ProductId::new(id)).await?)),
    }
}

/// The kit as it was registered; as it is now, if that is archived.
async fn registered(kernel: &Kernel<Products>, id: &ProductId) -> Result<Versioned<Product>, Problem> {
    match kernel.history(&ShelfKey::product(id), id.as_str()).await?.into_iter().next() {
        Some(shelf) => Ok(product(shelf)?),
        None => find(kernel, id).await,
    }
}

async fn modify(
    State(kernel): State<Arc<Kernel<Products>>>,
    trace: Trace,
    Path(product_id): Path<ProductId>,
    Body(patch): Body<Patch>,
) -> Result<Answer, Problem> {
    let command = Command::Modify { product_id, by: trace.actor.clone(), changes: patch.check()? };
    let executed = kernel.execute(command, &trace).await?;
    Ok(shown(StatusCode::OK, &product(executed.state)?))
}

async fn show(State(kernel): State<Arc<Kernel<Products>>>, Path(id): Path<ProductId>) -> Result<Answer, Problem> {
    Ok(shown(StatusCode::OK, &find(&kernel, &id).await?).public())
}

async fn list(State(kernel): State<Arc<Kernel<Products>>>, query: Query) -> Result<Answer, Problem> {
    let listing = query.listing(&["q"])?;
    let products = store::list(&kernel, &listing).await?;
    let views = products.iter().map(View::of).collect();
    Ok(Answer::ok(Page::new(views, &listing, |view| view.id.to_string())).public())
}

async fn find(kernel: &Kernel<Products>, id: &ProductId) -> Result<Versioned<Product>, Problem> {
    Ok(kernel.find::<Product>(id).await?.ok_or(Refusal::Unknown)?)
}

fn product(shelf: Versioned<Shelf>) -> Result<Versioned<Product>, Refusal> {
    let Versioned { version, value } = shelf;
    Ok(Versioned { version, value: value.product.ok_or(Refusal::Unknown)? })
}

fn shown(status: StatusCode, product: &Versioned<Product>) -> Answer {
    Answer::json(status, View::of(product)).version(product.version)
}

fn created(product: &Versioned<Product>) -> Answer {
    shown(StatusCode::CREATED, product).location(format!("/products/{}", product.value.kit.product_id))
}

impl<'a> View<'a> {
    fn of(Versioned { version, value }: &'a Versioned<Product>) -> Self {
        let kit = &value.kit;
        Self {
            id: &kit.product_id,
            seller_id: &kit.seller_id,
            name: &kit.name,
            description: kit.description.as_deref(),
            price: kit.price,
            stock: kit.stock,
            image_url: kit.image_url.as_deref(),
            version: *version,
            created_at: &value.created_at,
            updated_at: &value.updated_at,
        }
    }
}

impl Registration {
    fn check(&self, product_id: ProductId, member: &Member) -> Result<ProductRegistered, Problem> {
        let seller_id = member.sells_for().ok_or_else(|| Problem::forbidden("You sell for nobody."))?;
        if self.seller_id.as_ref().is_some_and(|named| named != seller_id) {
            return Err(Problem::forbidden("`seller_id` is another seller's: everybody sells their own."));
        }
        let mut checks = Checks::default();
        let (name, description) = (composed(&self.name), self.description.as_deref().map(composed));
        check_texts(&mut checks, Some(&name), description.as_deref(), self.image_url.as_deref());
        let price = check_price(&mut checks, self.price);
        let stock = check_stock(&mut checks, self.stock);
        checks.done()?;
        Ok(ProductRegistered {
            product_id,
            seller_id: seller_id.clone(),
            name,
            description,
            price,
            stock,
            image_url: self.image_url.clone(),
        })
    }
}

impl Patch {
    fn check(self) -> Result<Changes, Problem> {
        let mut checks = Checks::default();
        let name = self.name.as_deref().map(composed);
        let description = self.description.map(|text| text.as_deref().map(composed));
        check_texts(
            &mut checks,
            name.as_deref(),
            description.as_ref().and_then(Option::as_deref),
            self.image_url.as_ref().and_then(Option::as_deref),
        );
        let price = self.price.map(|price| check_price(&mut checks, price));
        let stock = self.stock.map(|stock| check_stock(&mut checks, stock));
        checks.done()?;
        Ok(Changes { name, description, price, stock, image_url: self.image_url })
    }
}

fn check_texts(checks: &mut Checks, name: Option<&str>, description: Option<&str>, image_url: Option<&str>) {
    if let Some(name) = name {
        checks.text("name", name, 1..=200);
    }
    if let Some(description) = description {
        checks.text("description", description, 0..=4_000);
    }
    if let Some(url) = image_url {
        let is_url = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
        let fits = is_url && url.len() <= 2_000 && url.bytes().all(|b| b.is_ascii_graphic());
        checks.rule("image_url", fits, "must be an http(s) URL of at most 2000 characters");
    }
}

fn check_price(checks: &mut Checks, price: i64) -> u64 {
    checks.range("price", price, 1..=MOST_PRICE);
    u64::try_from(price).unwrap_or_default()
}

fn check_stock(checks: &mut Checks, stock: i64) -> u32 {
    checks.range("stock", stock, 0..=MOST_STOCK);
    u32::try_from(stock).unwrap_or_default()
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::not_found("There is no such product."),
            Refusal::Exists => Self::conflict("exists", "There is a product with this id already."),
        }
    }
}
