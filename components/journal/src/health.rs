//! Health, as Kubernetes asks for it: live, and ready for traffic.

use crate::journal::Journal;
use axum::extract::State;
use futures::future::join;
use kernel::{
    Trace,
    http::{Answer, Problem},
    platform,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// How long one part of the shop may take to say that it is well. Being busy is no reason to get no requests: then all
/// replicas would be taken out at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /health/live`: this process answers. What it depends on is not asked: to start it anew would not mend that.
pub async fn live() -> Answer {
    Answer::ok(json!({"status": "live"}))
}

/// `GET /health/ready`: the database can be written, no migration is under way, and every context can work. Asking makes
/// the contexts migrate, so that nobody's order waits for it.
///
/// Why it cannot, operators are told, and the log.
pub async fn ready(State(journal): State<Arc<Journal>>, Trace { actor, .. }: Trace) -> Result<Answer, Problem> {
    let probed = platform::within(&*journal.platform, PATIENCE, database(&journal));
    let (database, contexts) = join(probed, journal.contexts.ready(PATIENCE)).await;
    let mut reasons = database.unwrap_or_else(|| vec!["the database cannot be written: it is locked".into()]);
    for (name, answer) in contexts {
        reasons.extend(answer.err().map(|error| format!("{name}: {error}")));
    }
    if reasons.is_empty() {
        return Ok(Answer::ok(json!({"status": "ready"})));
    }
    let detail = "The shop cannot take requests at the moment.";
    let problem = Problem::unavailable("not-ready", detail, 1).caused_by(reasons.join("; "));
    Err(if actor.runs_the_shop() { problem.with("reasons", reasons) } else { problem })
}

/// What is wrong with the database.
async fn database(journal: &Journal) -> Vec<String> {
    let log = match journal.log().await {
        Ok(log) => log,
        Err(error) => return vec![error.to_string()],
    };
    let mut reasons = Vec::new();
    match log.migrations().await {
        Ok(migrations) => {
            let reason = |(name, version)| format!("{name} is being migrated to version {version}");
            reasons.extend(migrations.into_iter().map(reason));
        }
        Err(error) => reasons.push(error.to_string()),
    }
    reasons.extend(log.probe().await.err().map(|error| error.to_string()));
    reasons
}
