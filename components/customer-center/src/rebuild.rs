//! Building my page anew from the log, while the old one goes on answering.
//!
//! The new generation of pages has a cursor of its own and grows beside the live one; when it has read the whole log,
//! one statement makes it the live one. `sql/customer_center.sql` has both ends of it.

use crate::{MyPages, policy::Rebuild};
use kernel::{Error, Kernel, platform::Value};
use serde::Serialize;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// How many pages there are.
    mypages: i64,
    /// Up to which event the log was read.
    cursor: i64,
}

/// Empties the page, reads the whole log, and shows what came out. Two of them at once help each other.
pub async fn rebuild(kernel: &Kernel<MyPages>) -> Result<Rebuilt, Error> {
    let shadow = Kernel::<Rebuild>::open(kernel.platform().clone()).await?;
    step(kernel, "empty").await?;
    loop {
        shadow.settle().await?;
        // Refused when the live pages read on in between.
        if step(kernel, "show").await? {
            break;
        }
    }
    let sql = "SELECT (SELECT count(*) FROM customer_center_mypage \
        WHERE generation = (SELECT live FROM customer_center_generation)), position FROM customer_center_cursor";
    let rows = kernel.query(sql, vec![]).await?;
    let integer = |index: usize| rows.first().and_then(|row| row.get(index)).and_then(Value::integer).unwrap_or(0);
    Ok(Rebuilt { mypages: integer(0), cursor: integer(1) })
}

/// Takes a step; `false` when it was refused.
async fn step(kernel: &Kernel<MyPages>, step: &str) -> Result<bool, Error> {
    let sql = "INSERT INTO customer_center_step (step) VALUES (?) RETURNING step";
    Ok(!kernel.query(sql, vec![step.into()]).await?.is_empty())
}
