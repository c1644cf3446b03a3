"""Fixtures that several files here share."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.unit.shop import Shop

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["wal", "delete"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A database in either journal mode, with an empty table of cards."""
    made = Shop(tmp_path / "shop.db")
    with closing(made.connect()) as connection:
        connection.execute(f"PRAGMA journal_mode = {request.param}")
        connection.execute("CREATE TABLE cards (title TEXT UNIQUE)")
    return made


@pytest.fixture
def connection(shop: Shop) -> Iterator[sqlite3.Connection]:
    """A connection as `sqlite3.connect` makes it."""
    with closing(shop.connect()) as made:
        yield made
