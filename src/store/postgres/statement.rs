//! The statements, one round trip each.
//!
//! Those of the first call and the duplicate are plain SQL, which costs the server half of what a function does. Each statement
//! has one time. Where a record is wanted by its key, no condition implies an index's own
//! (`executed_at IS NULL`): the planner, which may plan while the tables are empty, would take it.

use tokio_postgres::types::Type;

use super::row::{columns, slim};

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident($($type:ident),* $(,)?) = $text:expr;)+) => {
        /// See the module.
        #[derive(Clone, Copy, Debug)]
        pub(super) enum Statement {
            $($(#[$doc])* $name,)+
        }

        /// How many there are.
        pub(super) const COUNT: usize = [$(Statement::$name),+].len();

        impl Statement {
            /// Its text.
            pub(super) const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The types of its parameters.
            pub(super) const fn types(self) -> &'static [Type] {
                match self {
                    $(Self::$name => {
                        const TYPES: &[Type] = &[$(Type::$type),*];
                        TYPES
                    })+
                }
            }
        }
    };
}

/// The time, in a `FROM`.
macro_rules! clock {
    ($given:literal) => {
        concat!("(SELECT idempotency_now(", $given, ") AS t OFFSET 0) AS clock")
    };
}

/// The time at which the statement came, for statements that wait for nobody: the same wherever it stands, and cheaper.
macro_rules! now {
    ($given:literal) => {
        concat!("coalesce(", $given, ", (date_part('epoch', statement_timestamp()) * 1000000)::bigint)")
    };
}

