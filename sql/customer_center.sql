-- customer-center: my page, one row for each order. It can be built anew from the log at any time.

CREATE TABLE IF NOT EXISTS customer_center_mypage (
    order_id        TEXT PRIMARY KEY,
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
    updated_at      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS customer_center_mypage_member ON customer_center_mypage (member_id, order_id);

CREATE VIEW IF NOT EXISTS customer_center_row (kind, id, version, row) AS
    SELECT 'mypage', order_id, version, json_object(
        'order_id', order_id, 'member_id', member_id, 'product_id', product_id, 'product_name', product_name,
        'quantity', quantity, 'amount', amount, 'address', address, 'card', card, 'order_status', order_status,
        'payment_status', payment_status, 'delivery_status', delivery_status, 'timeline', json(timeline),
        'updated_at', updated_at)
    FROM customer_center_mypage;

CREATE TRIGGER IF NOT EXISTS customer_center_row_put INSTEAD OF INSERT ON customer_center_row BEGIN
    INSERT OR REPLACE INTO customer_center_mypage
        SELECT NEW.id, NEW.version, NEW.row ->> 'member_id', NEW.row ->> 'product_id', NEW.row ->> 'product_name',
               NEW.row ->> 'quantity', NEW.row ->> 'amount', NEW.row ->> 'address', NEW.row ->> 'card',
               NEW.row ->> 'order_status', NEW.row ->> 'payment_status', NEW.row ->> 'delivery_status',
               NEW.row ->> 'timeline', NEW.row ->> 'updated_at';
END;
