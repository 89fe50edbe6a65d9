//! A schema that changed is a new version: two versions work side by side while one replaces the other, each with views
//! and triggers of its own (docs/zero-downtime.md).
#![allow(clippy::panic, reason = "tests")]

use saga_tests::{About, contexts};

/// The schemas that were released: context, version, fingerprint.
const RELEASED: [(&str, i64, u64); 6] = [
    ("product", 3, 0x2a0f_6fba_8499_4947),
    ("order", 3, 0x03f8_18e8_7b61_a25a),
    ("payment", 3, 0x7134_49ad_386e_fa9f),
    ("delivery", 3, 0xf6df_2741_4c4e_977e),
    ("marketing", 3, 0xa230_f733_8d3e_cd66),
    ("customer-center", 3, 0x722c_2c03_bcba_165f),
];

/// FNV-1a, 64 bits (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>), of what is no comment.
fn fingerprint(sql: &[String]) -> u64 {
    let lines = sql.iter().flat_map(|file| file.lines()).map(str::trim).filter(|line| !line.starts_with("--"));
    lines
        .flat_map(str::bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn a_schema_that_changed_has_a_version_of_its_own() {
    let contexts = contexts();
    let names: Vec<_> = contexts.iter().map(|it| it.name).collect();
    assert_eq!(names, RELEASED.map(|(name, _, _)| name), "RELEASED has them all, in the order of the shop");
    for (About { name, schema_version: version, schema, .. }, released) in contexts.into_iter().zip(RELEASED) {
        let found = fingerprint(&schema);
        assert_eq!(
            (name, version, found),
            released,
            "\nthe SQL of {name}, or the types of its events, changed since version {} was released, whose triggers stand in \
             running databases. Give {name} the next `SCHEMA_VERSION` in its policy.rs, and write ({name:?}, {version}, \
             {found:#018x}) with that version into RELEASED here. docs/zero-downtime.md says what may change.",
            released.1
        );
    }
}
