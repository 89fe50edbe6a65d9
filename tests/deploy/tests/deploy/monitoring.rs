//! Alerts and the dashboard.

use deploy_tests::{Tool, read, strings, yaml};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

/// What the journal tells at /metrics (`apart.rs` asks it).
pub const METRICS: [&str; 11] = [
    "mealkit_log_head",
    "mealkit_database_bytes",
    "mealkit_context_up",
    "mealkit_context_cursor",
    "mealkit_context_lag",
    "mealkit_dead_letters",
    "mealkit_retries_total",
    "mealkit_conflicts_total",
    "mealkit_breaker_state",
    "mealkit_orders",
    "mealkit_gateway_open",
];

fn rule() -> Value {
    yaml(&read("deploy/monitoring/alerts.yaml")).remove(0)
}

/// Runs promtool on these rules and their tests: whether it is content, and what it said.
fn promtool(rule: &Value, tests: &str) -> Option<(bool, String)> {
    let tool = Tool::promtool()?;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // JSON is YAML.
    fs::write(path("rules.yaml"), rule["spec"].to_string()).unwrap();
    fs::write(path("alerts.test.yaml"), tests).unwrap();
    let checked = tool.run(["check", "rules", &path("rules.yaml")]);
    let tested = tool.run(["test", "rules", &path("alerts.test.yaml")]);
    let text = [&checked.stdout, &checked.stderr, &tested.stdout, &tested.stderr]
        .map(|it| String::from_utf8_lossy(it))
        .concat();
    Some((checked.status.success() && tested.status.success(), text))
}

#[test]
fn the_alerts_fire_when_they_must_and_only_then() {
    let Some((fine, text)) = promtool(&rule(), &read("deploy/monitoring/alerts.test.yaml")) else { return };
    assert!(fine, "{text}");
}

/// Alerts that never fire are noticed by their tests, each of them; and so are alerts that always do.
#[test]
fn a_broken_alert_fails_its_test() {
    let tests = read("deploy/monitoring/alerts.test.yaml");
    let broken = |expression: &str| {
        let mut rule = rule();
        let rules = rule["spec"]["groups"].as_array_mut().unwrap().iter_mut();
        let alerts = rules.flat_map(|it| it["rules"].as_array_mut().unwrap()).filter(|it| !it["alert"].is_null());
        let names: Vec<_> = alerts.map(|it| (it["expr"] = json!(expression), it["alert"].to_string()).1).collect();
        promtool(&rule, &tests).map(|(fine, text)| (fine, text, names))
    };
    let Some((fine, text, names)) = broken("vector(1) > 2") else { return };
    assert!(!fine);
    for name in names {
        assert!(text.contains(name.trim_matches('"')), "that {name} never fires goes unnoticed:\n{text}");
    }
    assert!(!broken("vector(1)").unwrap().0, "that all fire goes unnoticed");
    assert!(!broken("sum by (").unwrap().0, "an expression that is none goes unnoticed");
}

/// The names in an expression that begin like ours.
fn ours(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| word.starts_with("mealkit_") || word.starts_with("mealkit:")).map(str::to_owned).collect()
}

/// What is asked for that nobody tells.
fn unknown(document: &Value) -> Vec<String> {
    let rules = rule();
    let recorded: BTreeSet<_> = strings(&rules, "record").into_iter().filter_map(Value::as_str).collect();
    let asked = strings(document, "expr").into_iter().filter_map(Value::as_str).flat_map(ours);
    asked.filter(|name| !METRICS.contains(&name.as_str()) && !recorded.contains(name.as_str())).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    assert_eq!(unknown(&rule()), Vec::<String>::new());
    assert_eq!(unknown(&dashboard), Vec::<String>::new());
    assert_eq!(
        unknown(&json!({"expr": "max(mealkit_context_lags) + mealkit:nothing"})),
        ["mealkit_context_lags", "mealkit:nothing"]
    );
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "an id was given twice");
    let shown: BTreeSet<_> = strings(&dashboard, "expr").into_iter().filter_map(Value::as_str).flat_map(ours).collect();
    for metric in METRICS {
        assert!(shown.contains(metric), "no panel shows {metric}");
    }
    // Panels do not overlap: no cell of the grid is taken twice.
    let mut cells = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(x < 24 && cells.insert((x, y)), "{} overlaps another panel", panel["title"]);
        }
    }
}

/// The heading of a Markdown file as a link names it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-')
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_alert_says_what_to_do_and_where_to_read_on() {
    for alert in
        strings(&rule(), "rules").into_iter().flat_map(|it| it.as_array().unwrap()).filter(|it| !it["alert"].is_null())
    {
        let name = &alert["alert"];
        assert!(matches!(alert["labels"]["severity"].as_str(), Some("critical" | "warning")), "{name}");
        let runbook = alert["annotations"]["runbook"].as_str().unwrap_or_else(|| panic!("{name} has no runbook"));
        let (file, section) = runbook.split_once('#').unwrap();
        let headings = read(file);
        let mut headings = headings.lines().filter(|line| line.starts_with('#')).map(anchor);
        assert!(headings.any(|it| it == section), "{name}: {file} has no section `{section}`");
    }
}
