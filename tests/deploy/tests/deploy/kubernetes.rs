//! The overlays: everything that an object names is there, and the network lets in whom it should.

use deploy_tests::{
    OVERLAYS, Objects, Tool, checks,
    network::{From, lets_in},
    read, root, string, strings,
};
use manifest::Manifest;
use serde_json::{Value, json};
use std::fs;

/// Runs a check of all overlays; each must be fine.
fn all_fine(check: impl Fn(&Objects) -> checks::Complaints) {
    for name in OVERLAYS {
        let Some(overlay) = Objects::overlay(name) else { return };
        let complaints = check(&overlay);
        assert!(complaints.is_empty(), "overlay {name}:\n{}", complaints.join("\n"));
    }
}

/// Breaks an overlay; the check must say so in these words.
fn is_noticed(
    overlay: &str,
    spoil: impl FnOnce(&mut Objects),
    check: impl Fn(&Objects) -> checks::Complaints,
    words: &str,
) {
    let Some(mut objects) = Objects::overlay(overlay) else { return };
    spoil(&mut objects);
    let complaints = check(&objects);
    assert!(complaints.iter().any(|it| it.contains(words)), "nobody says `{words}`, but: {complaints:?}");
}

/// The versions of Kubernetes that the manifests are for: the one that the docs install, and the next.
pub const KUBERNETES: [&str; 2] = ["1.36", "1.37"];

fn spin(objects: &Objects) -> checks::Complaints {
    checks::spin(objects, &Manifest::read())
}

fn gateway(objects: &Objects) -> checks::Complaints {
    checks::gateway(objects, &Manifest::read())
}

#[test]
fn names_are_valid_and_taken_once() {
    all_fine(checks::names);
    let rename = |name: &'static str| {
        move |it: &mut Objects| it.change("Service", "mealkit-libsql")["metadata"]["name"] = json!(name)
    };
    for bad in
        ["Mealkit", "meal_kit", "-mealkit", "mealkit.", "a-name-that-is-so-long-that-no-label-of-a-pod-could-hold-it"]
    {
        is_noticed("aks", rename(bad), checks::names, "RFC 1123");
    }
    is_noticed("aks", |it| it.0.push(it.0[0].clone()), checks::names, "there are two");
}

#[test]
fn no_image_has_a_mutable_tag() {
    all_fine(checks::images);
    let with =
        |image: &'static str| move |it: &mut Objects| it.change("SpinApp", "mealkit")["spec"]["image"] = json!(image);
    for bad in [
        "mealkit",
        "ghcr.io/x/mealkit:latest",
        "localhost:5000/mealkit",
        "mealkit:1",
        "mealkit:1.2",
        "mealkit@sha256:abc",
    ] {
        is_noticed("local", with(bad), checks::images, "may be another one tomorrow");
    }
}

#[test]
fn whatever_an_object_names_is_there() {
    all_fine(checks::references);
    let spoil = "/spec/variables/2/valueFrom/secretKeyRef/key";
    let unknown_key = |it: &mut Objects| *it.change("SpinApp", "mealkit").pointer_mut(spoil).unwrap() = json!("none");
    is_noticed("aks", unknown_key, checks::references, "no Secret mealkit with the key none");
    let executor = |it: &mut Objects| it.change("SpinApp", "mealkit")["spec"]["executor"] = json!("none");
    is_noticed("aks", executor, checks::references, "no SpinAppExecutor none");
    let without = |kind: &'static str| move |it: &mut Objects| it.0.retain(|object| object["kind"] != kind);
    is_noticed("aks", without("SecretProviderClass"), checks::references, "no Secret mealkit");
    is_noticed("aks", without("ConfigMap"), checks::references, "no ConfigMap mealkit");
    is_noticed("aks", without("ServiceAccount"), checks::references, "no ServiceAccount mealkit");
    is_noticed("aks", without("Gateway"), checks::references, "no Gateway mealkit");
    is_noticed("local", without("Issuer"), checks::references, "no Issuer self-signed");
    is_noticed(
        "local",
        without("PersistentVolumeClaim"),
        checks::references,
        "no PersistentVolumeClaim mealkit-backup",
    );
    is_noticed("local", without("SpinApp"), checks::references, "no Deployment mealkit");
    // The vault's driver makes keys only of what it fetches.
    let unfetched = |it: &mut Objects| {
        let objects = &mut it.change("SecretProviderClass", "mealkit")["spec"]["parameters"]["objects"];
        *objects = json!(objects.as_str().unwrap().replace("libsql-token", "another"));
    };
    is_noticed("aks", unfetched, checks::references, "the key libsql-token");
}

