-- member: accounts, the addresses by which they are found (as hashes), sessions, services, and the keys of it all.

-- How often somebody tried to sign in, so that guessing takes long and does not keep the shop busy.
--   id        an account, an address, or all of them
--   failures  of an account: since it last signed in
--   free_at   until when nobody is let in (Unix time, ms); of addresses: by when all that was asked for would have been in turn
CREATE TABLE IF NOT EXISTS member_attempt (
    id       TEXT PRIMARY KEY,
    failures INTEGER NOT NULL DEFAULT 0,
    free_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS member_attempt_free ON member_attempt (free_at);

CREATE INDEX IF NOT EXISTS member_row_service ON member_row (id) WHERE kind = 'service';
