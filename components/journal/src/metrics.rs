//! `GET /metrics`: the figures of all contexts as Prometheus reads them. The contexts say them; nobody reads their tables.

use crate::journal::Journal;
use axum::extract::State;
use kernel::{
    http::{Answer, Problem},
    metrics::{Kind, Sample},
};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

/// Prometheus' text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The figures, as they are now: asking for them makes nobody catch up.
pub async fn metrics(State(journal): State<Arc<Journal>>) -> Result<Answer, Problem> {
    let log = journal.log().await?;
    let mut samples = vec![
        Sample::gauge("mealkit_log_head", "The newest event's sequence number.", &[], log.head().await?),
        Sample::gauge("mealkit_database_bytes", "The size of the database.", &[], log.database_bytes().await?),
    ];
    for (name, answer) in journal.contexts.samples().await {
        let up = i64::from(answer.is_ok());
        samples.push(Sample::gauge("mealkit_context_up", "Whether the context answers.", &[("context", name)], up));
        samples.extend(answer.unwrap_or_default());
    }
    Ok(Answer::text(CONTENT_TYPE, text(&samples)))
}

/// The samples of one name stand together, under what it means.
fn text(samples: &[Sample]) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_name.entry(&sample.name).or_default().push(sample);
    }
    let mut text = String::new();
    for (name, samples) in by_name {
        if let Some(first) = samples.first() {
            let kind = match first.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", first.help);
        }
        for sample in samples {
            let _ = writeln!(text, "{name}{} {}", labels(&sample.labels), sample.value);
        }
    }
    text
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}