#[test]
fn selectors_find_pods_and_ports() {
    all_fine(checks::selectors);
    all_fine(checks::monitors);
    let port =
        |it: &mut Objects| it.change("Service", "mealkit-redis")["spec"]["ports"][0]["targetPort"] = json!("http");
    is_noticed("local", port, checks::selectors, "no port \"http\"");
    let label = |it: &mut Objects| it.change("SpinApp", "mealkit")["spec"]["podLabels"] = json!({});
    is_noticed("aks", label, checks::selectors, "NetworkPolicy gateway: it selects no pod");
    let budget = |it: &mut Objects| {
        it.change("PodDisruptionBudget", "mealkit")["spec"]["selector"]["matchLabels"] = json!({"app": "mealkit"});
    };
    is_noticed("aks", budget, checks::selectors, "PodDisruptionBudget mealkit: it selects no pod");
    let policy = |it: &mut Objects| {
        it.change("NetworkPolicy", "libsql")["spec"]["ingress"][0]["ports"][0]["port"] = json!("sql")
    };
    is_noticed("aks", policy, checks::selectors, "no port \"sql\"");
    let monitor =
        |it: &mut Objects| it.change("PodMonitor", "mealkit")["spec"]["podMetricsEndpoints"][0]["port"] = json!("http");
    is_noticed("aks", monitor, checks::monitors, "no port \"http\"");
}

#[test]
fn the_apps_give_what_spin_toml_asks_for() {
    all_fine(spin);
    let unknown = |it: &mut Objects| it.change("SpinApp", "mealkit")["spec"]["variables"][0]["name"] = json!("redis");
    is_noticed("aks", unknown, spin, "no variable redis ");
    let chained = |it: &mut Objects| it.change("SpinApp", "mealkit-journal")["spec"]["variables"] = json!([]);
    is_noticed("aks-split", chained, spin, "order is not in this app");
    let nobody = |it: &mut Objects| {
        let variables = it.change("SpinApp", "mealkit-order")["spec"]["variables"].as_array_mut().unwrap();
        let payment = variables.iter_mut().find(|it| it["name"] == "payment_url").unwrap();
        payment["value"] = json!("http://mealkit-product");
    };
    is_noticed("aks-split", nobody, spin, "payment_url: there is nobody at mealkit-product");
    let missing = |it: &mut Objects| it.0.retain(|object| object["metadata"]["name"] != "mealkit-delivery");
    is_noticed("local-split", missing, spin, "no SpinApp has the component delivery");
    let store =
        |it: &mut Objects| it.change("SpinApp", "mealkit-order")["spec"]["runtimeConfig"]["keyValueStores"] = json!([]);
    // Spin brings one for each replica.
    let Some(mut own) = Objects::overlay("local-split") else { return };
    store(&mut own);
    assert_eq!(spin(&own), Vec::<String>::new());
    let database =
        |it: &mut Objects| it.change("SpinApp", "mealkit")["spec"]["runtimeConfig"]["sqliteDatabases"] = json!([]);
    is_noticed("aks", database, spin, "sqliteDatabases");
    let replicas = |it: &mut Objects| it.change("SpinApp", "mealkit")["spec"]["replicas"] = json!(2);
    is_noticed("local", replicas, spin, "replicas and enableAutoscaling");
    let scaler = |it: &mut Objects| it.0.retain(|object| object["kind"] != "HorizontalPodAutoscaler");
    is_noticed("local", scaler, spin, "one autoscaler, not 0");
    let probe = "/spec/checks/readiness/httpGet/path";
    let ready =
        |it: &mut Objects| *it.change("SpinApp", "mealkit-order").pointer_mut(probe).unwrap() = json!("/health/ready");
    is_noticed("local-split", ready, spin, "nobody in it answers the readiness check");
    // A variable without a default must be set.
    let Some(aks) = Objects::overlay("aks") else { return };
    let mut manifest = Manifest::read();
    manifest.variables.insert("payment_timeout_ms".into(), None);
    assert!(checks::spin(&aks, &manifest).iter().any(|it| it.contains("nobody sets payment_timeout_ms")));
}

