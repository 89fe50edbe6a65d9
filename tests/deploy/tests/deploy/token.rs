//! `deploy/libsql-token.sh`: the token is one that the key verifies.

use deploy_tests::{Tool, root};
use std::{fs, path::Path, process::Command};

fn verifies(folder: &Path, key: &str, openssl: &Tool) -> bool {
    let path = |name: &str| folder.join(name).display().to_string();
    let token = fs::read_to_string(path("libsql-token")).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    fs::write(path("signed"), signed).unwrap();
    // openssl reads base64 with its padding, and in its own alphabet.
    let padded =
        format!("{}{}", signature.replace('-', "+").replace('_', "/"), "=".repeat((4 - signature.len() % 4) % 4));
    fs::write(path("base64"), padded).unwrap();
    assert!(openssl.run(["base64", "-d", "-A", "-in", &path("base64"), "-out", &path("signature")]).status.success());
    let verify = [
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        key,
        "-in",
        &path("signed"),
        "-sigfile",
        &path("signature"),
    ];
    openssl.run(verify).status.success()
}

#[test]
fn the_key_verifies_the_token_and_no_other_does() {
    let Some(openssl) = Tool::openssl() else { return };
    let [one, other] = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new(root().join("deploy/libsql-token.sh")).arg(folder.path()).status();
        assert!(status.unwrap().success());
        folder
    });
    let key = |folder: &tempfile::TempDir| folder.path().join("libsql-public-key").display().to_string();
    assert!(verifies(one.path(), &key(&one), &openssl));
    assert!(!verifies(one.path(), &key(&other), &openssl), "any key verifies it");
    let token = fs::read_to_string(one.path().join("libsql-token")).unwrap();
    assert!(
        token.starts_with("eyJ") && token.split('.').count() == 3 && !token.contains(['=', '\n', '+', '/']),
        "{token}"
    );
}
