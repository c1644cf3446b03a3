"""Expired records are removed in the background, where that is asked for, by a thread that ends."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock


def action(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"signal_id": f"s{number}", "action": "create", "target": "trello", **fields}


def key(number: int = 1, **fields: Any) -> str:
    return im.generate_idempotency_key(action(number, **fields))


def eventually(condition: Callable[[], bool], within: float = 10.0) -> bool:
    """Whether something that another thread does comes true in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("by_hand", [False, True])
def test_expired_records_are_removed_in_the_background(clock: ManualClock, by_hand: bool) -> None:
    with IdempotencyManager(clock=clock, cleanup_interval="20ms", lease="30ms") as manager:
        if by_hand:
            manager.mark_executed(key(), 1)
        else:
            manager.execute(action(), lambda: 1)
        clock.advance("24h")
        assert eventually(lambda: manager.stats().expired_cleaned == 1)


def test_nothing_is_removed_in_the_background_where_that_is_turned_off(clock: ManualClock) -> None:
    options: dict[str, Any] = {"clock": clock, "cleanup_interval": "10ms", "lease": "30ms"}
    with (
        IdempotencyManager(**options, enable_auto_cleanup=False) as manager,
        IdempotencyManager(**options) as stopped,
        IdempotencyManager(**options) as other,
    ):
        stopped.stop_auto_cleanup()
        stopped.configure(default_ttl="1h")
        for one in (manager, stopped, other):
            one.mark_executed(key(), 1)
            one.execute(action(2), lambda: 1)
        clock.advance("24h")
        # By the time that one manager has cleaned up twice, the others would have.
        assert eventually(lambda: other.stats().expired_cleaned == 2)
        other.mark_executed(key(3), 1)
        clock.advance("24h")
        assert eventually(lambda: other.stats().expired_cleaned == 3)
        assert manager.stats().expired_cleaned == stopped.stats().expired_cleaned == 0
        for one in (manager, stopped):
            one.start_auto_cleanup()
            assert eventually(lambda one=one: one.stats().expired_cleaned == 2)  # type: ignore[misc]


def test_the_thread_ends_with_the_manager() -> None:
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        pytest.skip("only Linux shows native threads as files")

    def name_of(task: Path) -> str:
        with suppress(OSError):  # it has ended meanwhile
            return (task / "comm").read_text()
        return ""

    def keepers() -> set[str]:
        return {task.name for task in tasks.iterdir() if name_of(task).startswith("idempotency-kee")}

    before = keepers()
    with IdempotencyManager() as manager:
        manager.execute(action(), lambda: 1)
        assert eventually(lambda: keepers() - before)
        mine = keepers() - before
    assert eventually(lambda: not keepers() & mine)  # the system may take a moment to bury it
