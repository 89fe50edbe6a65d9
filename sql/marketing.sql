-- marketing: who was told what. A notification is kept under the id of the event that it tells of: nobody is told twice of
-- the same.

CREATE UNIQUE INDEX IF NOT EXISTS marketing_row_notification ON marketing_row (row ->> 'notification_id')
    WHERE kind = 'notification';

CREATE INDEX IF NOT EXISTS marketing_row_order ON marketing_row (row ->> 'order_id', row ->> 'notification_id')
    WHERE kind = 'notification';

CREATE INDEX IF NOT EXISTS marketing_row_recipient ON marketing_row (row ->> '$.recipient.id', row ->> 'notification_id')
    WHERE kind = 'notification';
