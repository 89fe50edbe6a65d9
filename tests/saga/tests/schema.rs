//! A schema that changed is a new version: two versions work side by side while one replaces the other, each with views
//! and triggers of its own (docs/zero-downtime.md).
#![allow(clippy::unwrap_used, reason = "tests")]

use saga_tests::{About, contexts};
use std::{env, fs, path::Path};

/// Set it to write the schemas of new versions down.
const NEW: &str = "NEW_GOLDEN";

/// FNV-1a, 64 bits (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>), of what is no comment.
fn fingerprint(sql: &[String]) -> u64 {
    let lines = sql.iter().flat_map(|file| file.lines()).map(str::trim).filter(|line| !line.starts_with("--"));
    lines
        .flat_map(str::bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn a_schema_that_changed_has_a_version_of_its_own() {
    // What was released: context, version, fingerprint.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/schemas.txt");
    let released = fs::read_to_string(&path).unwrap();
    let mut today = String::new();
    for About { name, schema_version: version, schema, .. } in contexts() {
        let line = format!("{name} {version} {:#018x}\n", fingerprint(&schema));
        let of_name = |line: &str| line.split(' ').next() == Some(name);
        if let Some(before) = released.lines().find(|line| of_name(line)) {
            let before_version: i64 = before.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(
                version > before_version || line.trim_end() == before,
                "\nthe SQL of {name}, or the types of its events, changed since version {before_version} was released, whose \
                 triggers stand in running databases. Give {name} the next `SCHEMA_VERSION`, beside its `NAME`. \
                 docs/zero-downtime.md says what may change."
            );
        }
        today += &line;
    }
    if env::var_os(NEW).is_some() {
        return fs::write(path, today).unwrap();
    }
    assert_eq!(today, released, "write new versions down with `{NEW}=1 cargo test -p saga-tests --test schema`");
}
