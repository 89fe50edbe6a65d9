//! What must hold for the objects of an overlay. Each check lists what is wrong; an empty list is good.

use crate::{Object, Objects, string, strings};
use manifest::Manifest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong, in sentences.
pub type Complaints = Vec<String>;

/// The value of the port that the operator gives to a SpinApp's pods.
const HTTP_APP: &str = "http-app";

/// What no gateway may lead to: it is for the shop itself, or for its operators.
pub const NOT_PUBLIC: [&str; 7] =
    ["/internal", "/bell", "/catch-up", "/dead-letters", "/events", "/health", "/metrics"];

fn name(object: &Object) -> String {
    format!("{} {}", string(&object["kind"]), object["metadata"]["name"].as_str().unwrap_or("without a name"))
}

/// A label of RFC 1123: what a name may be, and each part of one with dots.
fn is_label(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|c| fits(c) || c == '-')
        && text.starts_with(fits)
        && text.ends_with(fits)
}

/// Names are valid (RFC 1123), and no two objects of a kind have the same.
pub fn names(objects: &Objects) -> Complaints {
    let mut seen = BTreeSet::new();
    let mut complaints = vec![];
    for object in &objects.0 {
        let text = object["metadata"]["name"].as_str().unwrap_or_default();
        // A pod gets the name of its owner with an ending, and a pod's name is a label.
        let short =
            matches!(object["kind"].as_str(), Some("SpinApp" | "Service" | "StatefulSet" | "Deployment" | "CronJob"));
        let fits = if short { is_label(text) && text.len() <= 52 } else { text.split('.').all(is_label) };
        if !fits {
            complaints.push(format!("{}: not a name after RFC 1123", name(object)));
        }
        if !seen.insert(name(object)) {
            complaints.push(format!("{}: there are two", name(object)));
        }
        let namespaced = object["kind"] != "Namespace" && object["metadata"]["namespace"] != "mealkit";
        if namespaced {
            complaints.push(format!("{}: not in the namespace mealkit", name(object)));
        }
    }
    complaints
}

/// Every image has a digest, or the tag of one exact version.
pub fn images(objects: &Objects) -> Complaints {
    let mut complaints = vec![];
    for object in &objects.0 {
        for image in strings(object, "image").into_iter().filter_map(Value::as_str) {
            if !is_fixed(image) {
                complaints.push(format!("{}: the image `{image}` may be another one tomorrow", name(object)));
            }
        }
    }
    complaints
}

fn is_fixed(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once('@') {
        let hex = digest.strip_prefix("sha256:");
        return hex.is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()));
    }
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let version = tag.map(|tag| tag.trim_start_matches('v').split('-').next().unwrap_or_default());
    version.is_some_and(|version| {
        let parts: Vec<_> = version.split('.').collect();
        parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
    })
}

/// The secrets, config maps, accounts, claims, executors, issuers and classes that an object names are there, with the
/// keys that it names.
pub fn references(objects: &Objects) -> Complaints {
    let objects = &objects.with_operator();
    let keys = provided(objects);
    let mut complaints = vec![];
    for object in &objects.0 {
        let mut missing = |what: String| complaints.push(format!("{}: {what}", name(object)));
        for (field, kind) in [("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")] {
            for reference in strings(object, field) {
                let (source, key) = (string(&reference["name"]), string(&reference["key"]));
                if !keys.get(&(kind, source.clone())).is_some_and(|keys| keys.contains(&key)) {
                    missing(format!("there is no {kind} {source} with the key {key}"));
                }
            }
        }
        let mut exists = |kind: &str, names: Vec<&Value>| {
            for wanted in names.into_iter().filter_map(Value::as_str) {
                if objects.find(kind, wanted).is_none() {
                    complaints.push(format!("{}: there is no {kind} {wanted}", name(object)));
                }
            }
        };
        exists("ServiceAccount", strings(object, "serviceAccountName"));
        exists("PersistentVolumeClaim", strings(object, "claimName"));
        exists("SecretProviderClass", strings(object, "secretProviderClass"));
        let annotations = &object["metadata"]["annotations"];
        exists("Issuer", vec![&annotations["cert-manager.io/issuer"]]);
        match object["kind"].as_str().unwrap_or_default() {
            "SpinApp" => exists("SpinAppExecutor", vec![&object["spec"]["executor"]]),
            "StatefulSet" => exists("Service", vec![&object["spec"]["serviceName"]]),
            "HTTPRoute" => exists(
                "Gateway",
                object["spec"]["parentRefs"].as_array().into_iter().flatten().map(|it| &it["name"]).collect(),
            ),
            "HorizontalPodAutoscaler" | "ScaledObject" => {
                exists("Deployment", vec![&object["spec"]["scaleTargetRef"]["name"]])
            }
            "Ingress" => {
                let tls = strings(&object["spec"]["tls"], "secretName");
                if !tls.is_empty() && annotations["cert-manager.io/issuer"].is_null() {
                    exists("Secret", tls);
                }
            }
            _ => {}
        }
    }
    complaints
}

