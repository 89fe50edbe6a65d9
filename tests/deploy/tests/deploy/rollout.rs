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

/// A cluster of one SpinApp, whose image is in the file `image`: what is rendered is real, all else is played. An image
/// that is named in `broken` never becomes ready. Every call is noted in `calls`.
const CLUSTER: &str = r#"#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
if [[ "$1" == kustomize ]]; then exec "$(cat real)" "$@"; fi
shift 2
echo "$*" >> calls
case "$1" in
  get) if [[ "$2" == spinapps && -s image ]]; then echo "mealkit $(cat image)"; fi ;;
  apply)
    given=$(cat)
    grep -oE 'ghcr.io/me/mealkit@sha256:[0-9a-f]{64}' <<<"$given" > image.new && mv image.new image
    if [[ "$*" == *mealkit-drain* ]]; then echo "$given" > drain; fi ;;
  patch) grep -oE 'ghcr.io/me/mealkit@sha256:[0-9a-f]{64}' <<<"$*" > image ;;
  wait) [[ "$*" == *"$(cat image)"* ]] ;;
  rollout) ! grep -qF "$(cat image)" broken ;;
esac
"#;

struct Cluster(tempfile::TempDir);

impl Cluster {
    fn new(runs: &str, broken: &str) -> Option<Self> {
        Tool::kubectl()?;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("kubectl", CLUSTER);
        write("image", runs);
        write("broken", broken);
        write("real", real_kubectl().to_str().unwrap());
        fs::set_permissions(folder.path().join("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
        // The script writes beside what it deploys, so it gets a copy.
        let copied = Command::new("cp").arg("-r").arg(root().join("deploy")).arg(folder.path()).status();
        assert!(copied.unwrap().success());
        Some(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn deploy(&self, images: &str) -> (bool, String) {
        fs::write(self.path("images.txt"), images).unwrap();
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let mut script = Command::new(self.path("deploy/deploy.sh"));
        let output = script.arg("aks").arg(self.path("images.txt")).env("PATH", path).output().unwrap();
        let text = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it)).concat();
        (output.status.success(), text)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default().trim().to_owned()
    }
}

fn real_kubectl() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|it: &PathBuf| Path::is_file(it)).unwrap()
}

#[test]
fn what_becomes_ready_stays() {
    let Some(cluster) = Cluster::new(OLD, "none") else { return };
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(fine, "{text}");
    assert_eq!(cluster.read("image"), NEW);
    assert!(!cluster.read("calls").contains("patch"), "it went back: {text}");
    let drain = yaml(&cluster.read("drain")).remove(0);
    assert_eq!(drain["metadata"]["name"], "mealkit");
    let pod = &drain["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["name"], "mealkit", "the operator names the container after the app");
    let seconds = |value: &serde_json::Value| value.as_u64().expect("seconds");
    assert!(
        seconds(&pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"])
            < seconds(&pod["terminationGracePeriodSeconds"])
    );
}

#[test]
fn what_does_not_become_ready_is_taken_back() {
    let Some(cluster) = Cluster::new(OLD, NEW) else { return };
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(!fine, "a deployment that failed is a failure: {text}");
    assert_eq!(cluster.read("image"), OLD, "{text}");
    assert!(text.contains("back to what was there before"), "{text}");
}

#[test]
fn the_first_deployment_has_nothing_to_go_back_to() {
    let Some(cluster) = Cluster::new("", NEW) else { return };
    let (fine, text) = cluster.deploy(&format!("{NEW}\n"));
    assert!(!fine && text.contains("nothing to go back to"), "{text}");
}

#[test]
fn without_its_digest_no_image_is_deployed() {
    let Some(cluster) = Cluster::new(OLD, "none") else { return };
    for images in ["ghcr.io/me/mealkit:1.2.3\n", "", "ghcr.io/me/mealkit@sha256:abc\n"] {
        let (fine, text) = cluster.deploy(images);
        assert!(!fine, "{images}: {text}");
        assert!(!cluster.read("calls").contains("apply"), "{images}: {text}");
    }
}
