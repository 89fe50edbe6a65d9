CREATE TABLE IF NOT EXISTS tally_tally (
    order_id TEXT PRIMARY KEY, version INTEGER NOT NULL, taken INTEGER NOT NULL CHECK (taken < 1000), closed INTEGER
) STRICT, WITHOUT ROWID;

CREATE VIEW IF NOT EXISTS tally_row_v{version} (kind, id, version, row) AS
    SELECT 'tally', order_id, version, json_object(
        'order_id', order_id, 'taken', taken, 'closed', json(iif(closed, 'true', 'false')))
    FROM tally_tally;

CREATE TRIGGER IF NOT EXISTS tally_row_v{version}_put INSTEAD OF INSERT ON tally_row_v{version} BEGIN
    INSERT OR REPLACE INTO tally_tally (order_id, version, taken, closed)
        SELECT NEW.id, NEW.version, NEW.row ->> 'taken', NEW.row ->> 'closed';
END;
