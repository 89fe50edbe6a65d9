//! Components migrate themselves: every statement may run again, so it does not matter how many start at once.

use crate::{
    database::{self, DatabaseError},
    kernel::Error,
    log_line::{self, Level},
    platform::{Platform, Value},
};
use serde_json::json;

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (\
    name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID";

/// Brings the tables of `name` to `version` by running the SQL files, unless they are there already.
///
/// # Errors
/// When the database has a newer version, or a statement fails.
pub(crate) async fn migrate(platform: &dyn Platform, name: &str, version: i64, files: &[String]) -> Result<(), Error> {
    let found = match version_of(platform, name).await {
        Ok(found) => found,
        // A new database: even the table of versions is missing.
        Err(DatabaseError::Failed(_)) => {
            prepare(platform, name).await?;
            version_of(platform, name).await?
        }
        Err(error) => return Err(error.into()),
    };
    if found > version {
        return Err(Error::NewerSchema { name: name.to_owned(), found, known: version });
    }
    if found == version {
        return Ok(());
    }
    for statement in files.iter().flat_map(|file| statements(file)) {
        database::query(platform, &statement, vec![]).await?;
    }
    // Last: whoever sees the version finds everything that belongs to it.
    let done = "INSERT INTO schema_version (name, version) VALUES (?, ?) \
        ON CONFLICT (name) DO UPDATE SET version = max(version, excluded.version)";
    database::query(platform, done, vec![name.into(), version.into()]).await?;
    log_line::write(Level::Info, name, "migrated", json!({"from": found, "to": version}));
    Ok(())
}

async fn version_of(platform: &dyn Platform, name: &str) -> Result<i64, DatabaseError> {
    let sql = "SELECT version FROM schema_version WHERE name = ?";
    let rows = database::query(platform, sql, vec![name.into()]).await?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Value::integer).unwrap_or(0))
}

/// What has to be there before anything else.
async fn prepare(platform: &dyn Platform, name: &str) -> Result<(), DatabaseError> {
    // Readers and the writer do not wait for each other in WAL mode. It sticks in the file. Where the database has no
    // such mode (libSQL over the network, in memory) the shop is as correct, so a refusal is only worth a line.
    if let Err(error) = database::query(platform, "PRAGMA journal_mode = WAL", vec![]).await {
        log_line::write(Level::Warn, name, "no write-ahead log", json!({"error": error.to_string()}));
    }
    database::query(platform, VERSIONS, vec![]).await?;
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
