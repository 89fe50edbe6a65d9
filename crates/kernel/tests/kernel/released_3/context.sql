-- What every context has: its rows, its idempotency keys, its dead letters, and its unit of work.
-- The kernel runs this file once for each context, with {context} replaced by its name in SQL, {name} by its name, {version}
-- by the version of its schema, {consumes} by the types of the events that it reads, as a JSON array, and {watched} by
-- those that it reads or appends, as a list.
--
-- Tables stay and grow; the unit of work belongs to a version, so that two versions of a context can work side by side
-- while one replaces the other (docs/zero-downtime.md).

-- The newest build says what it acts on. (One that is slow to say so does not speak for a newer one.)
INSERT INTO consumer (name, position, consumes) VALUES ('{name}', 0, '{consumes}')
    ON CONFLICT (name) DO UPDATE SET consumes = excluded.consumes
    WHERE {version} >= (SELECT version FROM schema_version WHERE name = '{context}');

-- Its state, as what it is: entities in JSON. `version` counts an entity's changes.
-- The context's own file brings the indexes by which lists are read, and the checks that are the last line of defence.
CREATE TABLE IF NOT EXISTS {context}_row (
    id      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    version INTEGER NOT NULL,
    row     TEXT NOT NULL CHECK (json_valid(row)),
    PRIMARY KEY (id, kind)
) STRICT, WITHOUT ROWID;

-- Which POST made what. `request` is the body as understood, so that the same key with another body is noticed.
CREATE TABLE IF NOT EXISTS {context}_idempotency (
    key     TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Kept by versions before 3; now the answer is told again from the log.
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
--   from_position, to_position   a batch of events that was read: where the context expects to stand, and where it will stand
--   conflicts    how often it was tried before
--   keys         [{key, request, subject, replaces}]: the idempotency key that the command came with
--   letters      [{seq, version, subject, type, status, tries, error, reason, due_at, at}]: dead letters as they are now
--   rows         [{kind, id, was, version, row}]: the new rows, and the version that was decided on (0: there was none)
--   events       what happened
CREATE VIEW IF NOT EXISTS {context}_commit_v{version}
    (unit, subject, seen, from_position, to_position, conflicts, keys, letters, rows, events) AS
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE 0;

CREATE TRIGGER IF NOT EXISTS {context}_commit_v{version}_unit INSTEAD OF INSERT ON {context}_commit_v{version} BEGIN
    -- The condition: no event about the subject that the decision has not seen.
    SELECT RAISE(IGNORE) FROM event
        WHERE subject = NEW.subject AND seq > NEW.seen AND type IN ({watched}) LIMIT 1;

    -- Nor one that was parked: whoever decides now does not know it.
    SELECT RAISE(IGNORE) FROM {context}_dead_letter
        WHERE subject = NEW.subject AND status IN ('retrying', 'dead', 'waiting') LIMIT 1;

    -- The cursor: another instance was faster.
    SELECT RAISE(IGNORE) FROM consumer WHERE name = '{name}' AND position <> NEW.from_position;

    -- Nor does it move over an event that a newer build would act on and this one does not know.
    SELECT RAISE(IGNORE) FROM consumer JOIN event
        ON seq > NEW.from_position AND seq <= NEW.to_position AND type IN (SELECT value FROM json_each(consumes))
        WHERE name = '{name}' AND consumes <> '{consumes}'
            AND type NOT IN (SELECT value FROM json_each('{consumes}')) LIMIT 1;

    -- The rows: each has still the version that was decided on.
    SELECT RAISE(IGNORE) FROM json_each(NEW.rows) AS new
        WHERE new.value ->> 'was' <> coalesce((SELECT version FROM {context}_row
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

    UPDATE consumer
        SET position = coalesce(NEW.to_position, position), conflicts = conflicts + coalesce(NEW.conflicts, 0)
        WHERE name = '{name}' AND (NEW.to_position IS NOT NULL OR NEW.conflicts > 0);

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

    INSERT INTO {context}_row (id, kind, version, row)
        SELECT value ->> 'id', value ->> 'kind', value ->> 'version', value -> 'row' FROM json_each(NEW.rows) WHERE true
        ON CONFLICT (id, kind) DO UPDATE SET version = excluded.version, row = excluded.row;

    INSERT INTO event (id, source, type, version, subject, time, correlation_id, causation_id, traceparent, data)
        SELECT value ->> 'id', value ->> 'source', value ->> 'type', value ->> 'version', value ->> 'subject',
               value ->> 'time', value ->> 'correlation_id', value ->> 'causation_id', value ->> 'traceparent',
               value -> 'data'
        FROM json_each(NEW.events);
END;