#[test]
fn the_gateway_leads_to_the_public_routes_and_nowhere_else() {
    all_fine(gateway);
    let private = |path: &'static str| {
        move |it: &mut Objects| {
            let paths = "/spec/rules/0/http/paths";
            let paths = it.change("Ingress", "mealkit").pointer_mut(paths).unwrap().as_array_mut().unwrap();
            let mut added = paths[0].clone();
            added["path"] = json!(path);
            paths.push(added);
        }
    };
    for path in checks::NOT_PUBLIC.into_iter().chain(["/", "/internal/charges"]) {
        is_noticed("local", private(path), gateway, "which is not public");
    }
    let elsewhere = |it: &mut Objects| {
        it.change("HTTPRoute", "mealkit")["spec"]["rules"][0]["backendRefs"][0]["name"] = json!("mealkit-payment");
    };
    is_noticed("aks-split", elsewhere, gateway, "nobody answers /products at mealkit-payment");
    let gone =
        |it: &mut Objects| it.change("HTTPRoute", "mealkit")["spec"]["rules"].as_array_mut().unwrap().truncate(5);
    is_noticed("aks-split", gone, gateway, "but the public routes are");
}

#[test]
fn pods_have_no_privileges() {
    all_fine(checks::hardened);
    let root = |it: &mut Objects| {
        it.change("Deployment", "mealkit-redis")["spec"]["template"]["spec"]["securityContext"] = Value::Null
    };
    is_noticed("local", root, checks::hardened, "may run as root");
    let limit = "/spec/template/spec/containers/0/resources";
    let greedy =
        |it: &mut Objects| *it.change("StatefulSet", "mealkit-libsql").pointer_mut(limit).unwrap() = Value::Null;
    is_noticed("local", greedy, checks::hardened, "no memory limit");
}

const TRAEFIK: From<'_> = From::Elsewhere("kube-system", &[("app.kubernetes.io/name", "traefik")]);
const ISTIO: From<'_> = From::Stranger(&[("gateway.networking.k8s.io/gateway-name", "mealkit")]);
const PROMETHEUS: From<'_> = From::Elsewhere("monitoring", &[("app.kubernetes.io/name", "prometheus")]);
const SOMEBODY: From<'_> = From::Stranger(&[("app", "somebody")]);
const ELSEWHERE: From<'_> = From::Elsewhere("kube-system", &[("app", "somebody")]);

#[test]
fn the_network_lets_in_the_gateway_and_nobody_else() {
    for (overlay, gateway) in [("local", TRAEFIK), ("aks", ISTIO)] {
        let Some(whole) = Objects::overlay(overlay) else { return };
        for from in [gateway, PROMETHEUS, From::Pod("mealkit-catch-up")] {
            assert!(lets_in(&whole, from, "mealkit", "http-app"), "{overlay}: {from:?}");
        }
        for from in [SOMEBODY, ELSEWHERE, From::Pod("mealkit-backup"), From::Pod("mealkit-libsql")] {
            assert!(!lets_in(&whole, from, "mealkit", "http-app"), "{overlay}: {from:?}");
        }
        for from in [From::Pod("mealkit"), From::Pod("mealkit-backup")] {
            assert!(lets_in(&whole, from, "mealkit-libsql", "http"), "{overlay}: {from:?}");
        }
        for from in [gateway, PROMETHEUS, SOMEBODY, ELSEWHERE, From::Pod("mealkit-catch-up")] {
            assert!(!lets_in(&whole, from, "mealkit-libsql", "http"), "{overlay}: {from:?}");
        }
    }
}

#[test]
fn apart_the_contexts_are_reached_by_those_who_need_them() {
    let contexts = manifest::contexts();
    for (overlay, gateway) in [("local-split", TRAEFIK), ("aks-split", ISTIO)] {
        let Some(split) = Objects::overlay(overlay) else { return };
        let pod = |id: &str| format!("mealkit-{id}");
        for to in contexts.iter().map(String::as_str) {
            assert!(lets_in(&split, gateway, &pod(to), "http-app"), "{overlay}: the gateway, to {to}");
            assert!(
                lets_in(&split, From::Pod("mealkit-journal"), &pod(to), "http-app"),
                "{overlay}: the journal, to {to}"
            );
            assert!(
                lets_in(&split, From::Pod(&pod(to)), "mealkit-journal", "http-app"),
                "{overlay}: {to}, to the journal"
            );
            assert!(lets_in(&split, From::Pod(&pod(to)), "mealkit-libsql", "http"), "{overlay}: {to}, to the database");
            for from in contexts.iter().map(String::as_str).filter(|from| *from != to) {
                let wanted = [("order", "payment"), ("member", "order")].contains(&(from, to));
                assert_eq!(
                    lets_in(&split, From::Pod(&pod(from)), &pod(to), "http-app"),
                    wanted,
                    "{overlay}: {from}, to {to}"
                );
            }
            for from in [SOMEBODY, ELSEWHERE, From::Pod("mealkit-catch-up")] {
                assert!(!lets_in(&split, from, &pod(to), "http-app"), "{overlay}: {from:?}, to {to}");
            }
        }
        assert!(lets_in(&split, From::Pod("mealkit-catch-up"), "mealkit-journal", "http-app"));
        assert!(lets_in(&split, PROMETHEUS, "mealkit-journal", "http-app"));
    }
}