/// The keys of every secret and config map, also of the secrets that the vault's driver makes.
fn provided(objects: &Objects) -> BTreeMap<(&'static str, String), BTreeSet<String>> {
    let mut provided = BTreeMap::<_, BTreeSet<String>>::new();
    for kind in ["Secret", "ConfigMap"] {
        for object in objects.kind(kind) {
            let keys = ["data", "stringData"].into_iter().filter_map(|field| object[field].as_object());
            let keys = keys.flat_map(|data| data.keys().cloned());
            provided.entry((kind, string(&object["metadata"]["name"]))).or_default().extend(keys);
        }
    }
    for class in objects.kind("SecretProviderClass") {
        let fetched = string(&class["spec"]["parameters"]["objects"]);
        for secret in class["spec"]["secretObjects"].as_array().into_iter().flatten() {
            let data = secret["data"].as_array().into_iter().flatten();
            let data = data.filter(|it| fetched.contains(&format!("objectName: {}\n", string(&it["objectName"]))));
            let keys = data.map(|it| string(&it["key"]));
            provided.entry(("Secret", string(&secret["secretName"]))).or_default().extend(keys);
        }
    }
    provided
}

/// Services and policies name ports that the pods have, and select pods that are there.
pub fn selectors(objects: &Objects) -> Complaints {
    let objects = &objects.with_operator();
    let pods = objects.pods();
    let mut complaints = vec![];
    for service in objects.kind("Service") {
        let selected: Vec<_> = pods.values().filter(|pod| matches(&service["spec"]["selector"], pod)).collect();
        if selected.is_empty() {
            complaints.push(format!("{}: it selects no pod", name(service)));
        }
        for pod in selected {
            for port in strings(&service["spec"]["ports"], "targetPort") {
                if !has_port(pod, port) {
                    complaints.push(format!("{}: its pod has no port {port}", name(service)));
                }
            }
        }
    }
    for object in &objects.0 {
        let selector = match object["kind"].as_str().unwrap_or_default() {
            "PodDisruptionBudget" | "PodMonitor" | "StatefulSet" | "Deployment" => &object["spec"]["selector"],
            "NetworkPolicy" => &object["spec"]["podSelector"],
            _ => continue,
        };
        if selector.is_null() {
            continue;
        }
        let selected: Vec<_> = pods.values().filter(|pod| selects(selector, pod)).collect();
        if selected.is_empty() && !is_of_others(selector) {
            complaints.push(format!("{}: it selects no pod", name(object)));
        }
        if object["kind"] == "NetworkPolicy" {
            for port in
                object["spec"]["ingress"].as_array().into_iter().flatten().flat_map(|rule| strings(rule, "port"))
            {
                if let Some(pod) = selected.iter().find(|pod| !has_port(pod, port)) {
                    complaints.push(format!("{}: {} has no port {port}", name(object), pod["metadata"]["labels"]));
                }
            }
        }
    }
    complaints
}

/// Pods that others start: the gateway's proxies and what answers Let's Encrypt.
fn is_of_others(selector: &Value) -> bool {
    let text = selector.to_string();
    text.contains("gateway.networking.k8s.io/gateway-name") || text.contains("acme.cert-manager.io/http01-solver")
}

