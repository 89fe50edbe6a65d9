-- payment: one payment for each order, under the order's id: however often it is asked to, an order is charged once.

CREATE UNIQUE INDEX IF NOT EXISTS payment_row_payment ON payment_row (row ->> 'payment_id') WHERE kind = 'payment';

-- The few payments that the gateway is still to be told of: what the catch-up looks at.
CREATE INDEX IF NOT EXISTS payment_row_cancel_due ON payment_row (id) WHERE kind = 'payment' AND row ->> 'cancel_due';

-- A member's payments, the newest order's first.
CREATE INDEX IF NOT EXISTS payment_row_member ON payment_row (row ->> 'member_id', id) WHERE kind = 'payment';
