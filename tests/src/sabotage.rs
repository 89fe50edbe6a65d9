//! A test that cannot fail is none: this breaks the shop, to see that a test would notice.

use crate::Shop;
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

impl Shop {
    /// Takes the condition out of a context's unit of work (`sql/context.sql`): from now on it commits whatever it decided,
    /// though the log may hold events by now that it has not seen.
    pub fn remove_condition(&self, context: &str) {
        let removed = self.change_unit_of_work(context, "-- The condition", "");
        assert!(removed.contains("RAISE(IGNORE)") && removed.contains("NEW.seen"), "another: {removed}");
    }

    /// Takes the cursor out of a context's unit of work: from now on it is moved after the effects, in a statement of its
    /// own, a few milliseconds later.
    pub fn move_cursor_apart(&self, context: &str) -> Mover {
        self.sql(&format!("CREATE TABLE {context}_cursor_later (one INTEGER PRIMARY KEY, position INTEGER NOT NULL)"));
        let later = format!(
            "INSERT OR REPLACE INTO {context}_cursor_later SELECT 1, NEW.to_position WHERE NEW.to_position IS NOT NULL;"
        );
        let removed = self.change_unit_of_work(context, "UPDATE consumer", &later);
        assert!(removed.contains("NEW.to_position"), "another: {removed}");
        Mover::start(self, context)
    }

    /// Appends an event about an order to the log that nobody in the shop would write. Returns its place in the log.
    pub fn poison(&self, order_id: &str, kind: &str, data: &str) -> i64 {
        let sql = "INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data) \
            SELECT ?1, source, ?2, subject, time, correlation_id, id, traceparent, ?3 FROM event \
            WHERE subject = ?4 AND type = 'OrderPlaced' RETURNING seq";
        let id = uuid::Uuid::now_v7().to_string();
        open(self).query_row(sql, [&id, kind, data, order_id], |row| row.get(0)).expect("a place in the log")
    }

    /// From now on the database refuses what a context is to write into the row of an order.
    pub fn refuse_rows(&self, context: &str, order_id: &str) {
        self.sql(&format!(
            "CREATE TRIGGER {context}_refused BEFORE INSERT ON {context}_row WHEN NEW.id = '{order_id}' BEGIN
                SELECT RAISE(ABORT, 'refused by the test');
            END"
        ));
    }

    /// And now it takes it again.
    pub fn accept_rows(&self, context: &str) {
        self.sql(&format!("DROP TRIGGER {context}_refused"));
    }

    /// Replaces a statement of a context's unit of work, from here to its semicolon. Returns what it was.
    fn change_unit_of_work(&self, context: &str, start: &str, by: &str) -> String {
        // Its name carries the version of the context's tables.
        let (trigger, sql): (String, String) = open(self)
            .query_row(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB ? || '_commit_v[0-9]*_unit'",
                [context],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .expect("the unit of work: a component makes it when it is first asked");
        let start = sql.find(start).expect("the start of the statement");
        let end = start + sql[start..].find(';').expect("the end of the statement") + 1;
        let broken = format!("{}{by}{}", &sql[..start], &sql[end..]);
        self.sql(&format!("BEGIN IMMEDIATE; DROP TRIGGER {trigger}; {broken}; COMMIT;"));
        sql[start..end].to_owned()
    }

    /// Runs statements on the shop's SQLite file.
    fn sql(&self, statements: &str) {
        open(self).execute_batch(statements).unwrap_or_else(|error| panic!("{error}: {statements}"));
    }
}

/// Moves a cursor to where the effects have got to meanwhile, until it is dropped.
pub struct Mover {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    fn start(shop: &Shop, context: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (database, context, end) = (shop.database(), context.to_owned(), ended.clone());
        let thread = thread::spawn(move || {
            let to = format!("(SELECT position FROM {context}_cursor_later)");
            let sql = format!(
                "UPDATE consumer SET position = {to} WHERE name = '{}' AND position < {to}",
                context.replace('_', "-")
            );
            while !end.load(Ordering::SeqCst) {
                // It may be locked, read-only or full, as for everybody; then later.
                let moved = Connection::open(&database).and_then(|database| database.execute_batch(&sql));
                drop(moved);
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(shop: &Shop) -> Connection {
    let database = Connection::open(shop.database()).expect("the shop's SQLite file");
    database.busy_timeout(Duration::from_secs(10)).expect("a time-out");
    database
}
