"""`fork` in a process with several stores on one file, while other processes write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import idempotency_manager as im
    from tests.integration.conftest import Start

WRITER = """
    manager = im.IdempotencyManager(STORE)
    say("writing")
    over, count = threading.Event(), 0

    def busy(name):
        global count
        number = 0
        while not over.is_set():
            number += 1
            manager.execute(action(f"{os.getpid()}-{name}-{number}"), lambda: number)
            count += 1

    threads = [threading.Thread(target=busy, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    heard()
    over.set()
    for thread in threads:
        thread.join()
    say(count)
"""
FORKER = """
    managers = [im.IdempotencyManager(STORE) for _ in range(3)]
    over, longest = threading.Event(), 0.0

    def busy(name):
        global longest
        number = 0
        while not over.is_set():
            number += 1
            began = time.monotonic()
            managers[name % 3].execute(action(f"{os.getpid()}-{name}-{number}"), lambda: number)
            longest = max(longest, time.monotonic() - began)

    threads = [threading.Thread(target=busy, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()

    def child(number):
        for manager in managers:
            assert manager.execute(action(f"child-{os.getpid()}"), lambda: number) == number
            manager.close()

    forks = 0.0
    for number in range(20):
        began = time.monotonic()
        pid = fork(lambda: child(number))
        forks = max(forks, time.monotonic() - began)
        join(pid)
    over.set()
    for thread in threads:
        thread.join()
    say([longest, forks])
"""


def test_a_fork_between_stores_that_write_to_one_file_keeps_nobody_waiting(
    start: Start, durable: im.IdempotencyManager
) -> None:
    writers = [start(WRITER) for _ in range(2)]
    for writer in writers:
        writer.hear()
    forker = start(FORKER)
    [(longest, forks)] = forker.hear_all(within=50)
    assert longest < 3
    assert forks < 3
    for writer in writers:
        writer.tell()
    for writer in writers:
        assert writer.hear() > 0
    stats = durable.stats()
    assert (stats.in_progress, stats.in_doubt) == (0, 0)
