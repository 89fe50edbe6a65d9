-- product: the kits with their stock, and what each order took of it (takings, under the order's id), so that an order gives
-- back that and no more, and only once.

-- The last line of defence: whatever the code above it does, the stock never goes below zero, and nothing is free.
CREATE TRIGGER IF NOT EXISTS product_row_check BEFORE INSERT ON product_row
    WHEN NEW.kind = 'product' AND (NEW.row ->> 'stock' < 0 OR NEW.row ->> 'price' < 1) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: a kit has a price, and no negative stock');
END;
