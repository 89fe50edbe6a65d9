//! The workflows of GitHub Actions, and the other files that only a tool can judge.

use deploy_tests::{Tool, files, read, strings, yaml};
use serde_json::Value;
use std::{fs, path::Path};

fn lint(tool: &Tool, path: &Path) -> (bool, String) {
    let output = tool.run([path.to_str().unwrap()]);
    let text = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it)).concat();
    (output.status.success(), text)
}

#[test]
fn workflows_are_workflows() {
    let Some(tool) = Tool::actionlint() else { return };
    let all = files(".github/workflows", ".yml");
    assert!(all.len() >= 3, "{all:?}");
    for path in all {
        let (fine, text) = lint(&tool, &path);
        assert!(fine, "{text}");
    }
    let broken = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    fs::write(broken.path(), read(".github/workflows/ci.yml").replace("${{ github.ref }}", "${{ github.reference }}"))
        .unwrap();
    let (fine, text) = lint(&tool, broken.path());
    assert!(!fine && text.contains("reference"), "a misspelt context goes unnoticed: {text}");
}

/// What a workflow may not leave out, in sentences.
fn careless(text: &str) -> Vec<String> {
    let workflow = yaml(text).remove(0);
    let mut complaints = vec![];
    if !workflow["permissions"].is_object() {
        complaints.push("without `permissions` at the top a job may write".to_owned());
    }
    if workflow["concurrency"].is_null() {
        complaints.push("two runs may get in each other's way: no `concurrency`".to_owned());
    }
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        if job["timeout-minutes"].is_null() && job["uses"].is_null() {
            complaints.push(format!("{name} may hang: no `timeout-minutes`"));
        }
    }
    for action in strings(&workflow, "uses").into_iter().filter_map(Value::as_str).filter(|it| !it.starts_with("./")) {
        let hash = action.split_once('@').map(|(_, hash)| hash).unwrap_or_default();
        if hash.len() != 40 || !hash.chars().all(|c| c.is_ascii_hexdigit()) {
            complaints.push(format!("{action} may be another one tomorrow"));
        }
    }
    for line in text.lines().filter(|line| line.contains("secrets.") && !line.trim_start().starts_with('#')) {
        if !line.contains("secrets.GITHUB_TOKEN") {
            complaints.push(format!("a secret that lasts: {}", line.trim()));
        }
    }
    complaints
}

#[test]
fn workflows_are_careful() {
    for path in files(".github/workflows", ".yml") {
        assert_eq!(careless(&fs::read_to_string(&path).unwrap()), Vec::<String>::new(), "{}", path.display());
    }
    let bad = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: a/b@v1\n      - run: echo ${{ secrets.PASSWORD }}\n";
    assert_eq!(careless(bad).len(), 5, "{:?}", careless(bad));
}

/// No file of nginx that nginx would not take. (Its tests start one from such a file.)
#[test]
fn configurations_of_nginx_are_taken() {
    let Some(tool) = Tool::nginx() else { return };
    let taken = |path: &str| tool.run(["-t", "-q", "-c", path, "-g", "error_log stderr;"]).status.success();
    for path in files(".", "nginx.conf") {
        assert!(taken(path.to_str().unwrap()), "{}", path.display());
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "events {}\nhttp { server { listen 127.0.0.1:1; } }\n").unwrap();
    assert!(taken(file.path().to_str().unwrap()));
    fs::write(file.path(), "events {}\nhttp { sever {} }\n").unwrap();
    assert!(!taken(file.path().to_str().unwrap()), "a misspelt directive goes unnoticed");
}
