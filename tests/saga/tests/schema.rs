//! A schema that changed is a new version: two versions work side by side while one replaces the other, each with views
//! and triggers of its own (docs/zero-downtime.md).
#![allow(clippy::panic, reason = "tests")]

use saga_tests::{About, contexts};

/// The schemas that were released: context, version, fingerprint.
const RELEASED: [(&str, i64, u64); 6] = [
    ("product", 2, 0x4074_9056_a616_a58a),
    ("order", 2, 0x5482_8ab4_3b90_5282),
    ("payment", 2, 0x44e0_0bec_617c_8ded),
    ("delivery", 2, 0x0d4c_58a2_85fc_0f19),
    ("marketing", 2, 0xcc39_358d_f334_fe78),
    ("customer-center", 2, 0x73c5_71e2_2593_3932),
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
