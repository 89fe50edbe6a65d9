-- marketing: who was told what.

CREATE TABLE IF NOT EXISTS marketing_notification (
    -- The event that it tells of: nobody is told twice of the same.
    cause_id        TEXT PRIMARY KEY,
    version         INTEGER NOT NULL,
    notification_id TEXT NOT NULL UNIQUE,
    order_id        TEXT NOT NULL,
    recipient_kind  TEXT NOT NULL,
    recipient_id    TEXT NOT NULL,
    event_type      TEXT NOT NULL,
    message         TEXT NOT NULL,
    status          TEXT NOT NULL,
    created_at      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS marketing_notification_order ON marketing_notification (order_id, notification_id);

CREATE INDEX IF NOT EXISTS marketing_notification_recipient ON marketing_notification (recipient_id, notification_id);

CREATE VIEW IF NOT EXISTS marketing_row_v{version} (kind, id, version, row) AS
    SELECT 'notification', cause_id, version, json_object(
        'cause_id', cause_id, 'notification_id', notification_id, 'order_id', order_id,
        'recipient', json_object('kind', recipient_kind, 'id', recipient_id), 'event_type', event_type,
        'message', message, 'status', status, 'created_at', created_at)
    FROM marketing_notification;

CREATE TRIGGER IF NOT EXISTS marketing_row_v{version}_put INSTEAD OF INSERT ON marketing_row_v{version} BEGIN
    INSERT OR REPLACE INTO marketing_notification
            (cause_id, version, notification_id, order_id, recipient_kind, recipient_id, event_type, message,
             status, created_at)
        SELECT NEW.id, NEW.version, NEW.row ->> 'notification_id', NEW.row ->> 'order_id',
               NEW.row ->> '$.recipient.kind', NEW.row ->> '$.recipient.id', NEW.row ->> 'event_type',
               NEW.row ->> 'message', NEW.row ->> 'status', NEW.row ->> 'created_at';
END;
