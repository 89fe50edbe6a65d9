//! `deploy/shim.sh`: a Shim object of a release that is there, with the sums of its files; of another, none.

use deploy_tests::{Objects, root, yaml};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

/// Plays `curl --output FILE URL`: the release 0.26.0 is there, and nothing else is.
const CURL: &str = r#"#!/usr/bin/env bash
while [[ $# -gt 1 ]]; do if [[ $1 == --output ]]; then output=$2; fi; shift; done
[[ $1 == *-shim-spin/releases/download/v0.26.0/* ]] || { echo "curl: (22) The requested URL returned error: 404" >&2; exit 22; }
printf '%s' "$1" | grep -oE '(x86_64|aarch64)' > "$output"
"#;

fn shim(version: &str) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let curl = folder.path().join("curl");
    fs::write(&curl, CURL).unwrap();
    fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(root().join("deploy/shim.sh")).arg(version).env("PATH", path).output().unwrap();
    let [printed, said] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    (output.status.success(), printed, said)
}

#[test]
fn a_release_that_is_there_becomes_a_shim_with_the_sums_of_its_files() {
    for version in ["0.26.0", "v0.26.0"] {
        let (fine, printed, said) = shim(version);
        assert!(fine, "{said}");
        let objects = Objects(yaml(&printed));
        assert_eq!(crate::schemas::wrong(&objects), Vec::<String>::new());
        let spec = &objects.0[0]["spec"];
        let platforms = spec["fetchStrategy"]["platforms"].as_array().unwrap();
        let sums: Vec<_> =
            platforms.iter().map(|it| (it["arch"].as_str().unwrap(), it["sha256"].as_str().unwrap())).collect();
        // printf 'x86_64\n' | sha256sum
        let wanted = [
            ("x86_64", "aaf631698ae5160ceb04a97681a14887fdcab47cd6e0f163c87485b3b1340b62"),
            ("aarch64", "5121ae59314a84da7b4d9587374398f1afa2000b243b3e54f491adefaac54f92"),
        ];
        assert_eq!(sums, wanted);
        assert_eq!(spec["rolloutStrategy"]["type"], "recreate", "the manager knows no other");
        // The executor names the class that it makes.
        let executor = yaml(&deploy_tests::read("deploy/spinkube/base/executor.yaml")).remove(0);
        assert_eq!(spec["runtimeClass"]["name"], executor["spec"]["deploymentConfig"]["runtimeClassName"]);
    }
}

#[test]
fn of_a_release_that_is_not_there_nothing_is_printed() {
    let (fine, printed, said) = shim("0.99.0");
    assert!(!fine && printed.is_empty(), "{printed}");
    assert!(said.contains("there is no shim 0.99.0") && said.contains("components/container"), "{said}");
}
