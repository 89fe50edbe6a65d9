-- customer-center: my page, one row for each order. It can be built anew from the log at any time.
--
-- The kernel runs this file twice: for the live pages ({context} is customer_center) and for the ones that are being
-- built beside them (customer_center_rebuild). Both are in one table, told apart by their generation.

CREATE TABLE IF NOT EXISTS customer_center_generation (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    live     INTEGER NOT NULL,
    -- Since when the next one is being built (Unix time, s).
    begun_at INTEGER
) STRICT;

INSERT INTO customer_center_generation (one, live) VALUES (1, 1) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS customer_center_mypage (
    generation      INTEGER NOT NULL,
    order_id        TEXT NOT NULL,
    version         INTEGER NOT NULL,
    member_id       TEXT NOT NULL,
    product_id      TEXT NOT NULL,
    product_name    TEXT NOT NULL,
    quantity        INTEGER NOT NULL,
    amount          INTEGER NOT NULL,
    address         TEXT NOT NULL,
    card            TEXT,
    order_status    TEXT NOT NULL,
    payment_status  TEXT,
    delivery_status TEXT,
    timeline        TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    PRIMARY KEY (generation, order_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS customer_center_mypage_member ON customer_center_mypage (generation, member_id, order_id);

CREATE VIEW IF NOT EXISTS {context}_row_v{version} (kind, id, version, row) AS
    SELECT 'mypage', order_id, version, json_object(
        'order_id', order_id, 'member_id', member_id, 'product_id', product_id, 'product_name', product_name,
        'quantity', quantity, 'amount', amount, 'address', address, 'card', card, 'order_status', order_status,
        'payment_status', payment_status, 'delivery_status', delivery_status, 'timeline', json(timeline),
        'updated_at', updated_at)
    FROM customer_center_mypage
    WHERE generation = (SELECT live + ('{context}' = 'customer_center_rebuild') FROM customer_center_generation);

CREATE TRIGGER IF NOT EXISTS {context}_row_v{version}_put INSTEAD OF INSERT ON {context}_row_v{version} BEGIN
    INSERT OR REPLACE INTO customer_center_mypage
            (generation, order_id, version, member_id, product_id, product_name, quantity, amount, address,
             card, order_status, payment_status, delivery_status, timeline, updated_at)
        SELECT live + ('{context}' = 'customer_center_rebuild'), NEW.id, NEW.version, NEW.row ->> 'member_id',
               NEW.row ->> 'product_id', NEW.row ->> 'product_name', NEW.row ->> 'quantity', NEW.row ->> 'amount',
               NEW.row ->> 'address', NEW.row ->> 'card', NEW.row ->> 'order_status', NEW.row ->> 'payment_status',
               NEW.row ->> 'delivery_status', NEW.row ->> 'timeline', NEW.row ->> 'updated_at'
        FROM customer_center_generation;
END;

-- The two ends of building anew, each one statement. Beginning is refused while another one is under way (after five
-- minutes it counts as dead). Showing takes the cursor and the dead letters along, so that they and the rows belong
-- together at every moment: what happened since then is read next. It is refused while the live pages know more.
CREATE VIEW IF NOT EXISTS customer_center_step_v{version} (step) AS SELECT NULL WHERE 0;

CREATE TRIGGER IF NOT EXISTS customer_center_step_v{version}_taken INSTEAD OF INSERT ON customer_center_step_v{version} BEGIN
    SELECT RAISE(IGNORE) FROM customer_center_generation
        WHERE NEW.step = 'begin' AND abs(unixepoch() - begun_at) < 300;
    SELECT RAISE(IGNORE) FROM customer_center_cursor AS live, customer_center_rebuild_cursor AS rebuilt
        WHERE NEW.step = 'show' AND rebuilt.position < live.position;

    UPDATE customer_center_generation SET begun_at = unixepoch() WHERE NEW.step = 'begin';
    UPDATE customer_center_cursor SET position = (SELECT position FROM customer_center_rebuild_cursor)
        WHERE NEW.step = 'show';
    DELETE FROM customer_center_dead_letter WHERE NEW.step = 'show';
    INSERT INTO customer_center_dead_letter SELECT * FROM customer_center_rebuild_dead_letter WHERE NEW.step = 'show';
    UPDATE customer_center_generation SET live = live + 1, begun_at = NULL WHERE NEW.step = 'show';

    -- Either way there is no half-built generation left.
    DELETE FROM customer_center_mypage WHERE generation <> (SELECT live FROM customer_center_generation);
    DELETE FROM customer_center_rebuild_dead_letter;
    UPDATE customer_center_rebuild_cursor SET position = 0;
END;
