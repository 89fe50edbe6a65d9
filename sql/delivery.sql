-- delivery: one delivery for each paid order, under the order's id.

CREATE UNIQUE INDEX IF NOT EXISTS delivery_row_delivery ON delivery_row (row ->> 'delivery_id') WHERE kind = 'delivery';
