-- What every context has: a cursor, its idempotency keys, its dead letters, and its unit of work.
-- The kernel runs this file once for each context, with {context} replaced by its name, {version} by the version of its
-- schema, and {watched} by the types of the events that it consumes or appends.
--
-- The context's own file brings `{context}_row_v{version}`: a view (kind, id, version, row) of its tables with `row` as
-- JSON, and an INSTEAD OF trigger that writes such a row back. It is how rows are loaded, compared and stored.
--
-- Tables stay and grow; views and triggers belong to a version, so that two versions of a context can work side by side
-- while one replaces the other (docs/zero-downtime.md).

-- How far the context has read the log. It moves only together with the effects of what was read.
CREATE TABLE IF NOT EXISTS {context}_cursor (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL
) STRICT;

INSERT INTO {context}_cursor (one, position) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- The batch of units that moved it last: whoever comes second may not go on where another batch has left off.
ALTER TABLE {context}_cursor ADD COLUMN batch TEXT;

-- How often a unit of work lost its race and was decided again: a figure for operators.
ALTER TABLE {context}_cursor ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0;

-- Which POST made what. `request` is the body as understood, so that the same key with another body is noticed;
-- `answer` is what was answered, once it was.
CREATE TABLE IF NOT EXISTS {context}_idempotency (
    key     TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    subject TEXT NOT NULL,
    answer  TEXT
) STRICT, WITHOUT ROWID;

