"""The tables of records in a user's own database: the same that a store makes there."""

from __future__ import annotations

import re
from sqlite3 import complete_statement

from ._core import sqlite_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def statements() -> Iterator[str]:
    """Give the statements that make the tables, one by one: `executescript` would commit the caller's transaction."""
    statement = ""
    for line in sqlite_schema().splitlines(keepends=True):
        statement += line
        if complete_statement(statement):
            yield statement
            statement = ""


def postgres_statements() -> Iterator[str]:
    """Give the statements that make the tables in PostgreSQL, one by one: some drivers take no more at once."""
    return (found.group().strip() for found in _STATEMENT.finditer(_DRAFT) if found["code"])


_STATEMENT = re.compile(
    r"""
    (?: \s+ | --[^\n]* )*                    # space and comments before it
    (?P<code> (?:
        \$(?P<tag>\w*)\$ .*? \$(?P=tag)\$   # the body of a function
        | '(?: [^'] | '' )*'
        | --[^\n]*
        | [^;]
    )* ) ;
    """,
    re.VERBOSE | re.DOTALL,
)
_DRAFT = """
CREATE SEQUENCE IF NOT EXISTS idempotency_fence AS bigint;
CREATE TABLE IF NOT EXISTS idempotency_records (
    namespace text NOT NULL,
    key text NOT NULL,
    fence bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('in_progress', 'completed', 'failed', 'in_doubt')),
    latch text CHECK (latch IN ('armed', 'dispatched')),
    signal_id text,
    action_type text,
    target text,
    fingerprint bytea,
    owner text,
    owner_process text,
    token text,          -- names the call that claimed, so that a claim whose answer was lost can be asked for again
    attempts integer NOT NULL,
    started_at bigint NOT NULL,
    lease_until bigint,
    executed_at bigint,
    expires_at bigint NOT NULL,
    result text,         -- of a completed record: typed JSON; both NULL: it could not be stored
    result_bytes bytea,  -- or a codec's bytes
    error text,
    error_type text,
    error_args text,
    params text,
    context text,
    PRIMARY KEY (namespace, key)
);
CREATE TABLE IF NOT EXISTS idempotency_counters (namespace text NOT NULL, name text NOT NULL, value bigint NOT NULL, PRIMARY KEY (namespace, name));
"""
