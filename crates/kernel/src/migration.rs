//! Components migrate themselves: every statement may run again, so it does not matter how many start at once, nor
//! where one of them breaks off.
//!
//! A version works beside the one before it (expand, migrate, contract: docs/zero-downtime.md): tables only grow, views
//! and triggers belong to their version, and those of the version before the last are dropped.

use crate::{
    database,
    error::Error,
    log_line::{self, Level},
    platform::{Platform, PlatformError, Value},
};
use serde_json::json;

/// Which version the tables of a context have; the oldest one that still works on them; and the one to which they are
/// being brought at the moment.
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (\
    name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID";
const OLDEST: &str = "ALTER TABLE schema_version ADD COLUMN oldest INTEGER";
const MIGRATING: &str = "ALTER TABLE schema_version ADD COLUMN migrating_to INTEGER";

/// The oldest version of tables that are brought to the newest one in place.
const OLDEST_KNOWN: i64 = 3;

/// Brings the tables of `name` to `version` by running the SQL files, unless they are there already: then, which is at
/// every start of an instance but the first, they are not even made.
///
/// # Errors
/// When the database has a version beside which this one does not work any more, or a statement fails.
pub(crate) async fn migrate<const N: usize>(
    platform: &dyn Platform,
    name: &str,
    version: i64,
    files: impl FnOnce() -> [String; N],
) -> Result<(), Error> {
    let (found, oldest) = match version_of(platform, name).await {
        Ok(found) => found,
        // A new database: even the table of versions is missing.
        Err(PlatformError::Schema(_)) => {
            prepare(platform, name).await?;
            version_of(platform, name).await?
        }
        Err(error) => return Err(error.into()),
    };
    if oldest > version {
        return Err(Error::NewerSchema { name: name.to_owned(), found, known: version });
    }
    if found >= version {
        return Ok(());
    }
    // One that has no version yet is made from the ground up.
    if (1..OLDEST_KNOWN).contains(&found) {
        return Err(Error::OlderSchema { name: name.to_owned(), found, oldest: OLDEST_KNOWN });
    }
    let begin = "INSERT INTO schema_version (name, version, oldest, migrating_to) VALUES (?1, 0, 0, ?2) \
        ON CONFLICT (name) DO UPDATE SET migrating_to = excluded.migrating_to WHERE version < excluded.migrating_to";
    database::query(platform, begin, vec![name.into(), version.into()]).await?;
    for statement in files().iter().flat_map(|file| statements(file)) {
        run(platform, &statement).await?;
    }
    drop_views(platform, name, version).await?;
    // Last: whoever sees the version finds everything that belongs to it.
    let done = "UPDATE schema_version SET version = max(version, ?2), oldest = max(coalesce(oldest, 0), ?2 - 1), \
        migrating_to = NULL WHERE name = ?1";
    database::query(platform, done, vec![name.into(), version.into()]).await?;
    log_line::write(Level::Info, name, "migrated", json!({"from": found, "to": version}));
    Ok(())
}

/// What is being migrated at the moment, with the version to which it is brought.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn under_way(platform: &dyn Platform) -> Result<Vec<(String, i64)>, PlatformError> {
    let sql = "SELECT name, migrating_to FROM schema_version WHERE migrating_to IS NOT NULL";
    let rows = database::query(platform, sql, vec![]).await?;
    Ok(rows.iter().filter_map(|row| Some((row.first()?.text()?.to_owned(), row.get(1)?.integer()?))).collect())
}

/// Runs a statement. A column that is there already was added by somebody else, or before we broke off.
async fn run(platform: &dyn Platform, statement: &str) -> Result<(), PlatformError> {
    match database::query(platform, statement, vec![]).await {
        Err(PlatformError::Failed(message)) if message.contains("duplicate column name") => Ok(()),
        done => done.map(|_| ()),
    }
}

/// Drops the views that nobody uses any more: those of versions that do not work beside this one. They are called
/// `{name}_{word}_v{version}`; another name that begins with this one is somebody else's.
async fn drop_views(platform: &dyn Platform, name: &str, version: i64) -> Result<(), PlatformError> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'view' AND name GLOB ? || '_*_v[0-9]*'";
    for row in database::query(platform, sql, vec![name.into()]).await? {
        let view = row.first().and_then(Value::text).unwrap_or_default();
        let own =
            view.strip_prefix(name).and_then(|rest| rest.strip_prefix('_')).and_then(|rest| rest.split_once("_v"));
        let of = own.filter(|(word, _)| !word.contains('_')).and_then(|(_, of)| of.parse::<i64>().ok());
        if of.is_some_and(|of| of < version - 1) {
            database::query(platform, &format!("DROP VIEW IF EXISTS {view}"), vec![]).await?;
        }
    }
    Ok(())
}

/// The version that the tables have, and the oldest one that works on them.
async fn version_of(platform: &dyn Platform, name: &str) -> Result<(i64, i64), PlatformError> {
    let sql = "SELECT version, coalesce(oldest, version) FROM schema_version WHERE name = ?";
    let rows = database::query(platform, sql, vec![name.into()]).await?;
    let integer = |index: usize| rows.first().and_then(|row| row.get(index)).and_then(Value::integer).unwrap_or(0);
    Ok((integer(0), integer(1)))
}

/// What has to be there before anything else.
async fn prepare(platform: &dyn Platform, name: &str) -> Result<(), PlatformError> {
    // Readers and the writer do not wait for each other in WAL mode. It sticks in the file. Where the database has no
    // such mode (libSQL over the network, in memory) the shop is as correct, so a refusal is only worth a line.
    if let Err(error) = database::query(platform, "PRAGMA journal_mode = WAL", vec![]).await {
        log_line::write(Level::Warn, name, "no write-ahead log", json!({"error": error.to_string()}));
    }
    // The column that `version_of` reads comes last: whoever finds it finds all.
    for statement in [VERSIONS, MIGRATING, OLDEST] {
        run(platform, statement).await?;
    }
    Ok(())
}

/// The statements of a file, since Spin runs only the first one of a string. A statement ends with a `;` at the end of
/// a line, a trigger with `END;` on a line of its own.
fn statements(file: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    for line in file.lines() {
        if statement.is_empty() && (line.is_empty() || line.starts_with("--")) {
            continue;
        }
        statement.push_str(line);
        statement.push('\n');
        let ends = if statement.starts_with("CREATE TRIGGER") { line == "END;" } else { line.ends_with(';') };
        if ends {
            statements.push(std::mem::take(&mut statement));
        }
    }
    if !statement.is_empty() {
        statements.push(statement);
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_trigger_is_one_statement() {
        let file = "-- why\n\nCREATE TABLE t (\n    a -- b;c\n);\n\nCREATE TRIGGER x INSTEAD OF INSERT ON t BEGIN\n    \
            SELECT 1;\n    SELECT 2;\nEND;\nSELECT 3;\n";
        let found = statements(file);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|s| s.contains("SELECT 1") && s.ends_with("END;\n")));
    }
}
