//! The interfaces of Spin, generated from their WIT (`host/wit`).
#![allow(clippy::all, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "mealkit:host/host",
    imports: {
        // Making its stream may fail, and it has no error to say so with.
        "spin:key-value/key-value.[method]store.get-keys": async | store | trappable,
        // A test can ask for a trap there.
        "spin:sqlite/sqlite.[method]connection.execute": async | trappable,
        "spin:sqlite/sqlite.[method]connection.execute-async": async | store | trappable,
        default: async,
    },
    exports: { default: async },
    with: {
        "spin:key-value/key-value.store": crate::key_value::Store,
        "spin:redis/redis.connection": crate::redis::Connection,
        "spin:sqlite/sqlite.connection": crate::sqlite::Connection,
    },
});
