//! The objects of an overlay, and what the operator makes of a SpinApp.

use crate::{Tool, root, yaml};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// A Kubernetes object.
pub type Object = Value;

/// The objects of an overlay.
#[derive(Clone)]
pub struct Objects(pub Vec<Object>);

impl Objects {
    /// What kustomize makes of a folder in `deploy/spinkube/overlays`; nothing without a kubectl.
    pub fn overlay(name: &str) -> Option<Self> {
        static RENDERED: Mutex<BTreeMap<String, Option<Objects>>> = Mutex::new(BTreeMap::new());
        let mut rendered = RENDERED.lock().unwrap_or_else(PoisonError::into_inner);
        let path = || root().join("deploy/spinkube/overlays").join(name).display().to_string();
        rendered.entry(name.to_owned()).or_insert_with(|| Self::render(&path())).clone()
    }

    /// What kustomize makes of a folder; nothing without a kubectl.
    pub fn render(folder: &str) -> Option<Self> {
        let output = Tool::kubectl()?.run(["kustomize", folder]);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaint.is_empty(), "kubectl kustomize {folder}: {complaint}");
        Some(Self(yaml(&String::from_utf8_lossy(&output.stdout))))
    }

    /// All of this kind.
    pub fn kind(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The one of this kind and name.
    pub fn find(&self, kind: &str, name: &str) -> Option<&Object> {
        self.kind(kind).find(|object| object["metadata"]["name"] == name)
    }

    /// The one of this kind and name, to be changed.
    pub fn change(&mut self, kind: &str, name: &str) -> &mut Object {
        let found = self.0.iter_mut().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// The same, with the Deployment and the Service that the operator (v0.6.1) makes for each SpinApp: both have its
    /// name, the pods its podLabels and a label with its name, the only port is `http-app`, 80.
    pub fn with_operator(&self) -> Self {
        let mut all = self.0.clone();
        for app in self.kind("SpinApp") {
            let name = &app["metadata"]["name"];
            let mut labels = app["spec"]["podLabels"].clone();
            if labels.is_null() {
                labels = json!({});
            }
            labels["core.spinkube.dev/app-name"] = name.clone();
            let spec = json!({
                "serviceAccountName": app["spec"]["serviceAccountName"],
                "containers": [{"name": name, "image": app["spec"]["image"], "ports": [{"name": "http-app", "containerPort": 80}]}],
            });
            all.push(json!({
                "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name},
                "spec": {"template": {"metadata": {"labels": labels}, "spec": spec}},
            }));
            all.push(json!({
                "kind": "Service", "apiVersion": "v1", "metadata": {"name": name},
                "spec": {
                    "selector": {"core.spinkube.dev/app-name": name}, "ports": [{"port": 80, "targetPort": "http-app"}],
                },
            }));
        }
        Self(all)
    }

    /// The pods, each as its owner's name and its template.
    pub fn pods(&self) -> BTreeMap<String, &Value> {
        let template = |object: &'_ Value| match object["kind"].as_str() {
            Some("Deployment" | "StatefulSet" | "Job") => Some("/spec/template"),
            Some("CronJob") => Some("/spec/jobTemplate/spec/template"),
            _ => None,
        };
        let pods = self.0.iter().filter_map(|object| {
            let template = object.pointer(template(object)?)?;
            Some((string(&object["metadata"]["name"]), template))
        });
        pods.collect()
    }
}

/// A text.
pub fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Every value under this key, however deep, each with the path to it.
pub fn strings<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(members) => {
            let here = members.get(key).into_iter();
            here.chain(members.values().flat_map(|member| strings(member, key))).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| strings(item, key)).collect(),
        _ => vec![],
    }
}
