-- Version 1 of the tables. Times are microseconds since 1970-01-01T00:00:00Z; the view at the end shows them as text.

CREATE TABLE idempotency_meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- `fence`: no fence up to this one is ever issued again, so that fences outlive the records that are removed.
-- `settled`: every record of a fence up to this one is in the indexes.
INSERT INTO idempotency_meta VALUES ('schema', 1), ('fence', 0), ('settled', 0);

CREATE TABLE idempotency_namespaces (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE idempotency_records (
    fence INTEGER PRIMARY KEY,
    namespace_id INTEGER NOT NULL REFERENCES idempotency_namespaces (id),
    key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('in_progress', 'completed', 'failed', 'in_doubt')),
    latch TEXT CHECK (latch IN ('armed', 'dispatched')), -- NULL: the effect may have happened at any moment
    signal_id TEXT,
    action_type TEXT,
    target TEXT,
    fingerprint BLOB, -- the SHA-256 of the canonical params; NULL: any params match
    owner TEXT, -- host:pid of the newest claim
    owner_process TEXT, -- tells that process from any other that ever had its pid
    attempts INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    lease_until INTEGER, -- of a record in progress
    executed_at INTEGER, -- of a finished record
    expires_at INTEGER NOT NULL,
    result ANY, -- of a completed record: JSON as text; a codec's bytes as a BLOB; NULL: it could not be stored
    error TEXT, -- what left it in doubt, or the text of the exception that is its answer
    error_type TEXT, -- of a failed record: module.qualname of that exception
    error_args TEXT, -- of a failed record: its args as JSON
    params TEXT,
    context TEXT,
    settled INTEGER NOT NULL DEFAULT 1, -- 0: one of the newest, which the indexes below do not have yet
    UNIQUE (key, namespace_id)
) STRICT;

-- Each index is a page to write at every commit. So records are put into them many at a time, a moment later: see `settled`.
CREATE INDEX idempotency_by_state ON idempotency_records (namespace_id, state, expires_at) WHERE settled = 1;
CREATE INDEX idempotency_by_name ON idempotency_records (namespace_id, action_type, target) WHERE settled = 1;
CREATE INDEX idempotency_by_end ON idempotency_records (namespace_id, executed_at)
    WHERE settled = 1 AND executed_at IS NOT NULL;
-- Most records are found by the signal that their key begins with. This has the others.
CREATE INDEX idempotency_by_signal ON idempotency_records (namespace_id, signal_id)
    WHERE settled = 1 AND signal_id IS NOT NULL AND substr(key, 1, length(signal_id) + 1) <> signal_id || ':';

CREATE TRIGGER idempotency_fences_outlive_records AFTER DELETE ON idempotency_records
BEGIN
    UPDATE idempotency_meta SET value = OLD.fence WHERE name = 'fence' AND value < OLD.fence;
END;

CREATE TABLE idempotency_counters (
    namespace_id INTEGER NOT NULL REFERENCES idempotency_namespaces (id),
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, name)
) STRICT, WITHOUT ROWID;

CREATE VIEW idempotency AS
SELECT
    names.name AS namespace,
    key,
    state,
    signal_id,
    action_type,
    target,
    attempts,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1e6, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', lease_until / 1e6, 'unixepoch') AS lease_until,
    strftime('%Y-%m-%dT%H:%M:%fZ', executed_at / 1e6, 'unixepoch') AS executed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1e6, 'unixepoch') AS expires_at,
    result,
    error,
    owner,
    fence
FROM idempotency_records JOIN idempotency_namespaces AS names ON names.id = namespace_id;
