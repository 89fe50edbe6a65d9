//! `deploy/deploy.sh` with a kubectl that plays a cluster: it deploys, and goes back when the new images do not come up.

use deploy_tests::{Tool, root, yaml};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

const OLD: &str = "ghcr.io/me/mealkit@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const NEW: &str = "ghcr.io/me/mealkit@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A cluster, as files: `there/KIND/NAME` is an object, `soon/KIND/NAME` one that somebody will have made in a moment, and
/// nobody looks at it before `wait --for=create` does. What is rendered is real; all else is played, with what refuses and
/// waits in the real one:
///
/// - who deploys may not write a Namespace;
/// - the operator refuses an app without its executor, makes its Deployment only if the secrets are there when it sees the
///   app, and gives it the app's image and annotation;
/// - the secrets are made once the database's pod has mounted the vault;
/// - KEDA refuses an object whose Deployment is missing, or has another autoscaler;
/// - `kubectl wait` for anything but its creation ends at once when there is no such object.
///
/// An image that is named in `broken` never becomes ready. Every call is noted in `calls`, every object in `applied`.
const CLUSTER: &str = r#"#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
if [[ "$1" == kustomize ]]; then exec "$(cat real)" "$@"; fi
if [[ "$*" == "get --raw /apis/keda.sh/v1alpha1" ]]; then exec test -e keda; fi
shift 2
echo "$*" >> calls
mkdir -p there/{deployment,secret,hpa,scaledobject,spinapp,executor} soon/{deployment,secret}
refuse() { echo "Error from server ($1)" >&2; exit 1; }
image() { grep -oE 'ghcr.io/me/mealkit@sha256:[0-9a-f]{64}' "$1"; }
operator() { # What it makes of an app.
  [[ -e there/secret/mealkit ]] || return 0
  local to=soon
  [[ ! -e there/deployment/$1 ]] || to=there
  { image "there/spinapp/$1"; grep -oE 'release"?: ?"?[0-9TZa-z-]+' "there/spinapp/$1" | tr -d '": ' | sed 's/^release/release=/'; } > made
  mv made "$to/deployment/$1"
}
one() { # One object that was applied.
  local kind name
  kind=$(sed -n 's/^kind: //p' object) name=$(sed -n 's/^  name: //p' object)
  echo "$kind $name" >> applied
  case "$kind" in
    Namespace) refuse "Forbidden: $kind" ;;
    SpinAppExecutor) touch "there/executor/$name" ;;
    StatefulSet) [[ -e no-vault ]] || touch soon/secret/mealkit ;;
    SpinApp)
      [[ -e "there/executor/$(sed -n 's/^  executor: //p' object)" ]] || refuse "Invalid: executor does not exist in namespace"
      cp object "there/spinapp/$name"
      operator "$name" ;;
    Deployment)
      if grep -q preStop object; then
        [[ -e there/deployment/$name ]] || refuse "Invalid: no selector"
        cp object drain
      fi ;;
    HorizontalPodAutoscaler)
      [[ ! -e there/scaledobject/$name ]] || { echo "two autoscalers for $name" >> faults; }
      touch "there/hpa/$name" ;;
    ScaledObject)
      [[ -e there/deployment/$name ]] || refuse "Forbidden: no Deployment $name"
      [[ ! -e there/hpa/$name ]] || refuse "Forbidden: $name is already managed by the hpa"
      touch "there/scaledobject/$name" ;;
  esac
}
case "$1" in
  get) for app in there/spinapp/*; do
    if [[ "$2" == spinapps && -e $app ]]; then echo "$(basename "$app") $(image "$app")"; fi
  done ;;
  apply)
    : > object
    while IFS= read -r line; do
      if [[ "$line" == --- ]]; then [[ ! -s object ]] || one; : > object; else printf '%s\n' "$line" >> object; fi
    done
    [[ -s object ]] || { echo "error: no objects passed to apply" >&2; exit 1; }
    one ;;
  patch) grep -oE '\{.*' <<<"$*" > "there/spinapp/$3"; operator "$3" ;;
  delete) rm -f "there/$2/$3" ;;
  wait)
    if [[ "$*" == *--for=create* ]]; then
      if [[ -e soon/$2 ]]; then mv "soon/$2" "there/$2"; fi
      [[ -e there/$2 ]] || { echo "error: timed out waiting for the condition on $2" >&2; exit 1; }
    elif [[ ! -e there/$2 ]]; then refuse "NotFound: $2"
    elif [[ "$2" == deployment/* ]]; then
      wanted=$(grep -oE 'release}=[^ ]+' <<<"$*" | cut -d = -f 2)
      grep -qx "release=$wanted" "there/$2"
    fi ;;
  rollout)
    [[ -e there/$3 ]] || refuse "NotFound: $3"
    ! image "there/$3" | grep -qFf broken ;;
esac
"#;

struct Cluster(tempfile::TempDir);

impl Cluster {
    /// A cluster whose vault, operator and namespace are there, and no shop.
    fn empty(broken: &str) -> Option<Self> {
        Tool::kubectl()?;
        let cluster = Self(tempfile::tempdir().unwrap());
        cluster.write("kubectl", CLUSTER);
        cluster.write("broken", broken);
        cluster.write("real", real_kubectl().to_str().unwrap());
        fs::set_permissions(cluster.path("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
        // The script writes beside what it deploys, so it gets a copy.
        let copied = Command::new("cp").arg("-r").arg(root().join("deploy")).arg(cluster.0.path()).status();
        assert!(copied.unwrap().success());
        Some(cluster)
    }

    /// A cluster that runs this image.
    fn running(image: &str, broken: &str) -> Option<Self> {
        let cluster = Self::empty(broken)?;
        for folder in ["there/spinapp", "there/deployment", "there/secret"] {
            fs::create_dir_all(cluster.path(folder)).unwrap();
        }
        cluster.write("there/spinapp/mealkit", image);
        cluster.write("there/deployment/mealkit", image);
        cluster.write("there/secret/mealkit", "");
        Some(cluster)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn deploy(&self, images: &str) -> (bool, String) {
        self.write("images.txt", images);
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let mut script = Command::new(self.path("deploy/deploy.sh"));
        let output = script.arg("aks").arg(self.path("images.txt")).env("PATH", path).output().unwrap();
        let text = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it)).concat();
        (output.status.success(), text)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default().trim().to_owned()
    }

    /// The image that the pods run.
    fn image(&self) -> String {
        self.read("there/deployment/mealkit").lines().next().unwrap_or_default().to_owned()
    }

    fn has(&self, object: &str) -> bool {
        self.path("there").join(object).exists()
    }

    /// The overlay scales by KEDA, or does not.
    fn scale_by_keda(&self, keda: bool) {
        self.write("keda", "");
        let path = "deploy/spinkube/overlays/aks/kustomization.yaml";
        let component = "  - ../../components/keda\n";
        let without = self.read(path).replace(component, "");
        let components = if keda { format!("components:\n{component}") } else { "components:\n".to_owned() };
        self.write(path, &without.replace("components:\n", &components));
    }
}

fn real_kubectl() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|it: &PathBuf| Path::is_file(it)).unwrap()
}

#[test]
fn the_first_deployment_of_an_empty_namespace() {
    let Some(cluster) = Cluster::empty("none") else { return };
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(fine, "{text}");
    assert_eq!(cluster.image(), NEW);
    assert!(cluster.has("hpa/mealkit"));
    let drain = yaml(&cluster.read("drain")).remove(0);
    assert_eq!(drain["metadata"]["name"], "mealkit");
    let pod = &drain["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["name"], "mealkit", "the operator names the container after the app");
    let seconds = |value: &serde_json::Value| value.as_u64().expect("seconds");
    assert!(
        seconds(&pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"])
            < seconds(&pod["terminationGracePeriodSeconds"])
    );
    // The database is there before the apps: its pod brings the secrets.
    let applied = cluster.read("applied");
    let at =
        |object: &str| applied.lines().position(|it| it == object).unwrap_or_else(|| panic!("no {object}: {applied}"));
    assert!(
        at("SpinAppExecutor spin") < at("SpinApp mealkit") && at("StatefulSet mealkit-libsql") < at("SpinApp mealkit")
    );
    // What the deployer's role of Azure may not write: the namespace, and whatever is not in one.
    let written =
        applied.lines().filter(|it| !it.contains(' ') || NOT_IN_A_NAMESPACE.iter().any(|kind| it.starts_with(kind)));
    assert_eq!(written.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Kinds of the whole cluster, and the two of a namespace that its admin may not write.
const NOT_IN_A_NAMESPACE: [&str; 8] = [
    "Namespace",
    "ResourceQuota",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolume ",
    "PriorityClass",
    "RuntimeClass",
    "Shim",
];

#[test]
fn without_the_secrets_no_app_is_applied() {
    let Some(cluster) = Cluster::empty("none") else { return };
    cluster.write("no-vault", "");
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(!fine && text.contains("the secrets are not there"), "{text}");
    assert!(!cluster.read("applied").contains("SpinApp mealkit"), "{text}");
}

#[test]
fn what_becomes_ready_stays() {
    let Some(cluster) = Cluster::running(OLD, "none") else { return };
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(fine, "{text}");
    assert_eq!(cluster.image(), NEW);
    assert!(!cluster.read("calls").contains("patch"), "it went back: {text}");
}

/// The Deployment has the image already; that the operator has not looked yet, only the annotation tells.
#[test]
fn the_same_image_with_other_settings_is_waited_for() {
    let Some(cluster) = Cluster::running(OLD, "none") else { return };
    let (fine, text) = cluster.deploy(&format!("{OLD}\n"));
    assert!(fine, "{text}");
    let waited =
        cluster.read("calls").lines().any(|it| it.starts_with("wait") && it.contains("annotations.release}=2"));
    assert!(waited, "{}", cluster.read("calls"));
}

#[test]
fn one_autoscaler_takes_the_place_of_the_other() {
    let Some(cluster) = Cluster::empty("none") else { return };
    for keda in [true, false, true, true] {
        cluster.scale_by_keda(keda);
        let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
        assert!(fine, "KEDA: {keda}: {text}");
        assert_eq!((cluster.has("scaledobject/mealkit"), cluster.has("hpa/mealkit")), (keda, !keda), "{text}");
        assert_eq!(cluster.read("faults"), "", "{text}");
    }
}

#[test]
fn what_does_not_become_ready_is_taken_back() {
    let Some(cluster) = Cluster::running(OLD, NEW) else { return };
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(!fine, "a deployment that failed is a failure: {text}");
    assert_eq!(cluster.image(), OLD, "{text}");
    assert!(text.contains("back to what was there before"), "{text}");
}

#[test]
fn the_first_deployment_has_nothing_to_go_back_to() {
    let Some(cluster) = Cluster::empty(NEW) else { return };
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(!fine && text.contains("nothing to go back to"), "{text}");
}

#[test]
fn without_its_digest_no_image_is_deployed() {
    let Some(cluster) = Cluster::running(OLD, "none") else { return };
    for images in ["ghcr.io/me/mealkit:1.2.3\n", "", "ghcr.io/me/mealkit@sha256:abc\n"] {
        let (fine, text) = cluster.deploy(images);
        assert!(!fine, "{images}: {text}");
        assert!(!cluster.read("calls").contains("apply"), "{images}: {text}");
    }
}