fn has_port(pod: &Value, port: &Value) -> bool {
    let ports = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = ports.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    ports.any(|it| it["name"] == *port || it["containerPort"] == *port)
}

/// Whether a pod has all these labels.
pub fn matches(labels: &Value, pod: &Value) -> bool {
    let labels = labels.as_object().into_iter().flatten();
    labels.into_iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
}

/// Whether a label selector selects a pod.
pub fn selects(selector: &Value, pod: &Value) -> bool {
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    matches(&selector["matchLabels"], pod)
        && expressions.all(|it| {
            let label = &pod["metadata"]["labels"][string(&it["key"])];
            match it["operator"].as_str() {
                Some("In") => it["values"].as_array().is_some_and(|values| values.contains(label)),
                other => panic!("this check does not know the operator {other:?}"),
            }
        })
}

/// The components of a SpinApp: all, or the one that its name ends with.
fn components<'a>(manifest: &'a Manifest, app: &Object) -> Vec<&'a str> {
    let name = string(&app["metadata"]["name"]);
    let all = manifest.components.keys().map(String::as_str);
    match name.strip_prefix("mealkit-") {
        Some(one) => all.filter(|id| *id == one).collect(),
        None => all.collect(),
    }
}

/// What `spin.toml` asks for is what the SpinApps give: variables, databases, stores, each other's addresses.
pub fn spin(objects: &Objects, manifest: &Manifest) -> Complaints {
    let mut complaints = vec![];
    let mut placed = BTreeMap::new();
    for app in objects.kind("SpinApp") {
        for id in components(manifest, app) {
            if let Some(other) = placed.insert(id, name(app)) {
                complaints.push(format!("{id} is in {other} and in {}", name(app)));
            }
        }
    }
    for id in manifest.components.keys().filter(|id| !placed.contains_key(id.as_str())) {
        complaints.push(format!("no SpinApp has the component {id}"));
    }
    for app in objects.kind("SpinApp") {
        complaints.extend(spin_app(objects, manifest, app).into_iter().map(|it| format!("{}: {it}", name(app))));
    }
    complaints
}

