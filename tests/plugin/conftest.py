"""What the tests here share: the fixture that they are about, the stores that it may be on, and suites run by pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import testing
from tests.plugin.helpers import cards

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _no_cards() -> None:
    cards.clear()


@pytest.fixture
def idempotency() -> Iterator[testing.Idempotency]:
    """What the plugin gives."""
    with testing.idempotency() as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite", "redis", "postgresql"])
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[testing.Idempotency]:
    """The same on each store."""
    urls: dict[str, Any] = {
        "memory": lambda: None,
        "sqlite": lambda: f"sqlite:///{tmp_path}/records.db",
        "redis": lambda: request.getfixturevalue("redis_url"),
        "postgresql": lambda: request.getfixturevalue("postgres_url"),
    }
    with testing.idempotency(urls[request.param]()) as opened:
        yield opened
