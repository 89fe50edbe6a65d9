-- loyalty: the points of each member.

CREATE TABLE IF NOT EXISTS loyalty_account (
    member_id TEXT PRIMARY KEY,
    version   INTEGER NOT NULL,
    orders    INTEGER NOT NULL,
    points    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW IF NOT EXISTS {context}_row_v{version} (kind, id, version, row) AS
    SELECT 'account', member_id, version, json_object('member_id', member_id, 'orders', orders, 'points', points)
    FROM loyalty_account;

CREATE TRIGGER IF NOT EXISTS {context}_row_v{version}_put INSTEAD OF INSERT ON {context}_row_v{version} BEGIN
    INSERT OR REPLACE INTO loyalty_account
        SELECT NEW.id, NEW.version, NEW.row ->> 'orders', NEW.row ->> 'points';
END;
