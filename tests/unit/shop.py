"""A user's own database, for tests of executing in its transactions: cards, and what is kept beside them."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CARD = {"signal_id": "inv-1", "action": "create_card", "target": "shop", "params": {"title": "Pay"}}


@dataclass
class Shop:
    """A database file with one table of the application's own."""

    path: Path

    def connect(self, **options: Any) -> sqlite3.Connection:
        """Connect as an application does, but without its patience."""
        return sqlite3.connect(self.path, **{"timeout": 0, **options})

    def select(self, statement: str, *values: Any) -> list[Any]:
        """See what a reader sees who has just come."""
        with closing(self.connect()) as reader:
            return reader.execute(statement, values).fetchall()

    def cards(self) -> list[str]:
        """The titles of all committed cards."""
        return [title for (title,) in self.select("SELECT title FROM cards ORDER BY rowid")]

    def records(self) -> list[tuple[str, str, int]]:
        """The key, state and attempts of all committed records."""
        if not self.select("SELECT 1 FROM sqlite_master WHERE name = 'idempotency_records'"):
            return []
        return self.select("SELECT key, state, attempts FROM idempotency_records ORDER BY fence")

    def change(self, statement: str, *values: Any) -> None:
        """Write as somebody else, and commit."""
        with closing(self.connect(isolation_level=None)) as writer:
            writer.execute(statement, values)


def adds_card(connection: sqlite3.Connection, title: str = "Pay", result: Any = "card-1") -> Callable[[], Any]:
    """An executor that adds a card and gives a result, or raises it."""

    def add() -> Any:
        connection.execute("INSERT INTO cards VALUES (?)", (title,))
        if isinstance(result, BaseException):
            raise result
        return result

    return add


# By name: the options of connect().
MODES: dict[str, dict[str, Any]] = {
    "deferred": {},
    "immediate": {"isolation_level": "IMMEDIATE"},
    "exclusive": {"isolation_level": "EXCLUSIVE"},
    "none": {"isolation_level": None},
}
if sys.version_info >= (3, 12):
    MODES |= {"autocommit": {"autocommit": True}, "pep249": {"autocommit": False}}

every_mode = pytest.mark.parametrize("options", MODES.values(), ids=MODES)
"""Every way in which a connection of this Python controls transactions."""
modes_that_begin_nothing = pytest.mark.parametrize(
    "options",
    [each for name, each in MODES.items() if name != "pep249"],
    ids=[name for name in MODES if name != "pep249"],
)
"""Those in which a new connection has no transaction."""
