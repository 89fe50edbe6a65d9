-- delivery: one delivery for each paid order.

CREATE TABLE IF NOT EXISTS delivery_delivery (
    order_id    TEXT PRIMARY KEY,
    version     INTEGER NOT NULL,
    -- NULL: the order was cancelled before anything was requested. The row stays, so that nothing will be.
    delivery_id TEXT UNIQUE,
    member_id   TEXT NOT NULL,
    address     TEXT NOT NULL,
    status      TEXT NOT NULL,
    -- Whether the order's kits were taken from the stock: no kit, no delivery.
    stocked     INTEGER NOT NULL CHECK (stocked IN (0, 1)),
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW IF NOT EXISTS delivery_row_v{version} (kind, id, version, row) AS
    SELECT 'delivery', order_id, version, json_object(
        'order_id', order_id, 'delivery_id', delivery_id, 'member_id', member_id, 'address', address,
        'status', status, 'stocked', json(iif(stocked, 'true', 'false')), 'created_at', created_at,
        'updated_at', updated_at)
    FROM delivery_delivery;

CREATE TRIGGER IF NOT EXISTS delivery_row_v{version}_put INSTEAD OF INSERT ON delivery_row_v{version} BEGIN
    INSERT OR REPLACE INTO delivery_delivery
            (order_id, version, delivery_id, member_id, address, status, stocked, created_at, updated_at)
        SELECT NEW.id, NEW.version, NEW.row ->> 'delivery_id', NEW.row ->> 'member_id', NEW.row ->> 'address',
               NEW.row ->> 'status', NEW.row ->> 'stocked', NEW.row ->> 'created_at', NEW.row ->> 'updated_at';
END;
