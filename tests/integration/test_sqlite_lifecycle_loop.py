"""While somebody else holds the file: the event loop runs on, and cancellation and Ctrl-C are heard."""

from __future__ import annotations

import asyncio
import time
from signal import SIGINT
from typing import TYPE_CHECKING

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.integration.conftest import Start
    from tests.integration.programs import Lock

CARD = {"signal_id": "inv", "action": "card", "target": "trello"}
KEY = im.generate_idempotency_key(CARD)


async def made() -> str:
    return "made"


def claim(manager: im.AsyncIdempotencyManager) -> Awaitable[object]:
    return manager.execute(CARD, made)


def plain(manager: im.AsyncIdempotencyManager) -> Awaitable[object]:
    return manager.execute(CARD, lambda: "made")


def duplicate(manager: im.AsyncIdempotencyManager) -> Awaitable[object]:
    return manager.execute({**CARD, "signal_id": "done"}, made)


def stats(manager: im.AsyncIdempotencyManager) -> Awaitable[object]:
    return manager.stats()


def clear(manager: im.AsyncIdempotencyManager) -> Awaitable[object]:
    return manager.clear_all()


def mark(manager: im.AsyncIdempotencyManager) -> Awaitable[object]:
    return manager.mark_executed(KEY, 1)


def close(manager: im.AsyncIdempotencyManager) -> Awaitable[object]:
    return manager.close()


async def longest_gap(until: Awaitable[object]) -> float:
    """Tick while something is awaited; give the longest time between two ticks."""
    longest, last = 0.0, time.perf_counter()
    task = asyncio.ensure_future(until)
    while not task.done():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await task
    return longest


@pytest.mark.parametrize("verb", [claim, plain, duplicate, stats, clear, mark, close], ids=lambda verb: verb.__name__)
async def test_the_loop_runs_on_while_the_file_is_locked(
    verb: Callable[[im.AsyncIdempotencyManager], Awaitable[object]], lock: Lock, url: str
) -> None:
    async with im.AsyncIdempotencyManager(url) as manager:
        await duplicate(manager)
        await duplicate(manager)
        await asyncio.to_thread(lock.take)

        async def both() -> None:
            later = asyncio.get_running_loop().run_in_executor(None, lambda: (time.sleep(1), lock.leave()))
            await verb(manager)
            await later

        assert await longest_gap(both()) < 0.2


async def test_a_claim_that_is_cancelled_while_it_queues_leaves_nothing(lock: Lock, url: str) -> None:
    ran = []

    async def executor() -> None:
        ran.append(1)

    async with im.AsyncIdempotencyManager(url, lease="1h") as manager:
        await asyncio.to_thread(lock.take)
        tasks = [asyncio.create_task(manager.execute({**CARD, "signal_id": str(n)}, executor)) for n in range(20)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(lock.leave)
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True)
        )
        deadline = time.monotonic() + 5
        while [record async for record in manager.iter_records()]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        stats = await manager.stats()
        assert (stats.in_progress, stats.in_doubt, ran) == (0, 0, [])


async def test_a_result_whose_write_is_cancelled_while_it_queues_is_kept(lock: Lock, url: str) -> None:
    running = asyncio.Event()

    async def executor() -> str:
        await asyncio.to_thread(lock.take)
        running.set()
        return "made"

    async with im.AsyncIdempotencyManager(url) as manager:
        task = asyncio.create_task(manager.execute(CARD, executor))
        await running.wait()
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.sleep(0.1)
        await asyncio.to_thread(lock.leave)
        end = await asyncio.gather(task, return_exceptions=True)
        assert end == ["made"] or isinstance(end[0], asyncio.CancelledError)
        assert (await manager.check_executed(KEY)).cached_result == "made"


async def test_a_locked_file_is_an_error_in_time(lock: Lock, url: str) -> None:
    async with im.AsyncIdempotencyManager(f"{url}?busy_timeout=300ms") as manager:
        await asyncio.to_thread(lock.take)
        began = time.perf_counter()
        with pytest.raises(im.StoreUnavailableError, match="busy_timeout"):
            await claim(manager)
        assert 0.25 < time.perf_counter() - began < 1
        await asyncio.to_thread(lock.leave)
        assert await claim(manager) == "made"


WAITS = {
    "a claim": ("", "manager.execute(action(1), lambda: 'ran')"),
    "the first look after a fork": ("join(fork(lambda: None))", "manager.execute(action(1), lambda: 'ran')"),
    "a mark": ("", "manager.mark_executed('a:b:c', 1)"),
    "a clear": ("", "manager.clear_all()"),
    "statistics": ("manager.execute(action(0), int)", "manager.stats()"),
}


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_interrupts_who_waits_for_the_lock(wait: str, start: Start, lock: Lock, url: str) -> None:
    before, waits = WAITS[wait]
    program = start(f"""
        manager = im.IdempotencyManager(STORE)
        {before}
        say("ready")
        heard()
        say("waits")
        try:
            {waits}
        except KeyboardInterrupt:
            say(time.time())
    """)
    assert program.hear() == "ready"
    lock.take()
    program.tell()
    assert program.hear() == "waits"
    time.sleep(0.3)
    sent = time.time()
    program.send(SIGINT)
    assert program.hear() - sent < 0.3
    lock.leave()
    program.hear_all()
    with im.IdempotencyManager(url) as manager:
        stats = manager.stats()
        assert (stats.in_progress, stats.in_doubt) == (0, 0)
