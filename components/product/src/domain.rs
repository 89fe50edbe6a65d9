//! What a kit is, and the rules of its stock. Pure.

use crate::{Products, search, store::ShelfKey};
use contracts::{
    Event, OutOfStock, ProductModified, ProductRegistered, StockDecreased, StockRestored,
    ids::{MemberId, OrderId, ProductId},
};
use kernel::{Decider, Recorded, actor::Actor};
use serde::{Deserialize, Serialize};

/// A kit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its properties as they are now.
    #[serde(flatten)]
    pub kit: ProductModified,
    /// What it is found by; rows of builds that knew no such text lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// What an order took of a product's stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taking {
    pub order_id: OrderId,
    pub product_id: ProductId,
    pub quantity: u32,
    pub restored: bool,
}

/// What a decision is about: a product, and what the order in question took of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    pub product: Option<Product>,
    /// What the order took, if it did.
    pub taking: Option<Taking>,
}

/// Changes to what the seller says of a kit; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub name: Option<String>,
    /// A new description, or none any more.
    pub description: Option<Option<String>>,
    /// A new price, in KRW.
    pub price: Option<u64>,
    pub stock: Option<u32>,
    /// A new picture, or none any more.
    pub image_url: Option<Option<String>>,
}

/// What the context can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A seller registers a kit.
    Register(ProductRegistered),
    /// A seller changes a kit.
    Modify {
        product_id: ProductId,
        /// Who wants that.
        by: Actor,
        changes: Changes,
    },
    /// An order was paid: take its kits.
    Take { order_id: OrderId, member_id: MemberId, product_id: ProductId, quantity: u32 },
    /// An order's payment was cancelled: give back what it took.
    Restore { order_id: OrderId, product_id: ProductId },
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such product")]
    Unknown,
    /// There is one with this id already.
    #[error("there is a product with this id already")]
    Exists,
}

impl Decider for Products {
    type State = Shelf;
    type Command = Command;
    type Refusal = Refusal;

    fn target(command: &Command) -> ShelfKey {
        match command {
            Command::Register(kit) => ShelfKey::product(&kit.product_id),
            Command::Modify { product_id, .. } => ShelfKey::product(product_id),
            Command::Take { product_id, order_id, .. } | Command::Restore { product_id, order_id } => {
                ShelfKey::order(product_id, order_id)
            }
        }
    }

    fn decide(shelf: &Shelf, command: Command) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Register(kit) => match &shelf.product {
                Some(_) => Err(Refusal::Exists),
                None => Ok(vec![kit.into()]),
            },
            Command::Modify { by, changes, .. } => {
                let is_theirs = |product: &&Product| by.sells_for(&product.kit.seller_id) || by.runs_the_shop();
                let product = shelf.product.as_ref().filter(is_theirs).ok_or(Refusal::Unknown)?;
                let kit = changes.apply(product.kit.clone());
                Ok(if kit == product.kit { vec![] } else { vec![kit.into()] })
            }
            Command::Take { order_id, member_id, product_id, quantity } => {
                if shelf.taking.is_some() {
                    return Ok(vec![]);
                }
                let stock = shelf.product.as_ref().map_or(0, |product| product.kit.stock);
                Ok(vec![match stock.checked_sub(quantity) {
                    Some(stock) => StockDecreased { order_id, product_id, quantity, stock }.into(),
                    None => OutOfStock { order_id, product_id, member_id, quantity, stock }.into(),
                }])
            }
            Command::Restore { .. } => match (&shelf.product, &shelf.taking) {
                (Some(product), Some(taking)) if !taking.restored => Ok(vec![
                    StockRestored {
                        order_id: taking.order_id.clone(),
                        product_id: product.kit.product_id.clone(),
                        quantity: taking.quantity,
                        stock: product.kit.stock.saturating_add(taking.quantity),
                    }
                    .into(),
                ]),
                _ => Ok(vec![]),
            },
        }
    }

    fn evolve(mut shelf: Shelf, recorded: &Recorded) -> Shelf {
        match &recorded.event {
            Event::ProductRegistered(e) => {
                let kit = registered(e.clone());
                shelf.product = Some(Product {
                    search: Some(search::text_of(&kit)),
                    kit,
                    created_at: recorded.time.clone(),
                    updated_at: recorded.time.clone(),
                });
            }
            Event::ProductModified(e) => {
                if let Some(product) = &mut shelf.product {
                    product.kit.clone_from(e);
                    product.search = Some(search::text_of(e));
                    product.updated_at.clone_from(&recorded.time);
                }
            }
            Event::StockDecreased(e) => {
                shelf.restock(e.stock, &recorded.time);
                shelf.taking = Some(Taking {
                    order_id: e.order_id.clone(),
                    product_id: e.product_id.clone(),
                    quantity: e.quantity,
                    restored: false,
                });
            }
            Event::StockRestored(e) => {
                shelf.restock(e.stock, &recorded.time);
                if let Some(taking) = &mut shelf.taking {
                    taking.restored = true;
                }
            }
            _ => {}
        }
        shelf
    }
}

impl Shelf {
    fn restock(&mut self, stock: u32, time: &str) {
        if let Some(product) = &mut self.product {
            product.kit.stock = stock;
            product.updated_at = time.to_owned();
        }
    }
}

impl Changes {
    fn apply(self, old: ProductModified) -> ProductModified {
        ProductModified {
            name: self.name.unwrap_or(old.name),
            description: self.description.unwrap_or(old.description),
            price: self.price.unwrap_or(old.price),
            stock: self.stock.unwrap_or(old.stock),
            image_url: self.image_url.unwrap_or(old.image_url),
            ..old
        }
    }
}

/// What was registered is what the kit is until it is modified.
fn registered(kit: ProductRegistered) -> ProductModified {
    let ProductRegistered { product_id, seller_id, name, description, price, stock, image_url } = kit;
    ProductModified { product_id, seller_id, name, description, price, stock, image_url }
}
