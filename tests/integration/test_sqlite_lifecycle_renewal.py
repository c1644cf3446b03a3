"""Leases are renewed from outside the interpreter, for all actions at once, and through a store's hiccups."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from tests.integration.conftest import Start
    from tests.integration.programs import Lock

KEY = im.generate_idempotency_key(signal_id="1", action="card", target="trello", params={})
HOLDING = {
    "the C library's sleep": "ctypes.PyDLL(None).usleep(1_500_000)",
    "a sum": "sum(range(int(1_500_000_000 / per_item)))",
    "a backtracking pattern": "[re.match('(a+)+$', 'a' * 18 + 'b') for _ in range(int(1_500_000_000 / per_match))]",
}
MEASURE = """
    import re
    def nanoseconds(body):
        began = time.perf_counter_ns()
        body()
        return time.perf_counter_ns() - began
    per_item = min(nanoseconds(lambda: sum(range(100_000))) for _ in range(5)) / 100_000
    per_match = min(nanoseconds(lambda: re.match('(a+)+$', 'a' * 18 + 'b')) for _ in range(5))
"""


@pytest.mark.parametrize("holding", HOLDING.values(), ids=HOLDING)
def test_leases_are_kept_while_the_interpreter_is_held(
    holding: str, start: Start, durable: im.IdempotencyManager
) -> None:
    holder = start(
        MEASURE
        + f"""
    sys.setswitchinterval(60)
    manager = im.IdempotencyManager(STORE, lease="600ms")
    go, ready = threading.Event(), threading.Barrier(51)

    def body(number):
        def executor():
            ready.wait()
            go.wait()
            return number
        return manager.execute(action(number), executor)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    ready.wait()
    say("running")
    began = time.monotonic()
    {holding}
    held = time.monotonic() - began
    go.set()
    for thread in threads:
        thread.join()
    say(held)
    """
    )
    assert holder.hear() == "running"
    seen: list[int] = []
    while holder._lines.empty():
        stats = durable.stats()
        seen.append(stats.in_progress)
        assert stats.in_doubt == 0
        time.sleep(0.02)
    assert holder.hear() > 0.9
    assert seen.count(50) > len(seen) / 2
    holder.hear_all()
    assert durable.stats().total_cached == 50


def test_a_lease_survives_that_another_process_keeps_the_file_locked(start: Start, lock: Lock) -> None:
    holder = start(
        """
        manager = im.IdempotencyManager(STORE, lease="3s")

        def executor():
            say("running")
            heard()
            while (left := im.current_execution().remaining().total_seconds()) < 2.1:
                assert left > 0
            return "done"

        assert manager.execute(action(1), executor) == "done"
        """,
        options="?busy_timeout=300ms",
    )
    assert holder.hear() == "running"
    lock.take()
    time.sleep(2.2)  # a lease that is renewed at every third has less than 2 s left by now, unless a renewal succeeded
    lock.leave()
    holder.tell()
    assert holder.hear_all() == []


def test_a_lease_that_could_not_be_renewed_at_all_is_in_doubt(
    start: Start, lock: Lock, durable: im.IdempotencyManager
) -> None:
    holder = start(
        """
        manager = im.IdempotencyManager(STORE, lease="400ms")

        def executor():
            say("running")
            return heard()

        say(manager.execute(action(1), executor))
        """,
        options="?busy_timeout=100ms",
    )
    assert holder.hear() == "running"
    lock.take()
    while durable.get_record(KEY).state is not im.State.IN_DOUBT:  # type: ignore[union-attr]
        time.sleep(0.01)
    lock.leave()
    # Nobody has claimed it since: its holder may still complete it.
    holder.tell("late")
    assert holder.hear_all() == ["late"]
