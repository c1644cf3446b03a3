"""What every test has: the hypothesis profiles, a default manager of its own, and a clock that it moves."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from idempotency_manager import IdempotencyManager
from idempotency_manager.testing import ManualClock, set_manager

if TYPE_CHECKING:
    from collections.abc import Iterator

# `make test` must end in minutes on two busy cores, where a wall-clock deadline for one example only measures the
# neighbours; `make fuzz` looks harder.
settings.register_profile(
    "fast",
    settings.get_profile("default"),  # whatever hypothesis would choose where it sees that it runs in CI
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("slow", settings.get_profile("fast"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


# Whoever runs the tests in the background has them, and what they start, ignore Ctrl-C or the end of a terminal, which
# some of them send.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at the new year of 2026."""
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def manager(clock: ManualClock) -> Iterator[IdempotencyManager]:
    """A fresh manager that goes by `clock`, and is the default one while the test runs."""
    with IdempotencyManager(clock=clock) as fresh:
        before = set_manager(fresh)
        yield fresh
        set_manager(before)
