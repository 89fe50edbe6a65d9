//! Figures for operators: what a context knows of itself. The journal collects them and shows them at `/metrics`.
//!
//! Everything is read from the database, nothing is counted in memory: an instance lives for seconds, and there are many.

use crate::{
    Context, Kernel,
    context::sql_name,
    error::Error,
    platform::{Row, Value},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// How a figure changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Only up.
    Counter,
}

/// One figure, as Prometheus names and describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Its name: `mealkit_…`.
    pub name: String,
    /// What it is, in a sentence.
    pub help: String,
    /// How it changes.
    pub kind: Kind,
    /// Of what.
    pub labels: BTreeMap<String, String>,
    pub value: i64,
}

impl Sample {
    /// A figure that goes up and down.
    pub fn gauge(name: &str, help: &str, labels: &[(&str, &str)], value: i64) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { name: name.into(), help: help.into(), kind: Kind::Gauge, labels, value }
    }

    /// A figure that only goes up.
    pub fn counter(name: &str, help: &str, labels: &[(&str, &str)], value: i64) -> Self {
        Self { kind: Kind::Counter, ..Self::gauge(name, help, labels, value) }
    }
}

/// The counts of a `SELECT label, count(*) …`, by label.
pub fn counts(rows: &[Row]) -> BTreeMap<String, i64> {
    let count = |row: &Row| Some((row.first()?.text()?.to_owned(), row.get(1)?.integer()?));
    rows.iter().filter_map(count).collect()
}

impl<C: Context> Kernel<C> {
    /// The context's figures: those that every context has, and its own.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn samples(self: &Arc<Self>) -> Result<Vec<Sample>, Error> {
        let context = sql_name(C::NAME);
        let position = self.position().await?;
        let sql = format!(
            "SELECT (SELECT conflicts FROM consumer WHERE name = ?), \
             (SELECT coalesce(sum(tries), 0) FROM {context}_dead_letter)"
        );
        let totals = self.query(&sql, vec![C::NAME.into()]).await?;
        let total =
            |index: usize| totals.first().and_then(|row| row.get(index)).and_then(Value::integer).unwrap_or_default();
        let sql = format!("SELECT status, count(*) FROM {context}_dead_letter GROUP BY status");
        let letters = counts(&self.query(&sql, vec![]).await?);
        let of = [("context", C::NAME)];
        let mut samples = vec![
            Sample::gauge("mealkit_context_cursor", "The last event that was worked off.", &of, position.cursor),
            Sample::gauge("mealkit_context_lag", "Events that wait to be worked off.", &of, position.lag),
            Sample::counter(
                "mealkit_conflicts_total",
                "How often a unit of work lost a race and was decided again.",
                &of,
                total(0),
            ),
            Sample::counter("mealkit_retries_total", "Tries of events that could not be worked off.", &of, total(1)),
        ];
        for status in ["retrying", "dead", "waiting", "resolved", "discarded"] {
            let labels = [("context", C::NAME), ("status", status)];
            let help = "Events that could not be worked off, by what became of them.";
            let count = letters.get(status).copied().unwrap_or(0);
            samples.push(Sample::gauge("mealkit_dead_letters", help, &labels, count));
        }
        samples.extend(C::samples(self).await?);
        Ok(samples)
    }
}
