-- payment: one payment for each order.

CREATE TABLE IF NOT EXISTS payment_payment (
    -- The order is the key: however often it is asked to, an order is charged once.
    order_id        TEXT PRIMARY KEY,
    version         INTEGER NOT NULL,
    -- NULL: the order was closed before it was charged. The row stays, so that a late charge is refused.
    payment_id      TEXT UNIQUE,
    member_id       TEXT NOT NULL,
    product_id      TEXT,
    amount          INTEGER NOT NULL,
    status          TEXT NOT NULL,
    approval_number TEXT,
    -- The last four digits.
    card            TEXT,
    card_owner      TEXT,
    reason          TEXT,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW IF NOT EXISTS payment_row (kind, id, version, row) AS
    SELECT 'payment', order_id, version, json_object(
        'order_id', order_id, 'payment_id', payment_id, 'member_id', member_id, 'product_id', product_id,
        'amount', amount, 'status', status, 'approval_number', approval_number, 'card', card,
        'card_owner', card_owner, 'reason', reason, 'created_at', created_at, 'updated_at', updated_at)
    FROM payment_payment;

CREATE TRIGGER IF NOT EXISTS payment_row_put INSTEAD OF INSERT ON payment_row BEGIN
    INSERT OR REPLACE INTO payment_payment
        SELECT NEW.id, NEW.version, NEW.row ->> 'payment_id', NEW.row ->> 'member_id', NEW.row ->> 'product_id',
               NEW.row ->> 'amount', NEW.row ->> 'status', NEW.row ->> 'approval_number', NEW.row ->> 'card',
               NEW.row ->> 'card_owner', NEW.row ->> 'reason', NEW.row ->> 'created_at', NEW.row ->> 'updated_at';
END;