-- Events that could not be worked off, and later ones about the same subject, which wait behind them: the line goes on, and
-- the events of an order keep their order.
--   status   retrying: it is tried again when it is due; dead: tried too often, somebody has to look at it;
--            waiting: an earlier event about the subject comes first; resolved, discarded: closed
CREATE TABLE IF NOT EXISTS {context}_dead_letter (
    seq        INTEGER PRIMARY KEY,
    version    INTEGER NOT NULL,
    subject    TEXT NOT NULL,
    type       TEXT NOT NULL,
    status     TEXT NOT NULL,
    tries      INTEGER NOT NULL,
    error      TEXT,
    -- Why it was discarded.
    reason     TEXT,
    -- Unix time, ms; only while it is retrying.
    due_at     INTEGER,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS {context}_dead_letter_open ON {context}_dead_letter (subject, seq)
    WHERE status IN ('retrying', 'dead', 'waiting');
CREATE INDEX IF NOT EXISTS {context}_dead_letter_due ON {context}_dead_letter (due_at) WHERE due_at IS NOT NULL;

-- The unit of work: one row inserted here is checked, and then all of it happens or nothing.
--   unit         which of the statement's units it is; RETURNING it tells the caller that it was committed
--   subject, seen                a command's condition: the order, and the last event that the decision knew of
--   from_position, to_position   a policy's cursor: where it expects to stand, and where it will stand
--   batch, follows   the units that were decided on top of each other; whether this one follows another of them
--   conflicts    how often it was tried before
--   keys         [{key, request, subject, replaces}]: the idempotency key that the command came with
--   letters      [{seq, version, subject, type, status, tries, error, reason, due_at, at}]: dead letters as they are now
--   rows         [{kind, id, version, row}]: the new rows; `version` is one more than the one that was decided on
--   events       what happened
CREATE VIEW IF NOT EXISTS {context}_commit_v{version}
    (unit, subject, seen, from_position, to_position, batch, follows, conflicts, keys, letters, rows, events) AS
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE 0;

CREATE TRIGGER IF NOT EXISTS {context}_commit_v{version}_unit INSTEAD OF INSERT ON {context}_commit_v{version} BEGIN
    -- The condition: no event about the subject that the decision has not seen.
    SELECT RAISE(IGNORE) FROM event
        WHERE subject = NEW.subject AND seq > NEW.seen AND type IN ({watched}) LIMIT 1;

    -- Nor one that was parked: whoever decides now does not know it.
    SELECT RAISE(IGNORE) FROM {context}_dead_letter
        WHERE subject = NEW.subject AND status IN ('retrying', 'dead', 'waiting') LIMIT 1;

    -- The cursor: another instance was faster, or the unit before this one was skipped.
    SELECT RAISE(IGNORE) FROM {context}_cursor
        WHERE position <> NEW.from_position OR NEW.follows AND batch IS NOT NEW.batch;

    -- The rows: each has still the version that was decided on.
    SELECT RAISE(IGNORE) FROM json_each(NEW.rows) AS new
        WHERE new.value ->> 'version' <> 1 + coalesce((SELECT version FROM {context}_row_v{version}
            WHERE id = new.value ->> 'id' AND kind = new.value ->> 'kind'), 0)
        LIMIT 1;

    -- The letters, too; and whoever is to wait has somebody to wait for.
    SELECT RAISE(IGNORE) FROM json_each(NEW.letters) AS new
        WHERE new.value ->> 'version' <> 1 + coalesce((SELECT version FROM {context}_dead_letter
                WHERE seq = new.value ->> 'seq'), 0)
            OR new.value ->> 'status' = 'waiting' AND NOT EXISTS (SELECT 1 FROM {context}_dead_letter
                WHERE subject = new.value ->> 'subject' AND status IN ('retrying', 'dead', 'waiting')
                    AND seq < new.value ->> 'seq')
        LIMIT 1;

    -- The idempotency key: nobody else used it meanwhile.
    SELECT RAISE(IGNORE) FROM json_each(NEW.keys) AS new
        JOIN {context}_idempotency AS old ON old.key = new.value ->> 'key'
        WHERE old.subject IS NOT new.value ->> 'replaces' LIMIT 1;

    UPDATE {context}_cursor
        SET position = coalesce(NEW.to_position, position), batch = iif(NEW.to_position IS NULL, batch, NEW.batch),
            conflicts = conflicts + coalesce(NEW.conflicts, 0)
        WHERE NEW.to_position IS NOT NULL OR NEW.conflicts > 0;

    INSERT OR REPLACE INTO {context}_idempotency (key, request, subject)
        SELECT value ->> 'key', value ->> 'request', value ->> 'subject' FROM json_each(NEW.keys);

    INSERT INTO {context}_dead_letter
            (seq, version, subject, type, status, tries, error, reason, due_at, created_at, updated_at)
        SELECT value ->> 'seq', value ->> 'version', value ->> 'subject', value ->> 'type', value ->> 'status',
               value ->> 'tries', value ->> 'error', value ->> 'reason', value ->> 'due_at', value ->> 'at',
               value ->> 'at'
        FROM json_each(NEW.letters) WHERE true
        ON CONFLICT (seq) DO UPDATE SET version = excluded.version, status = excluded.status, tries = excluded.tries,
            error = excluded.error, reason = excluded.reason, due_at = excluded.due_at,
            updated_at = excluded.updated_at;

    -- Whoever waited for a letter that is closed now is next.
    UPDATE {context}_dead_letter SET version = version + 1, status = 'retrying', due_at = 0
        WHERE status = 'waiting' AND seq IN (
            SELECT (SELECT min(seq) FROM {context}_dead_letter
                WHERE subject = closed.value ->> 'subject' AND status IN ('retrying', 'dead', 'waiting'))
            FROM json_each(NEW.letters) AS closed WHERE closed.value ->> 'status' IN ('resolved', 'discarded'));

    INSERT INTO {context}_row_v{version} (kind, id, version, row)
        SELECT value ->> 'kind', value ->> 'id', value ->> 'version', value -> 'row' FROM json_each(NEW.rows);

    INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data)
        SELECT value ->> 'id', value ->> 'source', value ->> 'type', value ->> 'subject', value ->> 'time',
               value ->> 'correlation_id', value ->> 'causation_id', value ->> 'traceparent', value -> 'data'
        FROM json_each(NEW.events);
END;
