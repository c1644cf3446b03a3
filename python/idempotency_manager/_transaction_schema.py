"""The tables of records in a user's own SQLite database: the same that the embedded durable store makes in its file."""

from __future__ import annotations

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
