-- What every context has: a cursor, its idempotency keys, and its unit of work.
-- The kernel runs this file once for each context, with {context} replaced by its name and {watched} by the types of
-- the events that it consumes or appends.
--
-- The context's own file brings `{context}_row`: a view (kind, id, version, row) of its tables with `row` as JSON, and
-- an INSTEAD OF trigger that writes such a row back. It is how rows are loaded, compared and stored.

-- How far the context has read the log. It moves only together with the effects of what was read.
CREATE TABLE IF NOT EXISTS {context}_cursor (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL
) STRICT;

INSERT INTO {context}_cursor (one, position) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- Which POST made what. `request` is the body as understood, so that the same key with another body is noticed;
-- `answer` is what was answered, once it was.
CREATE TABLE IF NOT EXISTS {context}_idempotency (
    key     TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    subject TEXT NOT NULL,
    answer  TEXT
) STRICT, WITHOUT ROWID;

-- The unit of work: one row inserted here is checked, and then all of it happens or nothing.
--   unit         which of the statement's units it is; RETURNING it tells the caller that it was committed
--   subject, seen                a command's condition: the order, and the last event that the decision knew of
--   from_position, to_position   a policy's cursor: where it expects to stand, and where it will stand
--   keys         [{key, request, subject, replaces}]: the idempotency key that the command came with
--   rows         [{kind, id, version, row}]: the new rows; `version` is one more than the one that was decided on
--   events       what happened
CREATE VIEW IF NOT EXISTS {context}_commit (unit, subject, seen, from_position, to_position, keys, rows, events) AS
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE 0;

CREATE TRIGGER IF NOT EXISTS {context}_commit_unit INSTEAD OF INSERT ON {context}_commit BEGIN
    -- The condition: no event about the subject that the decision has not seen.
    SELECT RAISE(IGNORE) FROM event
        WHERE subject = NEW.subject AND seq > NEW.seen AND type IN ({watched}) LIMIT 1;

    -- The cursor: another instance was faster, or the unit before this one was skipped.
    SELECT RAISE(IGNORE) FROM {context}_cursor WHERE position <> NEW.from_position;

    -- The rows: each has still the version that was decided on.
    SELECT RAISE(IGNORE) FROM json_each(NEW.rows) AS new
        WHERE new.value ->> 'version' <> 1 + coalesce(
            (SELECT version FROM {context}_row WHERE id = new.value ->> 'id' AND kind = new.value ->> 'kind'), 0)
        LIMIT 1;

    -- The idempotency key: nobody else used it meanwhile.
    SELECT RAISE(IGNORE) FROM json_each(NEW.keys) AS new
        JOIN {context}_idempotency AS old ON old.key = new.value ->> 'key'
        WHERE old.subject IS NOT new.value ->> 'replaces' LIMIT 1;

    UPDATE {context}_cursor SET position = NEW.to_position WHERE NEW.to_position IS NOT NULL;

    INSERT OR REPLACE INTO {context}_idempotency (key, request, subject)
        SELECT value ->> 'key', value ->> 'request', value ->> 'subject' FROM json_each(NEW.keys);

    INSERT INTO {context}_row (kind, id, version, row)
        SELECT value ->> 'kind', value ->> 'id', value ->> 'version', value -> 'row' FROM json_each(NEW.rows);

    INSERT INTO event (id, source, type, subject, time, correlation_id, causation_id, traceparent, data)
        SELECT value ->> 'id', value ->> 'source', value ->> 'type', value ->> 'subject', value ->> 'time',
               value ->> 'correlation_id', value ->> 'causation_id', value ->> 'traceparent', value -> 'data'
        FROM json_each(NEW.events);
END;
