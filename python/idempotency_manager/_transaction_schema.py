"""The tables of records in a user's own SQLite database: the same that the embedded durable store makes in its file."""

from __future__ import annotations

from sqlite3 import complete_statement

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
"""What `idempotency_meta` says of the newest tables that this code can read and write."""


def statements() -> Iterator[str]:
    """Give the statements that make the tables, one by one: `executescript` would commit the caller's transaction."""
    statement = ""
    for line in _script().splitlines(keepends=True):
        statement += line
        if complete_statement(statement):
            yield statement
            statement = ""


def _script() -> str:
    """Give the one text that defines the tables."""
    native = getattr(_core, "sqlite_schema", None)
    if native is not None:
        return str(native())
    from pathlib import Path  # noqa: PLC0415 - only in a checkout whose native half is older than this file

    return (Path(__file__).parents[2] / "src" / "store" / "sqlite" / "schema.sql").read_text(encoding="utf-8")
