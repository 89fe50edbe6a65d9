//! Rows <-> state; see `sql/product.sql`.

use crate::{
    Products,
    domain::{Product, Shelf, Taking},
};
use contracts::ids::{OrderId, ProductId};
use kernel::{DataError, Entity, Error, Kernel, RowKey, Rows, State, Versioned, http::Listing, platform::Value};

impl Entity for Product {
    const KIND: &'static str = "product";
    type Id = ProductId;

    fn id(&self) -> &ProductId {
        &self.kit.product_id
    }
}

impl Entity for Taking {
    const KIND: &'static str = "taking";
    type Id = OrderId;

    fn id(&self) -> &OrderId {
        &self.order_id
    }
}

/// A product, and the order that takes of it, if one does.
#[derive(Clone, Debug)]
pub struct ShelfKey {
    product: ProductId,
    order: Option<OrderId>,
}

impl ShelfKey {
    /// The product alone.
    pub fn product(product: &ProductId) -> Self {
        Self { product: product.clone(), order: None }
    }

    /// The product, and what the order took of it.
    pub fn order(product: &ProductId, order: &OrderId) -> Self {
        Self { product: product.clone(), order: Some(order.clone()) }
    }
}

impl State for Shelf {
    type Key = ShelfKey;

    fn rows(key: &ShelfKey) -> Vec<RowKey> {
        let mut rows = vec![RowKey::of::<Product>(&key.product)];
        rows.extend(key.order.as_ref().map(RowKey::of::<Taking>));
        rows
    }

    fn read(key: &ShelfKey, rows: &Rows) -> Result<Self, DataError> {
        let taking = key.order.as_ref().map(|order| rows.get(order)).transpose()?.flatten();
        Ok(Self { product: rows.get(&key.product)?, taking })
    }

    fn write(&self, rows: &mut Rows) -> Result<(), DataError> {
        if let Some(product) = &self.product {
            rows.put(product)?;
        }
        if let Some(taking) = &self.taking {
            rows.put(taking)?;
        }
        Ok(())
    }
}

/// A part of the catalogue, newest first; with a text, only kits whose name or description has it.
pub async fn list(kernel: &Kernel<Products>, listing: &Listing) -> Result<Vec<Versioned<Product>>, Error> {
    // instr, not LIKE: what is searched for may have % and _ in it.
    let base = match listing.filter("q") {
        Some(_) => {
            "(instr(lower(row ->> 'name'), lower(?3)) OR instr(lower(coalesce(row ->> 'description', '')), lower(?3)))"
        }
        None => "true",
    };
    let (condition, mut parameters) = listing.select(base, "id", &[]);
    parameters.extend(listing.filter("q").map(Value::from));
    kernel.select(&condition, parameters).await
}
