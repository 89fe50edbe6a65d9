-- delivery: one delivery for each paid order, under the order's id.

CREATE UNIQUE INDEX IF NOT EXISTS delivery_row_delivery ON delivery_row (row ->> 'delivery_id') WHERE kind = 'delivery';

-- Whose they are: of whoever gets them, and of whoever brings them.
CREATE INDEX IF NOT EXISTS delivery_row_member ON delivery_row (row ->> 'member_id', id) WHERE kind = 'delivery';
CREATE INDEX IF NOT EXISTS delivery_row_courier ON delivery_row (row ->> 'courier_id', id) WHERE kind = 'delivery';