#[test]
fn without_the_policy_that_keeps_all_out_somebody_gets_in() {
    let Some(mut whole) = Objects::overlay("local") else { return };
    whole.0.retain(|it| it["kind"] != "NetworkPolicy");
    assert!(lets_in(&whole, SOMEBODY, "mealkit-libsql", "http"));
}

/// An overlay with one more component.
fn with_component(overlay: &str, component: &str) -> Option<Objects> {
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let base = "../../deploy/spinkube";
    let text = format!(
        "sortOptions: {{order: fifo}}\nresources: [{base}/overlays/{overlay}]\ncomponents: [{base}/components/{component}]\n"
    );
    fs::write(folder.path().join("kustomization.yaml"), text).unwrap();
    Objects::render(&folder.path().display().to_string())
}

/// The operator's webhook refuses an app without its executor, and kubectl applies in the order in which kustomize renders.
#[test]
fn what_the_api_refuses_without_another_comes_after_it() {
    all_fine(checks::order);
    is_noticed("aks", |it| it.0.reverse(), checks::order, "SpinApp mealkit: it comes before the SpinAppExecutor");
    is_noticed("local", |it| it.0.rotate_left(1), checks::order, "it comes before the Namespace");
    let other = |it: &mut Objects| it.change("SpinAppExecutor", "spin")["metadata"]["name"] = json!("another");
    is_noticed("aks-split", other, checks::order, "SpinApp mealkit-order: it comes before the SpinAppExecutor");
}

#[test]
fn the_webhooks_of_the_operator_take_the_apps() {
    all_fine(checks::admission);
    let both = |it: &mut Objects| {
        it.change("SpinAppExecutor", "spin")["spec"]["deploymentConfig"]["runtimeClassName"] = json!("spin");
    };
    is_noticed("aks", both, checks::admission, "one of runtimeClassName and spinImage");
    let greedy =
        |it: &mut Objects| it.change("SpinApp", "mealkit")["spec"]["invocationLimits"]["memory"] = json!("2Gi");
    is_noticed("aks", greedy, checks::admission, "more memory than the pod");
    let store = |it: &mut Objects| {
        it.change("SpinApp", "mealkit")["spec"]["runtimeConfig"]["sqliteDatabases"][0]["type"] = json!("postgres");
    };
    is_noticed("local", store, checks::admission, "no sqliteDatabases of type");
}

/// On Azure nothing names a Redis; a Redis in the cluster may be added, in both shapes.
#[test]
fn the_bells_ring_by_http_unless_the_cluster_has_a_redis() {
    for overlay in ["aks", "aks-split"] {
        let Some(plain) = Objects::overlay(overlay) else { return };
        let text = plain.0.iter().map(Value::to_string).collect::<String>();
        assert!(!text.contains("redis"), "overlay {overlay} names a Redis");
        let bells: Vec<_> =
            plain.kind("SpinApp").flat_map(|it| strings(it, "name")).filter(|it| *it == "bell").collect();
        assert_eq!(bells.len(), if overlay == "aks" { 1 } else { manifest::contexts().len() });
        let Some(redis) = with_component(overlay, "redis") else { return };
        assert_eq!([spin(&redis), checks::references(&redis), checks::order(&redis)].concat(), Vec::<String>::new());
    }
    let set = |it: &mut Objects, value: Value| it.change("SpinApp", "mealkit")["spec"]["variables"][0]["value"] = value;
    is_noticed("aks", |it| set(it, json!("redis")), spin, "the Redis of [None, None] is not there");
    is_noticed("local", |it| set(it, json!("http")), spin, "bell is Some(\"http\"), with the Redis");
    let gone = |it: &mut Objects| it.0.retain(|object| object["metadata"]["name"] != "mealkit-redis");
    is_noticed("local", gone, spin, "is not there");
}

