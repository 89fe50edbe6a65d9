//! A test that cannot fail is none: this breaks the shop, to see that a test would notice.

use crate::Shop;
use rusqlite::Connection;
use std::time::Duration;

impl Shop {
    /// Takes the condition out of a context's unit of work (`sql/context.sql`): from now on it commits whatever it decided,
    /// though the log may hold events by now that it has not seen.
    pub fn remove_condition(&self, context: &str) {
        let database = Connection::open(self.database()).expect("the shop's SQLite file");
        database.busy_timeout(Duration::from_secs(10)).expect("a time-out");
        let trigger_of =
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name GLOB ? || '_commit_v*'";
        let (trigger, sql): (String, String) = database
            .query_row(trigger_of, [context], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("the unit of work: a component makes it when it is first asked");
        let start = sql.find("-- The condition").expect("the comment above the condition");
        let end = start + sql[start..].find(';').expect("the end of the condition") + 1;
        let condition = &sql[start..end];
        assert!(condition.contains("RAISE(IGNORE)") && condition.contains("NEW.seen"), "another: {condition}");
        let broken = format!("{}{}", &sql[..start], &sql[end..]);
        let replace = format!("BEGIN IMMEDIATE; DROP TRIGGER {trigger}; {broken}; COMMIT;");
        database.execute_batch(&replace).expect("the unit of work without its condition");
    }
}
