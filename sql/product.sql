-- product: the kits with their stock, and what each order took of it.

CREATE TABLE IF NOT EXISTS product_product (
    product_id  TEXT PRIMARY KEY,
    version     INTEGER NOT NULL,
    seller_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    price       INTEGER NOT NULL CHECK (price > 0),
    -- The last line of defence: whatever the code above it does, the stock never goes below zero.
    stock       INTEGER NOT NULL CHECK (stock >= 0),
    image_url   TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What an order took, so that it gives back that and no more, and only once.
CREATE TABLE IF NOT EXISTS product_taking (
    order_id   TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    quantity   INTEGER NOT NULL,
    restored   INTEGER NOT NULL CHECK (restored IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE VIEW IF NOT EXISTS product_row_v{version} (kind, id, version, row) AS
    SELECT 'product', product_id, version, json_object(
        'product_id', product_id, 'seller_id', seller_id, 'name', name, 'description', description, 'price', price,
        'stock', stock, 'image_url', image_url, 'created_at', created_at, 'updated_at', updated_at)
    FROM product_product
    UNION ALL
    SELECT 'taking', order_id, version, json_object(
        'order_id', order_id, 'product_id', product_id, 'quantity', quantity,
        'restored', json(iif(restored, 'true', 'false')))
    FROM product_taking;

CREATE TRIGGER IF NOT EXISTS product_row_v{version}_put INSTEAD OF INSERT ON product_row_v{version} BEGIN
    INSERT OR REPLACE INTO product_product
            (product_id, version, seller_id, name, description, price, stock, image_url, created_at, updated_at)
        SELECT NEW.id, NEW.version, NEW.row ->> 'seller_id', NEW.row ->> 'name', NEW.row ->> 'description',
               NEW.row ->> 'price', NEW.row ->> 'stock', NEW.row ->> 'image_url', NEW.row ->> 'created_at',
               NEW.row ->> 'updated_at'
        WHERE NEW.kind = 'product';
    INSERT OR REPLACE INTO product_taking
            (order_id, version, product_id, quantity, restored)
        SELECT NEW.id, NEW.version, NEW.row ->> 'product_id', NEW.row ->> 'quantity', NEW.row ->> 'restored'
        WHERE NEW.kind = 'taking';
END;
