-- customer-center: my page, one row for each order. It can be built anew from the log at any time.
--
-- The kernel runs this file twice: for the live pages ({context} is customer_center) and for those that are being built
-- beside them (customer_center_rebuild).

CREATE INDEX IF NOT EXISTS {context}_row_member ON {context}_row (row ->> 'member_id', id) WHERE kind = 'mypage';

-- How often the pages were built anew, and since when that is being done (Unix time, s).
CREATE TABLE IF NOT EXISTS customer_center_generation (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    live     INTEGER NOT NULL,
    begun_at INTEGER
) STRICT;

INSERT INTO customer_center_generation (one, live) VALUES (1, 1) ON CONFLICT DO NOTHING;

-- The two ends of building anew, each one statement. Beginning is refused while another one is under way (after five
-- minutes it counts as dead). Showing takes the cursor and the dead letters along, so that they and the rows belong
-- together at every moment: what happened since then is read next. It is refused while the live pages know more.
CREATE VIEW IF NOT EXISTS customer_center_step_v{version} (step) AS SELECT NULL WHERE 0;

CREATE TRIGGER IF NOT EXISTS customer_center_step_v{version}_taken INSTEAD OF INSERT ON customer_center_step_v{version} BEGIN
    SELECT RAISE(IGNORE) FROM customer_center_generation
        WHERE NEW.step = 'begin' AND abs(unixepoch() - begun_at) < 300;
    SELECT RAISE(IGNORE) FROM consumer AS live, consumer AS rebuilt
        WHERE NEW.step = 'show' AND live.name = 'customer-center' AND rebuilt.name = 'customer-center-rebuild'
            AND rebuilt.position < live.position;

    UPDATE customer_center_generation SET begun_at = unixepoch() WHERE NEW.step = 'begin';

    UPDATE consumer SET position = (SELECT position FROM consumer WHERE name = 'customer-center-rebuild')
        WHERE NEW.step = 'show' AND name = 'customer-center';
    DELETE FROM customer_center_row WHERE NEW.step = 'show';
    INSERT INTO customer_center_row SELECT * FROM customer_center_rebuild_row WHERE NEW.step = 'show';
    DELETE FROM customer_center_dead_letter WHERE NEW.step = 'show';
    INSERT INTO customer_center_dead_letter SELECT * FROM customer_center_rebuild_dead_letter WHERE NEW.step = 'show';
    UPDATE customer_center_generation SET live = live + 1, begun_at = NULL WHERE NEW.step = 'show';

    -- Either way there is nothing half-built left, and whoever builds begins at the log's beginning.
    DELETE FROM customer_center_rebuild_row;
    DELETE FROM customer_center_rebuild_dead_letter;
    DELETE FROM consumer WHERE name = 'customer-center-rebuild';
    INSERT INTO consumer (name, position, consumes)
        SELECT 'customer-center-rebuild', 0, consumes FROM consumer
        WHERE NEW.step = 'begin' AND name = 'customer-center';
END;
