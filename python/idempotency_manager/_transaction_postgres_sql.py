"""The statements of a call in PostgreSQL. Nothing but the names of columns below is put into one.

Every value is cast to its column's type, and every answer to text, so that no conversion which an application has
registered for other types changes either.
"""

from __future__ import annotations

import re

from ._transaction_row import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_TEXTS = (
    *("key", "state", "latch", "signal_id", "action_type", "target", "owner", "owner_process", "error", "error_type"),
    *("error_args", "params", "context", "result"),
)
_NUMBERS = ("fence", "attempts", "started_at", "lease_until", "executed_at", "expires_at")
_BYTES = ("fingerprint", "result_bytes")
_COLUMNS = (*_TEXTS, *_NUMBERS, *_BYTES)
_ENDS = (
    *("state", "executed_at", "expires_at", "lease_until", "result", "result_bytes", "error", "error_type"),
    "error_args",
)
_TYPES = {
    **dict.fromkeys(_TEXTS, "text"),
    **dict.fromkeys(_NUMBERS, "bigint"),
    **dict.fromkeys(_BYTES, "bytea"),
    "attempts": "integer",
}


def _given(name: str) -> str:
    return f"CAST(%({name})s AS {_TYPES[name]})"


_NAMESPACE = "CAST(%(namespace)s AS text)"
_CLOCK = "CAST(CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) AS text)"
_TRANSACTION = "CAST(txid_current_if_assigned() AS text)"
_LOCK_TIMEOUT = "set_config('lock_timeout', CAST(%({})s AS text), true)"
_STATEMENT_TIMEOUT = "set_config('statement_timeout', CAST(%({})s AS text), true)"

# A shorter `statement_timeout` of the caller's own holds. The subquery is there so that it is read before it is set.
ABOUT = f"""
SELECT current_setting('server_version_num'), current_setting('client_encoding'),
       current_setting('transaction_isolation'), current_setting('transaction_read_only'),
       CAST(pg_is_in_recovery() AS text), CAST(to_regclass('idempotency_records') AS text), {_CLOCK},
       current_setting('lock_timeout'), own,
       CASE WHEN extract(epoch FROM CAST(own AS interval)) * 1000 BETWEEN 1 AND CAST(%(limit)s AS bigint) THEN own
       ELSE set_config('statement_timeout', CAST(CAST(%(limit)s AS bigint) AS text), true) END
FROM (SELECT current_setting('statement_timeout') AS own OFFSET 0) AS before
"""  # noqa: S608
HAS_TABLES = "SELECT CAST(to_regclass('idempotency_records') AS text)"
WHICH_TRANSACTION = f"SELECT {_TRANSACTION}"
SET_TIMEOUTS = f"SELECT {_LOCK_TIMEOUT.format('lock')}, {_STATEMENT_TIMEOUT.format('statement')}"
NEXT_FENCE = "SELECT CAST(greatest(nextval('idempotency_fence'), CAST(%(than)s AS bigint) + 1) AS text)"
VERSION = "SELECT CAST(value AS text) FROM idempotency_meta WHERE name = 'schema'"

# One round trip: the source of the row is computed before any lock is waited for, and what is returned after that, so
# the timeout holds for this statement alone. `currval` is the fence of this very statement.
TAKE = f"""
INSERT INTO idempotency_records AS found (namespace, fence, {", ".join(name for name in _COLUMNS if name != "fence")})
SELECT {_NAMESPACE}, nextval('idempotency_fence'), {", ".join(_given(name) for name in _COLUMNS if name != "fence")}
FROM (SELECT {_LOCK_TIMEOUT.format("wait")} AS wait) AS waits WHERE wait IS NOT NULL
ON CONFLICT (namespace, key) DO UPDATE SET attempts = found.attempts + 1
RETURNING {", ".join(f"encode({name}, 'hex')" if name in _BYTES else f"CAST({name} AS text)" for name in _COLUMNS)},
          CAST(fence = currval('idempotency_fence') AS text), CAST(txid_current() AS text), {_CLOCK},
          {_LOCK_TIMEOUT.format("lock")}, {_STATEMENT_TIMEOUT.format("statement")}
"""  # noqa: S608
CLAIM = f"""
INSERT INTO idempotency_records (namespace, {", ".join(_COLUMNS)})
VALUES ({_NAMESPACE}, {", ".join(_given(name) for name in _COLUMNS)})
ON CONFLICT (namespace, key) DO UPDATE SET
    token = NULL, previous = NULL, awaited = false, {", ".join(f"{c} = excluded.{c}" for c in _COLUMNS if c != "key")}
"""  # noqa: S608
FINISH = f"""
UPDATE idempotency_records SET {", ".join(f"{name} = {_given(name)}" for name in _ENDS)}
WHERE namespace = {_NAMESPACE} AND key = {_given("key")} AND fence = {_given("fence")}
RETURNING CAST(attempts AS text)
"""  # noqa: S608
# Passes over what others hold or have removed.
SWEEP = f"""
DELETE FROM idempotency_records WHERE (namespace, key) IN (
    SELECT namespace, key FROM idempotency_records
    WHERE namespace = {_NAMESPACE} AND executed_at IS NOT NULL AND expires_at <= CAST(%(now)s AS bigint)
    LIMIT CAST(%(limit)s AS integer) FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608


_ESCAPE = "\U0010ffff"
"""PostgreSQL's text holds no NUL: this and 0 stand for one, and this twice for itself."""

_ESCAPED = re.compile(f"{_ESCAPE}([0{_ESCAPE}])")


def _without_nul(text: str) -> str:
    return text.replace(_ESCAPE, _ESCAPE * 2).replace("\0", f"{_ESCAPE}0")


def values_of(row: Row, namespace: str) -> dict[str, Any]:
    """Give the values of a row by column."""
    values: dict[str, Any] = {name: getattr(row, name) for name in (*_TEXTS, *_NUMBERS, "fingerprint")}
    values["result_bytes"] = None
    if isinstance(row.result, bytes):
        values["result"], values["result_bytes"] = None, row.result
    for name in _TEXTS:
        if values[name] is not None:
            values[name] = _without_nul(values[name])
    return {"namespace": _without_nul(namespace), **values}


def row_of(answer: Sequence[str | None]) -> Row:
    """Make a row of what `TAKE` returns of one."""
    fields: dict[str, Any] = dict(zip(_COLUMNS, answer, strict=False))
    for name in _TEXTS:
        if fields[name] is not None:
            fields[name] = _ESCAPED.sub(lambda found: "\0" if found[1] == "0" else _ESCAPE, fields[name])
    for name in _NUMBERS:
        if fields[name] is not None:
            fields[name] = int(fields[name])
    for name in _BYTES:
        if fields[name] is not None:
            fields[name] = bytes.fromhex(fields[name])
    result_bytes = fields.pop("result_bytes")
    if result_bytes is not None:
        fields["result"] = result_bytes
    return Row(**fields)