/// A shim that nobody has released is nobody's default.
#[test]
fn where_there_is_no_shim_spin_runs_in_a_container() {
    for overlay in ["aks", "aks-split"] {
        let Some(objects) = Objects::overlay(overlay) else { return };
        let how = &objects.find("SpinAppExecutor", "spin").unwrap()["spec"]["deploymentConfig"];
        assert!(how["runtimeClassName"].is_null(), "{how}");
        assert!(string(&how["spinImage"]).starts_with("ghcr.io/spinframework/spin:v4."), "{how}");
    }
}

/// A field that cannot be changed has the value that it has had: whoever changes one writes down, in docs/deploy-aks.md, how
/// a shop that runs gets there, and then here.
#[test]
fn what_cannot_be_changed_did_not_change() {
    let mut all = vec![];
    for overlay in OVERLAYS {
        let Some(objects) = Objects::overlay(overlay) else { return };
        all.extend(checks::immutable(&objects).into_iter().map(|it| format!("{overlay}: {it}\n")));
    }
    let written = read("tests/deploy/immutable.txt");
    let written: String = written.lines().filter(|it| !it.starts_with('#')).map(|it| format!("{it}\n")).collect();
    let now = all.concat();
    assert!(
        written == now,
        "these fields cannot be changed in place; if you mean to, see tests/deploy/immutable.txt:\n{now}"
    );
    let Some(mut changed) = Objects::overlay("aks") else { return };
    let before = checks::immutable(&changed);
    *changed
        .change("StatefulSet", "mealkit-libsql")
        .pointer_mut("/spec/volumeClaimTemplates/0/spec/resources/requests/storage")
        .unwrap() = json!("64Gi");
    assert_ne!(checks::immutable(&changed), before);
}

/// KEDA instead of the HorizontalPodAutoscaler, in both shapes.
#[test]
fn keda_takes_the_place_of_the_autoscaler() {
    for (overlay, component) in [("aks", "keda"), ("aks-split", "keda-split")] {
        let Some(mut objects) = with_component(overlay, component) else { return };
        assert_eq!(objects.kind("HorizontalPodAutoscaler").count(), 0);
        for complaints in
            [spin(&objects), checks::references(&objects), checks::scaling(&objects), crate::schemas::wrong(&objects)]
        {
            assert!(complaints.is_empty(), "{component}: {complaints:?}");
        }
        let name = if overlay == "aks" { "mealkit" } else { "mealkit-order" };
        let spec = &mut objects.change("ScaledObject", name)["spec"];
        spec["fallback"]["behavior"] = json!("static");
        spec["cooldownPeriod"] = json!(300);
        spec["triggers"][1]["metadata"]["activationThreshold"] = json!("50");
        objects.change("SpinApp", name)["spec"]["resources"]["requests"] = json!({});
        let complaints = checks::scaling(&objects).join("\n");
        for words in ["take replicas away", "cooldownPeriod means nothing", "activationThreshold means", "cpu trigger"]
        {
            assert!(complaints.contains(words), "nobody says `{words}`: {complaints}");
        }
    }
}

/// What Kubernetes itself knows, against its published schemas: the version of docs/deploy-aks.md, and the next.
#[test]
fn the_objects_of_kubernetes_are_valid() {
    let Some(tool) = Tool::kubernetes_validate() else { return };
    let validate = |objects: &Objects, version: &str| {
        let own: Vec<String> =
            objects.0.iter().filter(|it| !crate::schemas::is_custom(it)).map(Value::to_string).collect();
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        fs::write(file.path(), own.join("\n---\n")).unwrap();
        let output = tool.run(["--strict", "-k", version, file.path().to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text, own.len())
    };
    for overlay in OVERLAYS {
        let Some(objects) = Objects::overlay(overlay) else { return };
        for version in KUBERNETES {
            let (fine, text, count) = validate(&objects, version);
            assert!(fine, "overlay {overlay}, Kubernetes {version}:\n{text}");
            assert_eq!(text.matches(" passed ").count(), count, "{text}");
        }
    }
    let Some(mut broken) = Objects::overlay("aks") else { return };
    broken.change("CronJob", "mealkit-catch-up")["spec"]["shedule"] = json!("* * * * *");
    assert!(!validate(&broken, KUBERNETES[0]).0, "a misspelt field goes unnoticed");
}
