//! Rows <-> state; see `sql/product.sql`.

use crate::{
    Products,
    domain::{Product, Shelf, Taking},
    search,
};
use contracts::ids::{OrderId, ProductId};
use kernel::{
    DataError, Entity, Error, Kernel, RowKey, Rows, State, Versioned,
    http::{Listing, Owners},
};
use serde_json::json;

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

/// How many rows get their search text at once.
const BATCH: usize = 1_000;

/// A part of the catalogue, newest first; with a text, only kits whose name or description has it, however it is written.
pub async fn list(kernel: &Kernel<Products>, listing: &Listing) -> Result<Vec<Versioned<Product>>, Error> {
    let Some(text) = listing.filter("q") else {
        let (condition, parameters) = listing.select("true", "id", &[], &Owners::All);
        return kernel.select(&condition, parameters).await;
    };
    // instr, not LIKE: what is searched for may have % and _ in it. A row without a search text may have it, too.
    let (condition, mut parameters) =
        listing.select("instr(coalesce(row ->> 'search', ?3), ?3)", "id", &[], &Owners::All);
    parameters.push(search::folded(text).into());
    loop {
        let found = kernel.select::<Product>(&condition, parameters.clone()).await?;
        if found.iter().all(|product| product.value.search.is_some()) {
            return Ok(found);
        }
        supplement(kernel).await?;
    }
}

/// Gives rows their search text that older builds wrote, before this one or beside it. It is no change of the kit, so that the
/// version stays; a row that changed meanwhile is left for the next time.
async fn supplement(kernel: &Kernel<Products>) -> Result<(), Error> {
    let lacking = format!("row ->> 'search' IS NULL AND id < '~' ORDER BY id DESC LIMIT {BATCH}");
    let lacking = kernel.select::<Product>(&lacking, vec![]).await?;
    let text = |Versioned { version, value }: &Versioned<Product>| json!({"id": value.id(), "version": version, "search": search::text_of(&value.kit)});
    let texts: Vec<_> = lacking.iter().map(text).collect();
    let sql = "UPDATE product_row SET row = json_set(row, '$.search', new.value ->> 'search') FROM json_each(?) AS new \
        WHERE product_row.id = new.value ->> 'id' AND kind = 'product' AND version = new.value ->> 'version'";
    kernel.query(sql, vec![serde_json::to_string(&texts)?.into()]).await?;
    Ok(())
}
