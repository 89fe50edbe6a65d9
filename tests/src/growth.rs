//! A shop with a long past, made in seconds: the story of one finished order, told again and again under other names, in the
//! log and in all contexts' tables.

use crate::{Json, Kit, Order, Shop};
use rusqlite::{Connection, Transaction, params_from_iter, types::Value};
use std::collections::BTreeSet;

/// How many members the past has.
pub const MEMBERS: usize = 1_000;
/// How much of an id is kept; what follows is the number of the copy.
const KEPT: usize = 28;
/// What stands for the number of a copy in its ids, and for its member.
const NUMBER: &str = "\u{1}";
const MEMBER: &str = "\u{2}";

/// A row to be copied, with its marks.
struct Template {
    table: String,
    columns: Vec<String>,
    values: Vec<Value>,
}

/// A member of the past.
pub fn member_of_the_past(number: usize) -> String {
    format!("member-of-the-past-{number}")
}

impl Shop {
    /// Copies a finished order so many times, as if it had all happened. Everything must be at rest. Returns how many events
    /// each copy has.
    pub fn grow(&self, order: &Order, kit: &Kit, copies: usize) -> usize {
        let mut database = Connection::open(self.database()).expect("the shop's SQLite file");
        // It need not survive a power cut.
        database.execute_batch("PRAGMA synchronous = OFF").expect("a faster connection");
        let transaction = database.transaction().expect("a transaction");
        let templates: Vec<Template> =
            tables().flat_map(|table| templates(&transaction, &table, order, &kit.id)).collect();
        let events = templates.iter().filter(|template| template.table == "event").count();
        let head: i64 =
            transaction.query_row("SELECT max(seq) FROM event", [], |row| row.get(0)).expect("the log's end");
        let stock = "SELECT row ->> 'stock' FROM product_row WHERE id = ? AND kind = 'product'";
        let stock: i64 = transaction.query_row(stock, [&kit.id], |row| row.get(0)).expect("the kits that are left");
        for copy in 0..copies {
            let seq = head + 1 + (copy * events) as i64;
            for (place, template) in templates.iter().enumerate() {
                // The events come first, in their order.
                template.insert(&transaction, copy, seq + place as i64, seq, stock);
            }
        }
        let end = "UPDATE consumer SET position = (SELECT max(seq) FROM event)";
        transaction.execute(end, []).expect("the cursors at the log's end");
        let sold = "UPDATE product_row SET row = json_set(row, '$.stock', row ->> 'stock' - ?1 * (SELECT taking.row ->> 'quantity' \
            FROM product_row AS taking WHERE taking.id = ?2 AND taking.kind = 'taking')) WHERE id = ?3 AND kind = 'product'";
        transaction.execute(sold, (copies as i64, &order.id, &kit.id)).expect("fewer kits");
        transaction.commit().expect("the past");
        events
    }
}

/// Where the rows about an order are.
fn tables() -> impl Iterator<Item = String> {
    let rows = manifest::contexts().into_iter().map(|context| format!("{}_row", context.replace('-', "_")));
    ["event".to_owned()].into_iter().chain(rows)
}

/// The rows of a table that are about an order, with marks for what differs from copy to copy.
fn templates(database: &Transaction, table: &str, order: &Order, kit_id: &str) -> Vec<Template> {
    let about = if table == "event" { "subject = ?" } else { "row ->> 'order_id' = ?" };
    let mut select = database.prepare(&format!("SELECT * FROM {table} WHERE {about}")).expect("its rows");
    let columns: Vec<String> = select.column_names().map(str::to_owned).collect();
    let rows = select.query_map([&order.id], |row| (0..columns.len()).map(|at| row.get(at)).collect());
    let rows: Vec<Vec<Value>> = rows.and_then(Iterator::collect).expect("its rows");
    let mark = |value| match value {
        Value::Text(text) => {
            let text = text.replace(&order.member, &format!("member-of-the-past-{MEMBER}"));
            let ids: BTreeSet<&str> = ids_in(&text).filter(|id| *id != kit_id).collect();
            let marked =
                ids.iter().fold(text.clone(), |text, id| text.replace(id, &format!("{}{NUMBER}", &id[..KEPT])));
            Value::Text(marked)
        }
        other => other,
    };
    let template = |values: Vec<Value>| Template {
        table: table.to_owned(),
        columns: columns.clone(),
        values: values.into_iter().map(mark).collect(),
    };
    rows.into_iter().map(template).collect()
}

impl Template {
    fn insert(&self, database: &Transaction, copy: usize, seq: i64, first_seq: i64, stock: i64) {
        let values = self.columns.iter().zip(&self.values).map(|(column, value)| match value {
            Value::Integer(_) if column == "seq" => Value::Integer(seq),
            Value::Text(text) => {
                let member = (copy % MEMBERS).to_string();
                let text = text.replace(NUMBER, &format!("{copy:08x}")).replace(MEMBER, &member);
                Value::Text(match column.as_str() {
                    "data" => with_stock(text, stock, copy as i64 + 1),
                    "row" => with_places(text, first_seq),
                    _ => text,
                })
            }
            other => other.clone(),
        });
        let marks = vec!["?"; self.columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", self.table, self.columns.join(", "));
        let mut insert = database.prepare_cached(&sql).expect("a statement");
        insert.execute(params_from_iter(values)).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
}

/// The data of an event; when it says what is left of the kits, it is less by now.
fn with_stock(data: String, stock: i64, sold: i64) -> String {
    if !data.contains("\"stock\"") {
        return data;
    }
    let mut data: Json = serde_json::from_str(&data).expect("JSON");
    data["stock"] = (stock - sold * data["quantity"].as_i64().unwrap_or_default()).into();
    data.to_string()
}

/// A row; if it has a timeline, that is at other places in the log.
fn with_places(row: String, first_seq: i64) -> String {
    let mut row: Json = serde_json::from_str(&row).expect("JSON");
    if let Some(timeline) = row.get_mut("timeline").and_then(Json::as_array_mut) {
        for (seq, line) in (first_seq..).zip(timeline) {
            line["seq"] = seq.into();
        }
    }
    row.to_string()
}

/// The UUIDs in a text.
fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    let is_id = |id: &&str| {
        id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    (0..text.len().saturating_sub(35)).filter_map(|start| text.get(start..start + 36)).filter(is_id)
}
