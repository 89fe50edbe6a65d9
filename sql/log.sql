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

-- Who made it happen: a kind of actor, and which one (the CloudEvents extension "Auth Context").
ALTER TABLE event ADD COLUMN authtype TEXT;
ALTER TABLE event ADD COLUMN authid TEXT;

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

-- With what contexts sign their calls to each other: the newest key signs, each one verifies. Whoever belongs to the shop
-- can read it.
CREATE TABLE IF NOT EXISTS shop_key (
    id  INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL
) STRICT;

INSERT INTO shop_key (key) SELECT lower(hex(randomblob(32))) WHERE NOT EXISTS (SELECT 1 FROM shop_key);

-- The keys that sign tokens, the roles of members and the ends of their sessions: who is whom is asked of the log at every
-- request, so none of that is ever archived. It is little.
CREATE TRIGGER IF NOT EXISTS event_of_member_is_kept BEFORE DELETE ON event WHEN OLD.source = '/mealkit/member' BEGIN
    SELECT RAISE(IGNORE);
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
