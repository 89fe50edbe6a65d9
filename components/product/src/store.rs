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

/// How many rows get their search text at once: as many as hold up nobody who writes meanwhile.
const BATCH: usize = 100;

/// A part of the catalogue, newest first; with a text, only kits whose name or description has it, however it is written.
pub async fn list(kernel: &Kernel<Products>, listing: &Listing) -> Result<Vec<Versioned<Product>>, Error> {
    let text = listing.filter("q").map(search::folded).filter(|text| !text.is_empty());
    match text {
        Some(text) => found(kernel, listing, &text).await,
        None => {
            let (condition, parameters) = listing.select("true", "id", &[], &Owners::All);
            kernel.select(&condition, parameters).await
        }
    }
}

/// The kits that have this text. The index goes through those that may, from the newest on, until there are enough: so neither
/// a text that all kits have costs much, nor one that none has.
async fn found(kernel: &Kernel<Products>, listing: &Listing, text: &str) -> Result<Vec<Versioned<Product>>, Error> {
    supplement(kernel).await?;
    let (_, mut parameters) = listing.select("true", "id", &[], &Owners::All);
    parameters.extend([search::trigrams(text).into(), text.into()]);
    let end = match listing.after {
        Some(_) => "(SELECT n + (id < ?1) FROM product_text WHERE id <= ?1 ORDER BY id DESC LIMIT 1)",
        None => "9223372036854775807",
    };
    // instr, not LIKE: what is searched for may have % and _ in it.
    let sql = format!(
        "SELECT version, row FROM product_trigram AS it CROSS JOIN product_text ON n = it.rowid \
         CROSS JOIN product_row USING (id) WHERE it.product_trigram MATCH ?3 AND it.rowid < {end} AND instr(product_text.text, ?4) \
         AND kind = 'product' ORDER BY it.rowid DESC LIMIT ?2"
    );
    kernel.select_by(&sql, parameters).await
}

/// Gives rows their search text that have none, or not yet in the index: those of older builds, before this one or beside it.
/// It is no change of the kit, so that the version stays; a row that changed meanwhile is left for the next time.
async fn supplement(kernel: &Kernel<Products>) -> Result<(), Error> {
    let lacking = "SELECT it.id FROM product_text AS it CROSS JOIN product_row ON product_row.id = it.id AND kind = 'product' \
        WHERE it.text IS NULL AND n > 0";
    while !kernel.query(&format!("{lacking} LIMIT 1"), vec![]).await?.is_empty() {
        let kits = kernel.select::<Product>(&format!("id IN ({lacking} LIMIT {BATCH})"), vec![]).await?;
        let text = |Versioned { version, value }: &Versioned<Product>| json!({"id": value.id(), "version": version, "search": search::text_of(&value.kit)});
        let texts: Vec<_> = kits.iter().map(text).collect();
        let sql = "UPDATE product_row SET row = json_set(row, '$.search', new.value ->> 'search') FROM json_each(?) AS new \
            WHERE product_row.id = new.value ->> 'id' AND kind = 'product' AND version = new.value ->> 'version'";
        kernel.query(sql, vec![serde_json::to_string(&texts)?.into()]).await?;
    }
    Ok(())
}
