//! The kinds that operators add, against their definitions (`schemas.yaml`).

use deploy_tests::{OVERLAYS, Objects, files, string, yaml};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

/// Whether Kubernetes itself knows this kind.
pub fn is_custom(object: &Value) -> bool {
    let group = object["apiVersion"].as_str().unwrap_or_default().split('/').next().unwrap_or_default();
    // The groups of Kubernetes itself have no dot, or end like this; but so do some that became CRDs.
    let own = !group.contains('.') || group.ends_with(".k8s.io");
    !own || matches!(group, "gateway.networking.k8s.io" | "secrets-store.csi.x-k8s.io")
}

/// The kinds of `schemas.yaml`.
fn kinds() -> Vec<Value> {
    yaml(&deploy_tests::read("tests/deploy/schemas.yaml")).remove(0)["kinds"].as_array().expect("kinds").clone()
}

fn schemas() -> BTreeMap<(String, String), Validator> {
    let kinds = kinds().into_iter().map(|it| {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}, "spec": it["spec"]},
        });
        let text = |key: &str| string(&it[key]);
        ((text("apiVersion"), text("kind")), jsonschema::validator_for(&schema).expect("a schema"))
    });
    kinds.collect()
}

/// What is wrong with the custom objects.
pub fn wrong(objects: &Objects) -> Vec<String> {
    let schemas = schemas();
    let mut wrong = vec![];
    for object in objects.0.iter().filter(|it| is_custom(it)) {
        let (version, kind) =
            (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        match schemas.get(&(version.to_owned(), kind.to_owned())) {
            Some(schema) => wrong
                .extend(schema.iter_errors(object).map(|error| format!("{kind} {}: {error}", error.instance_path()))),
            None => wrong.push(format!("schemas.yaml does not know {version} {kind}")),
        }
    }
    wrong
}

/// Where a schema would take a field that it does not know.
fn lenient(schema: &Value, path: &str) -> Vec<String> {
    let of = |key: &str| schema[key].as_object().into_iter().flatten();
    let mut open: Vec<_> = of("properties").flat_map(|(name, it)| lenient(it, &format!("{path}.{name}"))).collect();
    for (key, word) in [("items", "[]"), ("additionalProperties", ".*")] {
        if schema[key].is_object() {
            open.extend(lenient(&schema[key], &format!("{path}{word}")));
        }
    }
    let typed = schema["type"].is_string() || schema["type"].is_array();
    let closed = schema["type"] != "object"
        || schema["additionalProperties"] == false
        || schema["additionalProperties"].is_object();
    if !typed || !closed || (schema["type"] == "array" && !schema["items"].is_object()) {
        open.push(path.to_owned());
    }
    open
}

#[test]
fn every_schema_names_its_source_and_takes_nothing_unknown() {
    for kind in kinds() {
        let (name, source) = (string(&kind["kind"]), string(&kind["source"]));
        let (repository, file) = source.split_once(", ").unwrap_or_else(|| panic!("{name}: which file of {source}?"));
        let version = repository.rsplit(" v").next().unwrap_or_default();
        let numbers = version.split('.').filter(|it| it.parse::<u32>().is_ok()).count();
        assert!(numbers == 3 && repository.contains('/') && file.ends_with(".yaml"), "{name}: {source}");
        assert_eq!(lenient(&kind["spec"], "spec"), Vec::<String>::new(), "{name}");
    }
    let open = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}, "b": {}}});
    assert_eq!(lenient(&open, "spec"), ["spec.a[]", "spec.b", "spec"]);
}

#[test]
fn custom_objects_have_the_fields_of_their_definitions() {
    for overlay in OVERLAYS {
        let Some(objects) = Objects::overlay(overlay) else { return };
        assert_eq!(wrong(&objects), Vec::<String>::new(), "overlay {overlay}");
    }
    let alerts = Objects(yaml(&deploy_tests::read("deploy/monitoring/alerts.yaml")));
    assert_eq!(wrong(&alerts), Vec::<String>::new());
}

#[test]
fn a_wrong_custom_object_is_refused() {
    let Some(mut objects) = Objects::overlay("aks") else { return };
    let spec = &mut objects.change("SpinApp", "mealkit")["spec"];
    spec["securityContext"] = json!({});
    spec["checks"]["liveness"]["httpGet"]["path"] = json!(80);
    objects.change("Gateway", "mealkit")["apiVersion"] = json!("gateway.networking.k8s.io/v1alpha1");
    objects.change("SpinAppExecutor", "spin")["spec"]["deploymentConfig"]["runtime"] = json!("spin");
    let wrong = wrong(&objects).join("\n");
    for words in [
        "'securityContext' was unexpected",
        "SpinApp /spec/checks/liveness/httpGet/path",
        "v1alpha1",
        "'runtime' was unexpected",
    ] {
        assert!(wrong.contains(words), "nobody says `{words}`: {wrong}");
    }
}

/// Every YAML file in the repository is one, not only what kustomize reads.
#[test]
fn every_yaml_file_is_yaml() {
    let all: Vec<_> = ["deploy", ".github", "tests/deploy"].into_iter().flat_map(|it| files(it, ".yaml")).collect();
    let all = all.into_iter().chain(files(".github", ".yml"));
    let count =
        all.map(|path| assert!(!yaml(&fs::read_to_string(&path).unwrap()).is_empty(), "{}", path.display())).count();
    assert!(count > 20, "only {count} files");
    assert!(std::panic::catch_unwind(|| yaml("a: [b")).is_err());
}
