-- order: the orders, and the context's own copy of the catalogue.

CREATE TABLE IF NOT EXISTS order_order (
    order_id     TEXT PRIMARY KEY,
    version      INTEGER NOT NULL,
    member_id    TEXT NOT NULL,
    seller_id    TEXT NOT NULL,
    product_id   TEXT NOT NULL,
    product_name TEXT NOT NULL,
    quantity     INTEGER NOT NULL,
    unit_price   INTEGER NOT NULL,
    amount       INTEGER NOT NULL,
    address      TEXT NOT NULL,
    status       TEXT NOT NULL,
    reason       TEXT,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A member's orders, newest first.
CREATE INDEX IF NOT EXISTS order_order_member ON order_order (member_id, order_id);

-- The few orders that wait for their payment, which is what the catch-up looks at; and how many there are of each status.
CREATE INDEX IF NOT EXISTS order_order_status ON order_order (status, created_at);
DROP INDEX IF EXISTS order_order_pending;

-- What can be ordered, as product told it by events. Price and name of an order come from here.
CREATE TABLE IF NOT EXISTS order_kit (
    product_id TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    seller_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    price      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW IF NOT EXISTS order_row_v{version} (kind, id, version, row) AS
    SELECT 'order', order_id, version, json_object(
        'order_id', order_id, 'member_id', member_id, 'seller_id', seller_id, 'product_id', product_id,
        'product_name', product_name, 'quantity', quantity, 'unit_price', unit_price, 'amount', amount,
        'address', address, 'status', status, 'reason', reason, 'created_at', created_at, 'updated_at', updated_at)
    FROM order_order
    UNION ALL
    SELECT 'kit', product_id, version, json_object(
        'product_id', product_id, 'seller_id', seller_id, 'name', name, 'price', price)
    FROM order_kit;

CREATE TRIGGER IF NOT EXISTS order_row_v{version}_put INSTEAD OF INSERT ON order_row_v{version} BEGIN
    INSERT OR REPLACE INTO order_order
            (order_id, version, member_id, seller_id, product_id, product_name, quantity, unit_price, amount,
             address, status, reason, created_at, updated_at)
        SELECT NEW.id, NEW.version, NEW.row ->> 'member_id', NEW.row ->> 'seller_id', NEW.row ->> 'product_id',
               NEW.row ->> 'product_name', NEW.row ->> 'quantity', NEW.row ->> 'unit_price', NEW.row ->> 'amount',
               NEW.row ->> 'address', NEW.row ->> 'status', NEW.row ->> 'reason', NEW.row ->> 'created_at',
               NEW.row ->> 'updated_at'
        WHERE NEW.kind = 'order';
    INSERT OR REPLACE INTO order_kit
            (product_id, version, seller_id, name, price)
        SELECT NEW.id, NEW.version, NEW.row ->> 'seller_id', NEW.row ->> 'name', NEW.row ->> 'price'
        WHERE NEW.kind = 'kit';
END;