fn spin_app(objects: &Objects, manifest: &Manifest, app: &Object) -> Complaints {
    let mut complaints = vec![];
    let (spec, ids) = (&app["spec"], components(manifest, app));
    let used = |of: fn(&manifest::Component) -> &BTreeSet<String>| -> BTreeSet<&String> {
        ids.iter().flat_map(|id| of(&manifest.components[*id])).collect()
    };
    let set: BTreeMap<String, &Value> = items(&spec["variables"]).map(|it| (string(&it["name"]), it)).collect();
    let variables = used(|it| &it.variables);
    for unknown in set.keys().filter(|name| !variables.contains(name)) {
        complaints.push(format!("spin.toml has no variable {unknown} that its components use"));
    }
    for variable in variables {
        let default = manifest.variables.get(variable).cloned().flatten();
        let value = set.get(variable);
        if value.is_none() && default.is_none() {
            complaints.push(format!("nobody sets {variable}, and it has no default"));
        }
        let literal = value.map_or(default, |it| it["value"].as_str().map(str::to_owned));
        // An address within the app is right for a component of this app only; another is a Service.
        let Some(host) = literal.as_deref().and_then(|url| url.strip_prefix("http://")) else { continue };
        match host.strip_suffix(".spin.internal") {
            Some(id) if !ids.contains(&id) => complaints.push(format!("{variable}: {id} is not in this app")),
            None if variable.ends_with("_url") && host.starts_with("mealkit") => {
                let right = format!("mealkit-{}", variable.trim_end_matches("_url").replace('_', "-"));
                if host != right || objects.find("SpinApp", host).is_none() {
                    complaints.push(format!("{variable}: there is nobody at {host}"));
                }
            }
            _ => {}
        }
    }
    complaints.extend(bells(objects, &set, ids.iter().any(|id| manifest.components[*id].variables.contains("bell"))));
    for (field, labels) in [("sqliteDatabases", used(|it| &it.databases)), ("keyValueStores", used(|it| &it.stores))] {
        let given: BTreeSet<_> = items(&spec["runtimeConfig"][field]).map(|it| string(&it["name"])).collect();
        let given: BTreeSet<_> = given.iter().collect();
        // Spin brings a store `default`, one for each replica, of which nothing may be expected; not so a database.
        let missing = labels.difference(&given).any(|label| field == "sqliteDatabases" || *label != "default");
        if missing || !given.is_subset(&labels) {
            complaints.push(format!("runtimeConfig.{field} has {given:?}, but spin.toml wants {labels:?}"));
        }
    }
    let scales = spec["enableAutoscaling"] == true;
    if scales != spec["replicas"].is_null() {
        complaints.push("the operator refuses both or neither of replicas and enableAutoscaling".into());
    }
    let target = &app["metadata"]["name"];
    let scalers = ["HorizontalPodAutoscaler", "ScaledObject"]
        .map(|kind| objects.kind(kind).filter(|it| it["spec"]["scaleTargetRef"]["name"] == *target).count());
    if scales && scalers.iter().sum::<usize>() != 1 {
        complaints.push(format!("it wants one autoscaler, not {}", scalers.iter().sum::<usize>()));
    }
    let journal = ids.contains(&"journal");
    for probe in ["liveness", "readiness"] {
        let path = spec["checks"][probe]["httpGet"]["path"].as_str().unwrap_or_default();
        let answered = match path {
            "/.well-known/spin/health" => true,
            // On the private route, which is there when the component is alone in its app.
            "/internal/ready" => ids.len() == 1 && !journal,
            _ => journal && path.starts_with("/health/"),
        };
        if !answered {
            complaints.push(format!("nobody in it answers the {probe} check at `{path}`"));
        }
    }
    complaints
}

/// The bells ring either by a Redis that is there, or by HTTP, and then nothing names a Redis: Spin's trigger ends the app
/// when it cannot connect.
fn bells(objects: &Objects, set: &BTreeMap<String, &Value>, rings: bool) -> Complaints {
    let literal = |name: &str| set.get(name).and_then(|it| it["value"].as_str());
    let redis = [literal("redis_address"), literal("redis_host")];
    match literal("bell") {
        Some("http") if redis == [None, None] => vec![],
        Some("redis") => {
            let is_there = |url: &str| {
                let host = url.trim_start_matches("redis://").split(':').next().unwrap_or_default();
                objects.find("Service", host).is_some()
            };
            let right = redis.iter().all(|url| url.is_some_and(is_there));
            if right { vec![] } else { vec![format!("bell is redis, but the Redis of {redis:?} is not there")] }
        }
        None if !rings && redis == [None, None] => vec![],
        bell => vec![format!("bell is {bell:?}, with the Redis {redis:?}")],
    }
}

/// What the API refuses without another object comes after it: kubectl applies one after the other.
pub fn order(objects: &Objects) -> Complaints {
    let at = |kind: &str, name: &Value| {
        objects.0.iter().position(|it| it["kind"] == kind && (name.is_null() || it["metadata"]["name"] == *name))
    };
    let mut complaints = vec![];
    for (index, object) in objects.0.iter().enumerate() {
        let mut needs = vec![("Namespace", &Value::Null)];
        if object["kind"] == "SpinApp" {
            needs.push(("SpinAppExecutor", &object["spec"]["executor"]));
        }
        for (kind, wanted) in needs {
            if object["kind"] != kind && at(kind, wanted).is_none_or(|before| before > index) {
                complaints.push(format!("{}: it comes before the {kind}", name(object)));
            }
        }
    }
    complaints
}

