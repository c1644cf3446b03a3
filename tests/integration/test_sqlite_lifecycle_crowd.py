"""Threads, tasks and processes on one file at once: each key once, nobody locked out, nobody starved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import idempotency_manager as im
    from tests.integration.conftest import Start

KEYS = 60
CROWD = f"""
    manager = im.IdempotencyManager(STORE)
    say("ready")
    heard()

    def effect(number):
        say(number)
        return number

    def in_a_thread(seed):
        for step in range({KEYS}):
            number = (step * 7 + seed * 11) % {KEYS}
            assert manager.execute(action("crowd", n=number), lambda: effect(number)) == number

    async def in_a_task(seed):
        for step in range({KEYS}):
            number = (step * 7 + seed * 11) % {KEYS}
            async def executor():
                await asyncio.sleep(0)
                return effect(number)
            assert await manager.aexecute(action("crowd", n=number), executor) == number

    async def in_tasks():
        await asyncio.gather(*(in_a_task(seed) for seed in range(20)))

    threads = [threading.Thread(target=in_a_thread, args=(seed,)) for seed in range(8)]
    threads.append(threading.Thread(target=asyncio.run, args=(in_tasks(),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manager.close()
"""
CALLS = 4 * (8 + 20) * KEYS


def test_threads_tasks_and_processes_run_each_key_once(start: Start, durable: im.IdempotencyManager) -> None:
    programs = [start(CROWD) for _ in range(4)]
    for program in programs:
        assert program.hear() == "ready"
    for program in programs:
        program.tell()
    ran = sorted(number for program in programs for number in program.hear_all())
    assert ran == list(range(KEYS))
    stats = durable.stats()
    assert (stats.total_cached, stats.in_progress, stats.in_doubt) == (KEYS, 0, 0)
    assert sum(record.attempt_count for record in durable.iter_records()) == CALLS
    assert (stats.cache_misses, stats.duplicates_prevented) == (KEYS, CALLS - KEYS)


WRITER = """
    manager = im.IdempotencyManager(STORE)
    say("ready")
    until = heard()
    number, longest = 0, 0.0
    while (began := time.time()) < until:
        number += 1
        manager.execute(action(f"{os.getpid()}-{number}"), lambda: number)
        longest = max(longest, time.time() - began)
    say([number, longest])
"""


def test_no_writer_starves_beside_others(start: Start, durable: im.IdempotencyManager) -> None:
    writers = [start(WRITER) for _ in range(4)]
    for writer in writers:
        assert writer.hear() == "ready"
    for writer in writers:
        writer.tell(time.time() + 2)
    ends = [writer.hear() for writer in writers]
    shares = [number for number, _ in ends]
    assert min(shares) > max(shares) / 10, ends
    assert max(longest for _, longest in ends) < 2, ends
    assert durable.stats().total_cached == sum(shares)


def test_a_single_caller_is_not_starved_by_processes_of_many_threads(
    start: Start, durable: im.IdempotencyManager
) -> None:
    crowds = [
        start("""
            manager = im.IdempotencyManager(STORE)
            def busy(name):
                number = 0
                while True:
                    number += 1
                    manager.execute(action(f"{os.getpid()}-{name}-{number}"), lambda: number)
            for name in range(16):
                threading.Thread(target=busy, args=(name,), daemon=True).start()
            time.sleep(0.2)
            say("busy")
            heard()
        """)
        for _ in range(2)
    ]
    for crowd in crowds:
        crowd.hear()
    until = time.monotonic() + 2
    number, longest = 0, 0.0
    while (began := time.monotonic()) < until:
        number += 1
        durable.execute({"signal_id": f"one-{number}", "action": "card", "target": "trello"}, int)
        longest = max(longest, time.monotonic() - began)
    assert longest < 1
    assert number > 10
