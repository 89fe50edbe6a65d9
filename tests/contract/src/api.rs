//! The API, as `docs/openapi.yaml` has it: what an answer must look like, and what that promises.

use crate::{Facts, events, facts::shape};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{LazyLock, Mutex, PoisonError},
};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The contract.
pub struct Api {
    document: Value,
    validators: Mutex<HashMap<(String, bool), std::sync::Arc<Validator>>>,
    seen: Mutex<BTreeSet<String>>,
}

/// What a `$ref` in a document leads to.
pub fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(path) => {
            let target = document.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("there is no {path}"));
            resolved(document, target)
        }
        None => value,
    }
}

impl Api {
    /// The one of this repository.
    pub fn shop() -> &'static Self {
        static API: LazyLock<Api> = LazyLock::new(|| {
            let text = events::described();
            Api::new(serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("docs/openapi.yaml: {error}")))
        });
        &API
    }

    /// From a document of OpenAPI 3.1.
    pub fn new(document: Value) -> Self {
        Self { document, validators: Mutex::default(), seen: Mutex::default() }
    }

    /// The document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The operations: method, path and description.
    pub fn operations(&self) -> Vec<(&'static str, &str, &Value)> {
        let paths = self.document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, item)| {
            METHODS.into_iter().filter_map(move |method| Some((method, path.as_str(), item.get(method)?)))
        });
        operations.collect()
    }

    /// The operation of a request, and its path in the contract.
    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let fits = |template: &str| {
            let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            template.len() == path.len()
                && template.iter().zip(&path).all(|(it, part)| it == part || (it.starts_with('{') && !part.is_empty()))
        };
        let method = method.to_lowercase();
        let mut found: Vec<_> =
            self.operations().into_iter().filter(|(it, path, _)| *it == method && fits(path)).collect();
        // `/mypages/rebuild` rather than `/mypages/{order_id}`.
        found.sort_by_key(|(_, path, _)| path.matches('{').count());
        found.first().map(|(_, path, operation)| (*path, *operation))
    }

    /// Whether an answer is what the contract says.
    ///
    /// # Errors
    /// What is not so, and for whom: a thing that clients rely on, or one that nobody told them about.
    pub fn check(
        &self,
        method: &str,
        path: &str,
        status: u16,
        header: impl Fn(&str) -> Option<String>,
        body: &str,
    ) -> Result<(), String> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let operation = self.operation(if method == "HEAD" { "get" } else { method }, path);
        let who = match operation {
            Some((template, _)) => format!("the clients of {method} {template}"),
            None => format!("whoever asks for {method} {path}, which is no route"),
        };
        let problem = &self.document["components"]["responses"]["Problem"];
        let response = match operation {
            Some((_, operation)) => {
                let responses = &operation["responses"];
                let response = responses.get(status.to_string());
                let response = response.or_else(|| responses.get("default").filter(|_| status >= 400));
                response.ok_or_else(|| format!("UNKNOWN to {who}: the status {status} is not in docs/openapi.yaml"))?
            }
            None if status >= 400 => problem,
            None => {
                return Err(format!(
                    "UNKNOWN: {method} {path} answers {status}, but docs/openapi.yaml has no such route"
                ));
            }
        };
        let response = resolved(&self.document, response);
        for (name, wanted) in response["headers"].as_object().into_iter().flatten() {
            if resolved(&self.document, wanted)["required"] == true && header(name).is_none() {
                return Err(format!("BREAKING for {who}: the answer {status} has no header {name}"));
            }
        }
        if method == "HEAD" {
            return Ok(());
        }
        if let Some((template, _)) = operation {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(format!("{} {template} {status}", method.to_uppercase()));
        }
        let Some((media, content)) = response["content"].as_object().and_then(|it| it.iter().next()) else {
            return Ok(());
        };
        let given = header("content-type").unwrap_or_default();
        if given.split(';').next() != Some(media) {
            return Err(format!("BREAKING for {who}: the answer {status} is {given}, not {media}"));
        }
        if media == "text/plain" {
            return Ok(());
        }
        let body: Value =
            serde_json::from_str(body).map_err(|error| format!("BREAKING for {who}: no JSON: {error}"))?;
        for (strict, word) in [(false, "BREAKING"), (true, "UNDOCUMENTED")] {
            let validator = self.validator(&content["schema"], strict);
            if let Some(error) = validator.iter_errors(&body).next() {
                let at = error.instance_path().to_string();
                return Err(format!("{word} for {who}: the answer {status} at `{at}`: {error}"));
            }
        }
        Ok(())
    }

    /// What of the contract was seen by [`check`](Self::check): method, path, status.
    pub fn seen(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A schema, as clients read it, or strictly: with no member that it does not name.
    pub fn validator(&self, schema: &Value, strict: bool) -> std::sync::Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let made = validators.entry((schema.to_string(), strict)).or_insert_with(|| {
            let mut whole = json!({"allOf": [schema], "components": self.document["components"]});
            if strict {
                close(&mut whole["components"]["schemas"]);
            }
            std::sync::Arc::new(jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{schema}: {error}")))
        });
        made.clone()
    }

    /// What it promises, and what it demands.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        // What every problem has, said once.
        let problem = json!({"$ref": "#/components/schemas/Problem"});
        shape(&self.document, &problem, "", &mut |path, kind, members| {
            facts.add(format!("ANY route answers problem {path} {kind}"));
            promises(&mut facts, &format!("ANY route answers problem {path}"), members);
        });
        for (method, path, operation) in self.operations() {
            let whom = format!("{} {path}", method.to_uppercase());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = resolved(&self.document, parameter);
                let (place, name) = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
                facts.add(format!("{whom} accepts {place} {name}"));
                if parameter["required"] == true {
                    facts.add(format!("{whom} demands {place} {name}"));
                }
                demands(
                    &mut facts,
                    &format!("{whom} demands {place} {name}"),
                    resolved(&self.document, &parameter["schema"]),
                );
            }
            let body = &operation["requestBody"];
            let schema = &body["content"]["application/json"]["schema"];
            if !schema.is_null() {
                if body["required"] == true {
                    facts.add(format!("{whom} demands a body"));
                }
                shape(&self.document, schema, "", &mut |path, kind, members| {
                    facts.add(format!("{whom} accepts body {path} {kind}"));
                    for name in members.get("required").and_then(Value::as_array).into_iter().flatten() {
                        facts.add(format!("{whom} demands body {path}.{}", name.as_str().unwrap()));
                    }
                    demands(&mut facts, &format!("{whom} demands body {path}"), &Value::Object(members.clone()));
                });
            }
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                self.answers(&mut facts, &format!("{whom} answers {status}"), resolved(&self.document, response));
            }
        }
        facts
    }

    fn answers(&self, facts: &mut Facts, whom: &str, response: &Value) {
        for name in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            facts.add(format!("{whom} header {name}"));
        }
        for (media, content) in response["content"].as_object().into_iter().flatten() {
            facts.add(format!("{whom} {media}"));
            if media == "application/problem+json" {
                continue;
            }
            shape(&self.document, &content["schema"], "", &mut |path, kind, members| {
                // What an event carries is promised once, as a fact about the event.
                let within_data = |it: &str| it.is_empty() || it.starts_with(['.', '[']);
                if path.split_once(">.data").is_some_and(|(_, rest)| within_data(rest)) {
                    return;
                }
                facts.add(format!("{whom} {path} {kind}"));
                promises(facts, &format!("{whom} {path}"), members);
            });
        }
    }
}

/// What is always there, and which values there may be.
fn promises(facts: &mut Facts, whom: &str, members: &Map<String, Value>) {
    for name in members.get("required").and_then(Value::as_array).into_iter().flatten() {
        facts.add(format!("{whom}.{} always", name.as_str().unwrap()));
    }
    for value in members.get("enum").and_then(Value::as_array).into_iter().flatten() {
        facts.add(format!("{whom} may be {value}"));
    }
}

/// What a value has to be.
fn demands(facts: &mut Facts, whom: &str, schema: &Value) {
    for limit in ["minimum", "maximum", "minLength", "maxLength", "pattern"] {
        if !schema[limit].is_null() {
            facts.add(format!("{whom} {limit} {}", schema[limit]));
        }
    }
}

/// No members but those that are named, wherever that is left open.
fn close(schemas: &mut Value) {
    match schemas {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) && !members.contains_key("additionalProperties")
            {
                members.insert("additionalProperties".into(), Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
