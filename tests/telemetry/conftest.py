"""Managers on each store of this host, and Prometheus's own tool."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from idempotency_manager import IdempotencyManager
from servers._errors import program
from servers.testing import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from idempotency_manager.testing import ManualClock


@pytest.fixture(params=["memory", "sqlite"])
def watched(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[IdempotencyManager]:
    """A manager on either store of this host, with room for ten records."""
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/jobs.db?synchronous=normal"}[request.param]
    with IdempotencyManager(url, clock=clock, max_cache_size=10) as manager:
        yield manager


@pytest.fixture(scope="session")
def promtool() -> Callable[..., str]:
    """Runs Prometheus's `promtool`, which must succeed."""
    with needed():
        path = program(("promtool",), "prometheus")

    def run(*arguments: str | Path, given: str | None = None) -> str:
        ended = subprocess.run(
            [path, *map(str, arguments)], input=given, capture_output=True, text=True, check=False, timeout=30
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return run
