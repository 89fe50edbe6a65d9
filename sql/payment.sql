-- payment: one payment for each order.

CREATE TABLE IF NOT EXISTS payment_payment (
    -- The order is the key: however often it is asked to, an order is charged once.
    order_id        TEXT PRIMARY KEY,
    version         INTEGER NOT NULL,
    -- NULL: the order was closed before it was to be charged. The row stays, so that a late charge is refused.
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

-- JSON: what is to be charged, until it is known what the gateway said.
ALTER TABLE payment_payment ADD COLUMN intent TEXT;

-- 1: the gateway is still to be told that the order is not charged or gets its money back.
ALTER TABLE payment_payment ADD COLUMN cancel_due INTEGER NOT NULL DEFAULT 0;

-- The few payments of which something is left to be done at the gateway: what the catch-up looks at.
CREATE INDEX IF NOT EXISTS payment_payment_requested ON payment_payment (order_id) WHERE status = 'requested';
CREATE INDEX IF NOT EXISTS payment_payment_cancel_due ON payment_payment (order_id) WHERE cancel_due = 1;

CREATE VIEW IF NOT EXISTS payment_row_v{version} (kind, id, version, row) AS
    SELECT 'payment', order_id, version, json_object(
        'order_id', order_id, 'payment_id', payment_id, 'member_id', member_id, 'product_id', product_id,
        'amount', amount, 'status', status, 'approval_number', approval_number, 'card', card,
        'card_owner', card_owner, 'reason', reason, 'intent', json(intent),
        'cancel_due', json(iif(cancel_due, 'true', 'false')), 'created_at', created_at, 'updated_at', updated_at)
    FROM payment_payment;

CREATE TRIGGER IF NOT EXISTS payment_row_v{version}_put INSTEAD OF INSERT ON payment_row_v{version} BEGIN
    INSERT OR REPLACE INTO payment_payment
            (order_id, version, payment_id, member_id, product_id, amount, status, approval_number, card,
             card_owner, reason, intent, cancel_due, created_at, updated_at)
        SELECT NEW.id, NEW.version, NEW.row ->> 'payment_id', NEW.row ->> 'member_id', NEW.row ->> 'product_id',
               NEW.row ->> 'amount', NEW.row ->> 'status', NEW.row ->> 'approval_number', NEW.row ->> 'card',
               NEW.row ->> 'card_owner', NEW.row ->> 'reason', NEW.row ->> 'intent', NEW.row ->> 'cancel_due',
               NEW.row ->> 'created_at', NEW.row ->> 'updated_at';
END;
