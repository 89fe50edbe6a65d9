//! Who may talk to whom, as the NetworkPolicies of an overlay have it.

use crate::{Objects, checks::selects};
use serde_json::{Value, json};

/// Who opens a connection.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// The pod of this SpinApp, Deployment, StatefulSet or CronJob.
    Pod(&'a str),
    /// A pod with these labels in another namespace.
    Elsewhere(&'a str, &'a [(&'a str, &'a str)]),
    /// A pod of somebody else with these labels in the shop's namespace.
    Stranger(&'a [(&'a str, &'a str)]),
}

/// Whether a connection to this pod's port gets through: without a policy that selects the pod it does, else one of
/// them must let it in.
pub fn lets_in(objects: &Objects, from: From<'_>, to: &str, port: &str) -> bool {
    let objects = &objects.with_operator();
    let pods = objects.pods();
    let target = pods.get(to).unwrap_or_else(|| panic!("there is no pod {to}"));
    let labelled = |labels: &[(&str, &str)]| {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        json!({"metadata": {"labels": labels}})
    };
    let (namespace, source) = match from {
        From::Pod(name) => ("mealkit", (*pods.get(name).unwrap_or_else(|| panic!("there is no pod {name}"))).clone()),
        From::Elsewhere(namespace, labels) => (namespace, labelled(labels)),
        From::Stranger(labels) => ("mealkit", labelled(labels)),
    };
    let policies: Vec<_> =
        objects.kind("NetworkPolicy").filter(|it| selects(&it["spec"]["podSelector"], target)).collect();
    policies.is_empty()
        || policies.iter().flat_map(|it| it["spec"]["ingress"].as_array().into_iter().flatten()).any(|rule| {
            let ports = rule["ports"].as_array();
            let from = rule["from"].as_array();
            ports.is_none_or(|ports| ports.iter().any(|it| it["port"] == port))
                && from.is_none_or(|peers| peers.iter().any(|peer| is_peer(peer, namespace, &source)))
        })
}

fn is_peer(peer: &Value, namespace: &str, source: &Value) -> bool {
    let in_namespace = match &peer["namespaceSelector"] {
        Value::Null => namespace == "mealkit",
        selector => selects(selector, &json!({"metadata": {"labels": {"kubernetes.io/metadata.name": namespace}}})),
    };
    in_namespace && (peer["podSelector"].is_null() || selects(&peer["podSelector"], source))
}
