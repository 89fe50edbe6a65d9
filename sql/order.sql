-- order: the orders, and the context's own copy of the catalogue (kits), from which an order's name and price come.

-- A member's orders, newest first.
CREATE INDEX IF NOT EXISTS order_row_member ON order_row (row ->> 'member_id', id) WHERE kind = 'order';

-- A seller's, of which these are to be prepared.
CREATE INDEX IF NOT EXISTS order_row_seller ON order_row (row ->> 'seller_id', id) WHERE kind = 'order';

-- The few orders that wait for their payment, which is what the catch-up looks at; and how many there are of each status.
CREATE INDEX IF NOT EXISTS order_row_status ON order_row (row ->> 'status', row ->> 'created_at') WHERE kind = 'order';
