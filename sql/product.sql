-- product: the kits with their stock, and what each order took of it (takings, under the order's id), so that an order gives
-- back that and no more, and only once.

-- The last line of defence: whatever the code above it does, the stock never goes below zero, and nothing is free.
CREATE TRIGGER IF NOT EXISTS product_row_check BEFORE INSERT ON product_row
    WHEN NEW.kind = 'product' AND (NEW.row ->> 'stock' < 0 OR NEW.row ->> 'price' < 1) BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: a kit has a price, and no negative stock');
END;

-- What kits are found by (docs/decisions/0027-the-index-of-the-search.md): each kit's text, numbered in the order in which the
-- kits were registered. A kit has none as long as nothing has made it its text, or put it in here.
CREATE TABLE IF NOT EXISTS product_text (
    n    INTEGER PRIMARY KEY,
    id   TEXT NOT NULL UNIQUE,
    text TEXT
) STRICT;

CREATE INDEX IF NOT EXISTS product_text_lacking ON product_text (n) WHERE text IS NULL;

-- Which texts have which three characters in a row, by number. Behind each text stands the same once more, with a mark (127)
-- before, between and behind its characters: so two in a row, or one, are three there, too.
CREATE VIRTUAL TABLE IF NOT EXISTS product_trigram USING fts5 (
    text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1');

-- (In parts, since to find a character SQLite counts from the beginning.)
CREATE TRIGGER IF NOT EXISTS product_text_found AFTER UPDATE OF text ON product_text BEGIN
    DELETE FROM product_trigram WHERE rowid = NEW.n;
    INSERT INTO product_trigram (rowid, text)
        SELECT NEW.n, NEW.text || char(127) || (
            WITH RECURSIVE place (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM place WHERE i < 100),
                part (text, rest) AS (
                    SELECT substr(NEW.text, 1, 100), substr(NEW.text, 101)
                    UNION ALL SELECT substr(rest, 1, 100), substr(rest, 101) FROM part WHERE rest <> '')
            SELECT group_concat(substr(text, i, 1), char(127)) FROM part CROSS JOIN place WHERE i <= length(text)
        ) || char(127)
        WHERE NEW.text IS NOT NULL;
END;

CREATE TRIGGER IF NOT EXISTS product_row_registered AFTER INSERT ON product_row WHEN NEW.kind = 'product' BEGIN
    INSERT INTO product_text (id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    UPDATE product_text SET text = NEW.row ->> 'search' WHERE id = NEW.id;
END;

CREATE TRIGGER IF NOT EXISTS product_row_modified AFTER UPDATE OF row ON product_row WHEN NEW.kind = 'product' BEGIN
    UPDATE product_text SET text = NEW.row ->> 'search' WHERE id = NEW.id AND text IS NOT NEW.row ->> 'search';
END;

-- The kits of the version before, which a search gives their texts.
INSERT INTO product_text (id) SELECT id FROM product_row WHERE kind = 'product' ORDER BY id ON CONFLICT DO NOTHING;
