"""What to do about PostgreSQL's errors, and what became of the effect."""

from __future__ import annotations

from ._transaction_link import driver_error, is_lost, sqlstate
from .exceptions import ConfigurationError, StoreError, StoreUnavailableError

_CALLERS = ("23", "40")
"""Classes of errors that are the caller's: constraints of its rows, and transactions that it must run again."""

_FAILED = (
    "An error before this has made the transaction fail: roll it back, to a savepoint or as a whole, and call again. "
    "What may fail and is caught belongs into a savepoint: connection.transaction() with psycopg, begin_nested() with "
    "SQLAlchemy"
)
_LAYOUT = (
    "Its tables are of another version of this package, or of somebody else: `idempotency schema --print` shows what "
    "they should be"
)
_ADVICE = {
    "22P05": "The database's encoding lacks a character: use one with ENCODING 'UTF8'",
    "25006": "The transaction is read-only: begin one that may write, on a primary",
    "25P02": _FAILED,
    "3B001": (
        "The executor has rolled back to a savepoint that is older than this call: it must leave that to its caller"
    ),
    "42501": (
        "The role may not do that: grant it SELECT, INSERT, UPDATE and DELETE on the tables and USAGE on the sequence, "
        "or, where there are none, let a role that may create them run what `idempotency schema --print` prints"
    ),
    "42703": _LAYOUT,
    "42804": _LAYOUT,
    "42809": _LAYOUT,
    "42P01": _LAYOUT,
    "42P10": _LAYOUT,
    "3F000": "There is no schema to make the tables in: set search_path to one",
    "53100": "Make room on the server's disk",
    "55P03": "Another transaction holds a lock on the tables: keep such transactions short, or call again",
    "57014": "It was cancelled, or took longer than the connection's statement_timeout allows",
}
_UNDONE = "Nothing was executed, or it is undone together with its record"


def is_the_callers(error: BaseException) -> bool:
    """Tell whether an error is about the caller's own rows, or about what other transactions did meanwhile."""
    return (sqlstate(error) or "").startswith(_CALLERS)


def translated(error: BaseException, doing: str, shown: str, *, failed: bool) -> Exception:
    """Make of a client's error one that says what to do.

    Args:
        error: The client's.
        doing: What was being done.
        shown: The database.
        failed: Whether the transaction had failed before.
    """
    state = sqlstate(error)
    if state == "25P01":
        return ConfigurationError(
            "connection: it commits each statement by itself (AUTOCOMMIT), so there is no transaction to share; give "
            "one that does not"
        )
    # One line: others quote the statement.
    problem = f"can't {doing} in {shown}: {str(driver_error(error)).partition(chr(10))[0]}"
    if failed or state == "25P02":
        return StoreUnavailableError(f"{problem}. {_FAILED}. {_UNDONE}")
    if is_lost(error):
        return StoreUnavailableError(f"{problem}. The connection is lost: call again on a new one. {_UNDONE}")
    advice = _ADVICE.get(state or "", "Look at the database and its log")
    kind = StoreError if (state or "").startswith("XX") else StoreUnavailableError
    return kind(f"{problem}. {advice}. {_UNDONE}")


def swallowed(shown: str) -> Exception:
    """Say that an executor returned after an error which it has caught, and which has made its transaction fail."""
    problem = f"can't keep what the executor did in {shown}: it has caught an error of the database and gone on"
    return StoreUnavailableError(f"{problem}. {_FAILED}. {_UNDONE}")


def not_writable(shown: str, *, standby: bool) -> Exception:
    """Say that the transaction can't write."""
    why = "the server is a standby: connect to the primary" if standby else "begin one that may write"
    return StoreUnavailableError(f"the transaction in {shown} is read-only; {why}. Nothing was executed")
