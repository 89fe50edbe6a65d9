-- The log: the shop's single topic. Every context appends to it, every consumer reads it in the order of `seq`.
-- It is what contexts share, and all that they share.

CREATE TABLE IF NOT EXISTS event (
    -- SQLite has one writer at a time, so `seq` is the order of the commits, and what is read up to `seq` is complete.
    -- AUTOINCREMENT: a number is never given twice, even after old events were archived.
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    source         TEXT NOT NULL,
    type           TEXT NOT NULL,
    -- The order that the event is about (for the catalogue: the product).
    subject        TEXT NOT NULL,
    time           TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id   TEXT NOT NULL,
    traceparent    TEXT NOT NULL,
    data           TEXT NOT NULL CHECK (json_valid(data))
) STRICT;

-- Which version of its type the data has the form of: what was written stays as it was written.
ALTER TABLE event ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- For the condition ("is there an event about this order that the decision has not seen?") and for `/events?order_id=`.
CREATE INDEX IF NOT EXISTS event_subject ON event (subject, seq);

-- What happened, happened.
CREATE TRIGGER IF NOT EXISTS event_is_a_fact BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'an event is never changed');
END;

-- Up to where the log was archived: those events are elsewhere (docs/retention.md). Whoever has not read them yet must not
-- go on as if they had never been.
CREATE TABLE IF NOT EXISTS log_archive (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    archived_to INTEGER NOT NULL
) STRICT;

INSERT INTO log_archive (one, archived_to) VALUES (1, 0) ON CONFLICT DO NOTHING;

CREATE TRIGGER IF NOT EXISTS event_is_kept BEFORE DELETE ON event
    WHEN OLD.seq > (SELECT archived_to FROM log_archive) BEGIN
    SELECT RAISE(ABORT, 'only what is archived is deleted');
END;

-- Who reads the log, and how far each has come: its cursor, which moves only together with the effects of what was read.
CREATE TABLE IF NOT EXISTS consumer (
    name      TEXT PRIMARY KEY,
    position  INTEGER NOT NULL,
    -- The types of the events that its newest build acts on: a JSON array. An older build stops before what it does not know.
    consumes  TEXT NOT NULL,
    -- How often one of its units of work lost its race and was decided again: a figure for operators.
    conflicts INTEGER NOT NULL DEFAULT 0,
    -- Its own bell: up to which event it was rung for, and when that was last done (Unix time, ms).
    rung_to   INTEGER NOT NULL DEFAULT 0,
    rung_at   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
