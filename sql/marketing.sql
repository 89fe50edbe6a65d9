-- marketing: who was told what. A notification is kept under the id of the event that it tells of: nobody is told twice of
-- the same.

CREATE UNIQUE INDEX IF NOT EXISTS marketing_row_notification ON marketing_row (row ->> 'notification_id')
    WHERE kind = 'notification';

CREATE INDEX IF NOT EXISTS marketing_row_order ON marketing_row (row ->> 'order_id', row ->> 'notification_id')
    WHERE kind = 'notification';

CREATE INDEX IF NOT EXISTS marketing_row_recipient ON marketing_row (row ->> '$.recipient.id', row ->> 'notification_id')
    WHERE kind = 'notification';

-- Who somebody is, and as what: `member:hana` is not `seller:hana`. (The version before reads by the one above, which the next
-- version drops.)
CREATE INDEX IF NOT EXISTS marketing_row_told
    ON marketing_row ((row ->> '$.recipient.kind' || ':' || (row ->> '$.recipient.id')), row ->> 'notification_id')
    WHERE kind = 'notification';