statements! {
    /// What a duplicate needs of a completed record.
    Peek(TEXT, TEXT, INT8) = concat!(
        "SELECT ",
        now!("$3"),
        ", fence, fingerprint, attempts, executed_at, expires_at, result, result_bytes \
         FROM idempotency_records WHERE namespace = $1 AND key = $2 AND state = 'completed'"
    );

    /// A claim of a key that is new; nothing where it is not, without waiting for who may be about to change it.
    Begin(TEXT, TEXT, INT8, BYTEA, TEXT, TEXT, TEXT, TEXT, INT8, INT8, TEXT, TEXT, TEXT, TEXT, TEXT) = concat!(
        "INSERT INTO idempotency_records (namespace, key, fence, state, fingerprint, latch, signal_id, action_type, target, \
         attempts, started_at, lease_until, expires_at, owner, owner_process, token, params, context) \
         SELECT $1, $2, nextval('idempotency_fence'), 'in_progress', $4, $5, $6, $7, $8, 1, ",
        now!("$3"),
        ", ",
        now!("$3"),
        " + $9, ",
        now!("$3"),
        " + $10, $11, $12, $13, $14, $15 \
         WHERE NOT EXISTS (SELECT FROM idempotency_records WHERE namespace = $1 AND key = $2) \
         ON CONFLICT DO NOTHING RETURNING fence"
    );

    /// A claim, whatever is there.
    Claim(
        TEXT, TEXT, INT8, BYTEA, BOOL, BOOL, BOOL, TEXT, TEXT, TEXT, INT8, INT8, TEXT, TEXT, TEXT, INT8, BOOL, BOOL, INT4,
        TEXT, TEXT,
    ) = "SELECT * FROM idempotency_claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
         $19, $20, $21)";

    /// Many claims, given as JSON in the order of their keys.
    ClaimMany(TEXT, INT8, TEXT) =
        "SELECT met.*, asked.position FROM jsonb_to_recordset($3::jsonb) AS asked (position integer, key text, \
         fingerprint bytea, checks boolean, takes_over boolean, latch boolean, signal text, action text, target text, \
         lease bigint, ttl bigint, owner text, process text, token text, orphan bigint, may_add boolean, waits boolean, \
         untold integer, params text, context text), LATERAL idempotency_claim($1, asked.key, $2, asked.fingerprint, \
         asked.checks, asked.takes_over, asked.latch, asked.signal, asked.action, asked.target, asked.lease, asked.ttl, \
         asked.owner, asked.process, asked.token, asked.orphan, asked.may_add, asked.waits, asked.untold, asked.params, \
         asked.context) AS met";

    /// A claim back.
    Abandon(TEXT, TEXT, TEXT) = "SELECT idempotency_abandon($1, $2, $3)::text";

    /// Longer leases; answers with the claims that got one.
    Renew(TEXT, TEXT_ARRAY, INT8_ARRAY, INT8, INT8) = "SELECT * FROM idempotency_hold($1, $2, $3, $4, $5, NULL)";

    /// Latches released; answers with the claims whose was.
    Dispatch(TEXT, TEXT_ARRAY, INT8_ARRAY) = "SELECT * FROM idempotency_hold($1, $2, $3, NULL, NULL, 'dispatched')";

    /// A result; answers with whether somebody waits, and with nothing where the claim does not stand.
    Complete(TEXT, TEXT, INT8, INT8, INT8, TEXT, BYTEA) = concat!(
        "UPDATE idempotency_records SET state = 'completed', latch = NULL, lease_until = NULL, token = NULL, executed_at = ",
        now!("$4"),
        ", expires_at = ",
        now!("$4"),
        " + $5, result = $6, result_bytes = $7, error = NULL, previous = NULL \
         WHERE namespace = $1 AND key = $2 AND fence = $3 AND state IN ('in_progress', 'in_doubt') RETURNING awaited"
    );

    /// A failure.
    Fail(TEXT, TEXT, INT8, INT8, INT8, TEXT, TEXT, TEXT) = concat!(
        "UPDATE idempotency_records SET state = 'failed', latch = NULL, lease_until = NULL, token = NULL, executed_at = ",
        now!("$4"),
        ", expires_at = ",
        now!("$4"),
        " + $5, error = $6, error_type = $7, error_args = $8, previous = NULL \
         WHERE namespace = $1 AND key = $2 AND fence = $3 AND state IN ('in_progress', 'in_doubt') RETURNING awaited"
    );

    /// A doubt.
    Doubt(TEXT, TEXT, INT8, TEXT) =
        "UPDATE idempotency_records SET state = 'in_doubt', lease_until = NULL, error = $4, previous = NULL \
         WHERE namespace = $1 AND key = $2 AND fence = $3 AND state IN ('in_progress', 'in_doubt') RETURNING awaited";

    /// A release.
    Release(TEXT, TEXT, INT8) =
        "DELETE FROM idempotency_records \
         WHERE namespace = $1 AND key = $2 AND fence = $3 AND state IN ('in_progress', 'in_doubt') RETURNING awaited";

    /// The end of a claim told. By itself, since a statement that might tell it costs all others more.
    Tell(TEXT, TEXT) = "SELECT idempotency_tell_end($1, $2, true)::text";

    /// A result by hand.
    Mark(TEXT, TEXT, INT8, BOOL, BYTEA, TEXT, TEXT, TEXT, INT8, TEXT, TEXT, TEXT, BYTEA, TEXT, TEXT) =
        "SELECT idempotency_mark($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";

    /// A word on an action in doubt.
    Resolve(TEXT, TEXT, INT8, INT8, BOOL, INT8, TEXT, BYTEA) =
        "SELECT * FROM idempotency_resolve($1, $2, $3, $4, $5, $6, $7, $8)";

    /// The records of keys.
    Get(TEXT, TEXT_ARRAY, INT8) = concat!(
        "SELECT idempotency_now($3), ",
        columns!(),
        " FROM idempotency_records WHERE namespace = $1 AND key = ANY ($2)"
    );

    /// A part of all records, in the order of their keys.
    Scan(TEXT, TEXT, INT8, INT8) = concat!(
        "SELECT clock.t, ",
        columns!(),
        " FROM idempotency_records, ",
        clock!("$3"),
        " WHERE namespace = $1 AND key > $2 AND (executed_at IS NULL OR expires_at > clock.t) ORDER BY key LIMIT $4"
    );

    /// Keys by action type.
    FindAction(TEXT, TEXT, INT8) =
        "SELECT key FROM idempotency_records WHERE namespace = $1 AND action_type = $2 AND executed_at IS NOT NULL \
         AND expires_at > (SELECT idempotency_now($3)) \
         UNION ALL SELECT key FROM idempotency_records WHERE namespace = $1 AND action_type = $2 AND executed_at IS NULL";

    /// Keys by target, which comes second in its index: each action type is visited once.
    FindTarget(TEXT, TEXT, INT8) =
        "WITH RECURSIVE actions (name) AS (\
         (SELECT action_type FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND action_type IS NOT NULL ORDER BY action_type LIMIT 1) \
         UNION ALL SELECT (SELECT action_type FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND action_type > actions.name ORDER BY action_type LIMIT 1) FROM actions WHERE actions.name IS NOT NULL) \
         SELECT found.key FROM actions, LATERAL (SELECT key FROM idempotency_records WHERE namespace = $1 \
         AND executed_at IS NOT NULL AND action_type = actions.name AND target = $2 \
         AND expires_at > (SELECT idempotency_now($3))) AS found \
         UNION ALL SELECT key FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND action_type IS NULL AND target = $2 AND expires_at > (SELECT idempotency_now($3)) \
         UNION ALL SELECT key FROM idempotency_records WHERE namespace = $1 AND target = $2 AND executed_at IS NULL";

    /// Keys by signal: those that begin with it, and the few others. ';' comes right after ':'.
    FindSignal(TEXT, TEXT, INT8) =
        "SELECT key FROM idempotency_records WHERE namespace = $1 AND key >= $2 || ':' AND key < $2 || ';' \
         AND signal_id = $2 AND (executed_at IS NULL OR expires_at > (SELECT idempotency_now($3))) \
         UNION ALL SELECT key FROM idempotency_records WHERE namespace = $1 AND signal_id = $2 \
         AND NOT starts_with(key, signal_id || ':') \
         AND (executed_at IS NULL OR expires_at > (SELECT idempotency_now($3)))";

    /// Keys of what ends soon.
    FindExpiring(TEXT, INT8, INT8) =
        "SELECT key FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND expires_at > (SELECT idempotency_now($3)) \
         AND expires_at <= (SELECT idempotency_after(t, $2) FROM (SELECT idempotency_now($3) AS t OFFSET 0) AS clock) \
         ORDER BY expires_at";

    /// What is unfinished, as much as tells whether it is in doubt.
    Unfinished(TEXT, INT8) =
        "SELECT idempotency_now($2), key, fence, state, latch, lease_until, started_at, owner, owner_process \
         FROM idempotency_records WHERE namespace = $1 AND executed_at IS NULL";

    /// The newest records, and a few of those that are unfinished, without what may be large: in each part of a union, what
    /// has expired and is not yet removed counts towards the limit.
    Recent(TEXT, INT8, INT8) = concat!(
        "SELECT (SELECT idempotency_now($2)), ",
        slim!(),
        " FROM ((SELECT * FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         ORDER BY executed_at DESC LIMIT $3) \
         UNION ALL (SELECT * FROM idempotency_records WHERE namespace = $1 AND executed_at IS NULL LIMIT $3)) AS recent \
         WHERE executed_at IS NULL OR expires_at > (SELECT idempotency_now($2))"
    );

    /// What ends next, without what may be large.
    Ending(TEXT, INT8, INT8) = concat!(
        "SELECT (SELECT idempotency_now($2)), ",
        slim!(),
        " FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND expires_at > (SELECT idempotency_now($2)) ORDER BY expires_at LIMIT $3"
    );

    /// What was counted.
    Counters(TEXT) =
        "SELECT split_part(name, '/', 1), sum(value)::bigint FROM idempotency_counters WHERE namespace = $1 GROUP BY 1";

    /// What was counted, and what is held.
    Tally(TEXT, INT8) =
        "WITH clock AS MATERIALIZED (SELECT idempotency_now($2) AS t) \
         SELECT split_part(name, '/', 1), sum(value)::bigint, NULL::bigint, NULL::bigint \
         FROM idempotency_counters WHERE namespace = $1 GROUP BY 1 \
         UNION ALL SELECT 'finished', count(*), \
         (SELECT executed_at FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND expires_at > (SELECT t FROM clock) ORDER BY executed_at LIMIT 1), \
         (SELECT executed_at FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND expires_at > (SELECT t FROM clock) ORDER BY executed_at DESC LIMIT 1) \
         FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND expires_at > (SELECT t FROM clock)";

    /// No counts.
    ResetTally(TEXT) = "DELETE FROM idempotency_counters WHERE namespace = $1 AND name <> 'followed'";

    /// Adds attempts and counters.
    Count(TEXT, TEXT_ARRAY, INT8_ARRAY, INT8_ARRAY, TEXT_ARRAY, INT8_ARRAY) =
        "SELECT idempotency_count($1, $2, $3, $4, $5, $6)::text";

    /// Records live and finished, unfinished, and expired.
    Size(TEXT, INT8) =
        "SELECT (SELECT count(*) FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND expires_at > (SELECT idempotency_now($2))), \
         (SELECT count(*) FROM idempotency_records WHERE namespace = $1 AND executed_at IS NULL), \
         (SELECT count(*) FROM idempotency_records WHERE namespace = $1 AND executed_at IS NOT NULL \
         AND expires_at <= (SELECT idempotency_now($2)))";

    /// Some expired records gone.
    Cleanup(TEXT, INT8, INT8) = "SELECT idempotency_cleanup($1, $2, $3)";

    /// The oldest gone.
    RemoveOldest(TEXT, INT8, INT8) = "SELECT idempotency_remove_oldest($1, $2, $3)";

    /// A record gone.
    Clear(TEXT, TEXT, INT8) = "SELECT idempotency_clear($1, $2, $3)";

    /// Some records gone.
    ClearSome(TEXT, TEXT, INT8, INT8) = "SELECT live, last FROM idempotency_clear_some($1, $2, $3, $4)";

    /// Records as they are, given as JSON.
    Put(TEXT, INT8, TEXT) =
        "SELECT idempotency_put($1, $2, jsonb_populate_record(NULL::idempotency_records, given.item)), given.position \
         FROM jsonb_array_elements($3::jsonb) WITH ORDINALITY AS given (item, position)";

    /// Says that changes are to be told.
    Follow(TEXT) =
        "INSERT INTO idempotency_counters (namespace, name, value) VALUES ($1, 'followed', 1) ON CONFLICT DO NOTHING";
}
