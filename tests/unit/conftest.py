"""Fixtures that several files here share."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import IdempotencyManager
from tests.unit.shadow import Watched
from tests.unit.shop import Shop

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from idempotency_manager.testing import ManualClock


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


@pytest.fixture(params=["memory", "sqlite"])
def made(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Any]:
    """A manager of the test's flavour on either store of this host."""
    flavour = request.getfixturevalue("flavour")
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/store.db?synchronous=normal"}[request.param]
    manager = flavour.manager_class(url, clock=clock, lease="30s")
    yield manager
    flavour.get(manager.close())


@pytest.fixture(params=["memory", "sqlite"])
def watched(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Watched]:
    """A manager of the test's flavour in shadow mode, on either store of this host."""
    flavour = request.getfixturevalue("flavour")
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/store.db?synchronous=normal"}[request.param]
    kinds: list[str] = []
    manager = flavour.manager_class(url, clock=clock, shadow=True, on_event=lambda event: kinds.append(event.kind))
    yield Watched(manager, kinds)
    flavour.get(manager.close())


@pytest.fixture
def kinds() -> list[str]:
    """What `shadowed` told."""
    return []


@pytest.fixture
def shadowed(kinds: list[str]) -> Iterator[IdempotencyManager]:
    """A manager for threads in shadow mode, in memory."""
    with IdempotencyManager(shadow=True, on_event=lambda event: kinds.append(event.kind)) as manager:
        yield manager