/// What the operator's webhooks refuse (v0.6.1), besides what is in [`order`] and [`spin`]; and what Spin makes of the rest.
pub fn admission(objects: &Objects) -> Complaints {
    let mut complaints = vec![];
    for executor in objects.kind("SpinAppExecutor") {
        let how = &executor["spec"]["deploymentConfig"];
        if how["runtimeClassName"].is_null() == how["spinImage"].is_null() {
            complaints.push(format!("{}: one of runtimeClassName and spinImage, please", name(executor)));
        }
    }
    for app in objects.kind("SpinApp") {
        let spec = &app["spec"];
        let limit = bytes(&spec["resources"]["limits"]["memory"]);
        if bytes(&spec["invocationLimits"]["memory"]) > limit {
            complaints.push(format!("{}: one call may take more memory than the pod", name(app)));
        }
        for (field, known) in [
            ("sqliteDatabases", &["spin", "libsql"][..]),
            ("keyValueStores", &["spin", "redis", "azure_cosmos", "aws_dynamo"]),
        ] {
            for store in items(&spec["runtimeConfig"][field]) {
                if !known.contains(&store["type"].as_str().unwrap_or_default()) {
                    complaints.push(format!("{}: Spin knows no {field} of type {}", name(app), store["type"]));
                }
            }
        }
    }
    complaints
}

/// How much memory a quantity with a binary ending is; `None` if there is none.
fn bytes(quantity: &Value) -> Option<u64> {
    let text = quantity.as_str()?;
    let (number, unit) = text.split_at(text.len().checked_sub(2)?);
    let shift = 10 * (1 + ["Ki", "Mi", "Gi"].iter().position(|it| *it == unit)?);
    Some(number.parse::<u64>().ok()? << shift)
}

/// What KEDA would refuse, or not heed, in a ScaledObject; and that an autoscaler has the name of what it scales, by which
/// `deploy.sh` finds the one whose place it takes.
pub fn scaling(objects: &Objects) -> Complaints {
    let mut complaints = vec![];
    for scaler in ["HorizontalPodAutoscaler", "ScaledObject"].into_iter().flat_map(|kind| objects.kind(kind)) {
        if scaler["metadata"]["name"] != scaler["spec"]["scaleTargetRef"]["name"] {
            complaints.push(format!("{}: it does not have the name of what it scales", name(scaler)));
        }
    }
    for scaled in objects.kind("ScaledObject") {
        let (spec, mut complain) = (&scaled["spec"], |what: &str| complaints.push(format!("{}: {what}", name(scaled))));
        if spec["fallback"]["behavior"] != "currentReplicasIfHigher" {
            complain("without metrics it would take replicas away");
        }
        // KEDA's own part is from none to one and back; the rest is the HPA's.
        if spec["minReplicaCount"].as_u64().is_some_and(|min| min > 0) && spec["idleReplicaCount"].is_null() {
            for idle in ["cooldownPeriod", "pollingInterval", "activationThreshold", "activationValue"] {
                if !strings(spec, idle).is_empty() {
                    complain(&format!("{idle} means nothing when there is always a replica"));
                }
            }
        }
        let app = objects.find("SpinApp", scaled["spec"]["scaleTargetRef"]["name"].as_str().unwrap_or_default());
        let by_cpu = items(&spec["triggers"]).any(|it| it["type"] == "cpu");
        if by_cpu && app.is_none_or(|app| app["spec"]["resources"]["requests"]["cpu"].is_null()) {
            complain("KEDA refuses a cpu trigger for a container without a CPU request");
        }
    }
    complaints
}

