-- Version 1 of what idempotency_manager keeps in PostgreSQL 13 or newer. Run it once, as a role that may create, with the
-- schema that the application uses first in search_path. The application's role then needs no more than
--
--   GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_records, idempotency_counters TO app;
--   GRANT SELECT ON idempotency_meta, idempotency TO app;
--   GRANT USAGE ON SEQUENCE idempotency_fence TO app;
--
-- Times are microseconds since 1970-01-01T00:00:00Z, of the server's clock; the view at the end shows them as timestamps.
-- PostgreSQL's text holds no NUL: in each text but JSON, U+10FFFF followed by 0 stands for one, and U+10FFFF twice for itself.

CREATE TABLE IF NOT EXISTS idempotency_meta (
    name text PRIMARY KEY,
    value bigint NOT NULL
);

-- Fences outlive the records that are removed.
CREATE SEQUENCE IF NOT EXISTS idempotency_fence AS bigint;

CREATE TABLE IF NOT EXISTS idempotency_records (
    namespace text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    state text NOT NULL, -- 'in_progress', 'completed', 'failed' or 'in_doubt'; a CHECK costs 5 us at each write
    latch text, -- 'armed' or 'dispatched'; NULL: the effect may have happened at any moment
    signal_id text COLLATE "C",
    action_type text COLLATE "C",
    target text COLLATE "C",
    fingerprint bytea, -- the SHA-256 of the canonical params; NULL: any params match
    owner text, -- host:pid of the newest claim
    owner_process text, -- tells that process from any other that ever had its pid
    token text, -- names the call that claimed, so that a claim whose answer was lost can be asked for again
    attempts integer NOT NULL,
    started_at bigint NOT NULL,
    lease_until bigint, -- of a record in progress
    executed_at bigint, -- of a finished record
    expires_at bigint NOT NULL,
    result text, -- of a completed record: JSON; NULL beside NULL: it could not be stored
    result_bytes bytea, -- or a codec's bytes
    error text, -- what left it in doubt, or the text of the exception that is its answer
    error_type text, -- of a failed record: module.qualname of that exception
    error_args text, -- of a failed record: its args as JSON
    params text,
    context text,
    awaited boolean NOT NULL DEFAULT false, -- somebody wants to be told when the claim ends
    previous jsonb, -- of a claim over an action in doubt: the record as it was before
    PRIMARY KEY (namespace, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- Each index is paid for at each first call. So the claim writes one beside the key's, and the end of it the other three.
CREATE INDEX IF NOT EXISTS idempotency_unfinished ON idempotency_records (namespace) WHERE executed_at IS NULL;
CREATE INDEX IF NOT EXISTS idempotency_by_expiry ON idempotency_records (namespace, expires_at)
    WHERE executed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS idempotency_by_end ON idempotency_records (namespace, executed_at)
    WHERE executed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS idempotency_by_name ON idempotency_records (namespace, action_type, target)
    WHERE executed_at IS NOT NULL;
-- Most records are found by the signal that their key begins with. This has the others.
CREATE INDEX IF NOT EXISTS idempotency_by_signal ON idempotency_records (namespace, signal_id)
    WHERE signal_id IS NOT NULL AND NOT starts_with(key, signal_id || ':');

CREATE TABLE IF NOT EXISTS idempotency_counters (
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL, -- what comes after a '/' only keeps writers apart
    value bigint NOT NULL,
    PRIMARY KEY (namespace, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE OR REPLACE VIEW idempotency AS
SELECT
    namespace,
    key,
    state,
    signal_id,
    action_type,
    target,
    attempts,
    to_timestamp(started_at / 1e6) AS started_at,
    to_timestamp(lease_until / 1e6) AS lease_until,
    to_timestamp(executed_at / 1e6) AS executed_at,
    CASE WHEN expires_at < 253402300800000000 THEN to_timestamp(expires_at / 1e6) ELSE 'infinity' END AS expires_at,
    result,
    error,
    owner,
    fence
FROM idempotency_records;
