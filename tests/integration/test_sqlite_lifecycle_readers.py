"""Whoever only looks waits for nobody who writes, and sees what is not in the indexes yet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import idempotency_manager as im
    from tests.integration.conftest import Start
    from tests.integration.programs import Lock


def test_a_look_waits_for_no_writer_and_finds_the_newest_records(
    start: Start, durable: im.IdempotencyManager, lock: Lock
) -> None:
    program = start("""
        manager = im.IdempotencyManager(STORE, lease="1h")
        manager.execute(action("done"), lambda: 1)
        manager.execute(action("left"), lambda: os.kill(os.getpid(), signal.SIGKILL))
    """)
    program.process.wait(10)
    lock.take()
    began = time.monotonic()

    done, left = durable.find_keys_by_target("trello")

    assert (done, left) == tuple(durable.find_keys_by_action_type("card"))
    assert durable.find_keys_by_signal_id("done") == [done]
    assert [record.key for record in durable.get_in_doubt()] == [left]
    assert [record.key for record in durable.iter_records(target="trello")] == [done, left]
    assert [record.key for record in durable.get_expiring_soon("48h")] == [done]
    stats = durable.stats()
    assert (stats.total_cached, stats.in_progress, stats.in_doubt) == (1, 0, 1)
    assert durable.cache_info().current_size == 2
    assert time.monotonic() - began < 1, "nobody was waited for"
    lock.leave()
