//! Building my page anew from the log, while the old one goes on answering.
//!
//! The new generation of pages has a cursor of its own and grows beside the live one; when it has read the whole log,
//! one statement makes it the live one. `sql/customer_center.sql` has both ends of it.

use crate::{MyPages, Rebuild};
use kernel::{Context, Error, Kernel, platform::Value};
use serde::Serialize;
use std::time::Duration;

/// How long to wait before looking whether somebody else's rebuild is done.
const A_MOMENT: Duration = Duration::from_millis(20);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// How many pages there are.
    mypages: i64,
    /// Up to which event the log was read.
    cursor: i64,
}

/// Empties the page, reads the whole log, and shows what came out. Whoever asks while one is under way waits for that one.
pub async fn rebuild(kernel: &Kernel<MyPages>) -> Result<Rebuilt, Error> {
    kernel.whole_log().await?;
    let shadow = Kernel::<Rebuild>::open(kernel.platform().clone()).await?;
    let before = integers(kernel, "SELECT live FROM customer_center_generation").await?;
    while integers(kernel, "SELECT live FROM customer_center_generation").await? == before {
        if !step(kernel, "begin").await? {
            kernel.platform().sleep(A_MOMENT).await;
            continue;
        }
        loop {
            shadow.rest().await?;
            // Refused when the live pages read on in between.
            if step(kernel, "show").await? {
                break;
            }
        }
    }
    let sql =
        "SELECT (SELECT count(*) FROM customer_center_row), position FROM consumer WHERE name = 'customer-center'";
    match integers(kernel, sql).await?.as_slice() {
        [mypages, cursor] => Ok(Rebuilt { mypages: *mypages, cursor: *cursor }),
        _ => Err(Error::Missing("where my page stands")),
    }
}

/// The integers of the only row that this selects.
async fn integers(kernel: &Kernel<MyPages>, sql: &str) -> Result<Vec<i64>, Error> {
    let rows = kernel.query(sql, vec![]).await?;
    Ok(rows.first().map(|row| row.iter().filter_map(Value::integer).collect()).unwrap_or_default())
}

/// Takes a step; `false` when it was refused.
async fn step(kernel: &Kernel<MyPages>, step: &str) -> Result<bool, Error> {
    let version = MyPages::SCHEMA_VERSION;
    let sql = format!("INSERT INTO customer_center_step_v{version} (step) VALUES (?) RETURNING step");
    Ok(!kernel.query(&sql, vec![step.into()]).await?.is_empty())
}