/// The fields that the API does not let anybody change, as `Kind name field: value`.
pub fn immutable(objects: &Objects) -> Vec<String> {
    let fields = |kind: &str| match kind {
        "StatefulSet" => &["selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"][..],
        "Deployment" => &["selector"],
        "PersistentVolumeClaim" => &["accessModes", "storageClassName", "volumeMode", "volumeName"],
        "Job" => &["selector", "template", "completionMode"],
        "Service" => &["clusterIP"],
        _ => &[],
    };
    let mut all: Vec<String> = vec![];
    for object in &objects.0 {
        let fields = fields(object["kind"].as_str().unwrap_or_default()).iter();
        let set = fields.map(|field| (field, &object["spec"][field])).filter(|(_, value)| !value.is_null());
        all.extend(set.map(|(field, value)| format!("{} {field}: {value}", name(object))));
    }
    all.sort();
    all
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The gateway leads to the public routes of `spin.toml`, each to the app with the component that answers there, and
/// nowhere else.
pub fn gateway(objects: &Objects, manifest: &Manifest) -> Complaints {
    let mut complaints = vec![];
    let mut led = BTreeMap::new();
    for rule in objects.kind("Ingress").flat_map(|it| items(&it["spec"]["rules"])) {
        for path in items(&rule["http"]["paths"]) {
            let service = &path["backend"]["service"];
            led.insert(string(&path["path"]), (string(&service["name"]), service["port"]["number"].clone()));
            if path["pathType"] != "Prefix" {
                complaints.push(format!("{}: not a prefix", path["path"]));
            }
        }
    }
    for rule in objects.kind("HTTPRoute").flat_map(|it| items(&it["spec"]["rules"])) {
        for path in items(&rule["matches"]) {
            let backends: Vec<_> = items(&rule["backendRefs"]).collect();
            let [backend] = backends.as_slice() else {
                complaints.push(format!("{path}: one backend, please"));
                continue;
            };
            led.insert(string(&path["path"]["value"]), (string(&backend["name"]), backend["port"].clone()));
            if path["path"]["type"] != "PathPrefix" {
                complaints.push(format!("{path}: not a prefix"));
            }
        }
    }
    for path in led.keys().filter(|path| NOT_PUBLIC.iter().any(|private| path.starts_with(private)) || *path == "/") {
        complaints.push(format!("the gateway leads to {path}, which is not public"));
    }
    let wanted: BTreeSet<_> = manifest.routes.keys().collect();
    if led.keys().collect::<BTreeSet<_>>() != wanted {
        complaints.push(format!("the gateway leads to {:?}, but the public routes are {wanted:?}", led.keys()));
    }
    for (path, (service, port)) in led {
        let app = objects.find("SpinApp", &service);
        let ids = app.map(|app| components(manifest, app)).unwrap_or_default();
        if !manifest.routes.get(&path).is_some_and(|id| ids.contains(&id.as_str())) || port != 80 {
            complaints.push(format!("nobody answers {path} at {service}:{port}"));
        }
    }
    complaints
}

/// Pods that are ours run without root, without privileges, with resources and limits. (A SpinApp has no such fields.)
pub fn hardened(objects: &Objects) -> Complaints {
    let mut complaints = vec![];
    for (pod, template) in objects.pods() {
        let spec = &template["spec"];
        if spec["securityContext"]["runAsNonRoot"] != true
            || spec["securityContext"]["seccompProfile"]["type"] != "RuntimeDefault"
        {
            complaints.push(format!("{pod}: it may run as root, or without seccomp"));
        }
        if spec["automountServiceAccountToken"] != false {
            complaints.push(format!("{pod}: it has a token of the cluster's API"));
        }
        for container in ["containers", "initContainers"].iter().flat_map(|field| items(&spec[field])) {
            let (context, resources) = (&container["securityContext"], &container["resources"]);
            let locked = context["allowPrivilegeEscalation"] == false
                && context["readOnlyRootFilesystem"] == true
                && context["capabilities"]["drop"] == serde_json::json!(["ALL"]);
            if !locked {
                complaints.push(format!("{pod}: {} has privileges", container["name"]));
            }
            if resources["requests"]["cpu"].is_null() || resources["limits"]["memory"].is_null() {
                complaints.push(format!("{pod}: {} has no CPU request or no memory limit", container["name"]));
            }
        }
    }
    complaints
}

/// Whether the name of the port of a SpinApp's pods is what policies and monitors name.
pub fn monitors(objects: &Objects) -> Complaints {
    let own = objects.kind("PodMonitor").filter(|it| !is_of_others(&it["spec"]["selector"]));
    let ports = own.flat_map(|it| items(&it["spec"]["podMetricsEndpoints"]));
    ports.filter(|it| it["port"] != HTTP_APP).map(|it| format!("a SpinApp's pod has no port {}", it["port"])).collect()
}
