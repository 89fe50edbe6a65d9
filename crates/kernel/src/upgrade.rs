//! The way from schema version 2 to 3, in which a context's tables became one table of rows, and all cursors one table.
//!
//! Both versions work side by side while one replaces the other: what one writes is written for the other in the same
//! transaction, by triggers, and each sees the other's positions. The views of version 2 know how its tables and the JSON
//! of a row belong together. A database that version 3 made has none of this; the next version drops it with this file.

use crate::{
    database,
    error::Error,
    platform::{Platform, Value},
};

/// What is left to do in a database that had version 2, after the tables of version 3 were made. Every statement may run
/// again.
///
/// # Errors
/// When the database cannot be read or written.
pub(crate) async fn from_2(platform: &dyn Platform, context: &str) -> Result<(), Error> {
    if texts(platform, "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?", &format!("{context}_cursor"))
        .await?
        .is_empty()
    {
        return Ok(());
    }
    let name = context.replace('_', "-");
    let mut statements = vec![
        format!(
            "CREATE TRIGGER IF NOT EXISTS {context}_cursor_upgrade AFTER UPDATE OF position ON {context}_cursor BEGIN \
             UPDATE consumer SET position = NEW.position WHERE name = '{name}' AND position <> NEW.position; END"
        ),
        format!(
            "UPDATE consumer SET position = (SELECT position FROM {context}_cursor), \
             conflicts = (SELECT conflicts FROM {context}_cursor) \
             WHERE name = '{name}' AND position < (SELECT position FROM {context}_cursor)"
        ),
        // Whoever goes on with a batch of version 2 finds that somebody else has been there.
        format!(
            "CREATE TRIGGER IF NOT EXISTS {context}_cursor_downgrade AFTER UPDATE OF position ON consumer \
             WHEN NEW.name = '{name}' BEGIN \
             UPDATE {context}_cursor SET position = NEW.position, batch = NULL WHERE position <> NEW.position; END"
        ),
    ];
    // `order_kit` held the rows of the kind `kit`, by its primary key.
    let tables = "SELECT name FROM sqlite_master AS it WHERE type = 'table' AND name GLOB ? || '_*' AND EXISTS \
        (SELECT 1 FROM pragma_table_info(it.name) WHERE name = 'version') AND NOT EXISTS \
        (SELECT 1 FROM pragma_table_info(it.name) WHERE name IN ('seq', 'kind'))";
    for table in texts(platform, tables, context).await? {
        let kind = table.strip_prefix(context).and_then(|kind| kind.strip_prefix('_')).unwrap_or_default();
        let key =
            texts(platform, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk DESC", &table).await?;
        let (Some(key), false) = (key.first(), kind.contains('_')) else { continue };
        let copy = |condition: &str| {
            format!(
                "INSERT INTO {context}_row (id, kind, version, row) SELECT id, kind, version, row \
                 FROM {context}_row_v2 AS old WHERE kind = '{kind}' AND {condition} \
                 ON CONFLICT (id, kind) DO UPDATE SET version = excluded.version, row = excluded.row"
            )
        };
        let known = format!("(SELECT version FROM {context}_row AS new WHERE new.id = old.id AND new.kind = old.kind)");
        statements.push(format!(
            "CREATE TRIGGER IF NOT EXISTS {table}_upgrade AFTER INSERT ON {table} BEGIN {}; END",
            copy(&format!("id = NEW.{key} AND version IS NOT {known}"))
        ));
        statements.push(copy(&format!("version > coalesce({known}, 0)")));
        // (The conflict clause of the statement that fires a trigger rules within it, too: nothing would be replaced there.)
        for event in ["INSERT", "UPDATE"] {
            statements.push(format!(
                "CREATE TRIGGER IF NOT EXISTS {table}_downgrade_{event} AFTER {event} ON {context}_row \
                 WHEN NEW.kind = '{kind}' AND NEW.version IS NOT \
                 (SELECT version FROM {context}_row_v2 WHERE kind = '{kind}' AND id = NEW.id) BEGIN \
                 DELETE FROM {table} WHERE {key} = NEW.id; \
                 INSERT INTO {context}_row_v2 (kind, id, version, row) VALUES ('{kind}', NEW.id, NEW.version, NEW.row); \
                 END"
            ));
        }
    }
    // Version 2 does not build my pages anew beside version 3: it would know only its own.
    statements.push(format!("DROP VIEW IF EXISTS {context}_step_v2"));
    for statement in statements {
        database::query(platform, &statement, vec![]).await?;
    }
    Ok(())
}

async fn texts(platform: &dyn Platform, sql: &str, parameter: &str) -> Result<Vec<String>, Error> {
    let rows = database::query(platform, sql, vec![parameter.into()]).await?;
    Ok(rows.iter().filter_map(|row| row.first().and_then(Value::text)).map(str::to_owned).collect())
}
