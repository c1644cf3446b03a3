"""`fork` with a file open: the child works, the parent is unharmed, and neither keeps anything of the other's."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Start
    from tests.integration.programs import Lock

BUSY = """
    manager = im.IdempotencyManager(STORE)
    ran, over = [], threading.Event()

    def busy(name):
        number = 0
        while not over.is_set():
            number += 1
            manager.execute(action(f"{os.getpid()}-{name}-{number}"), lambda: ran.append(number))
            manager.execute(action("shared", n=number % 7), lambda: number, on_in_doubt="retry")

    threads = [threading.Thread(target=busy, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
"""


def test_children_of_a_busy_parent_work_and_harm_nobody(start: Start, durable: im.IdempotencyManager) -> None:
    program = start(
        BUSY
        + """
    def child(name):
        for number in range(5):
            assert manager.execute(action(f"child-{name}-{number}"), lambda: number) == number
            assert manager.execute(action(f"child-{name}-{number}"), lambda: -1) == number
            manager.execute(action("shared", n=number), lambda: number)
        manager.close()

    for name in range(15):
        join(fork(lambda: child(name)))
    over.set()
    for thread in threads:
        thread.join()
    say([len(ran), manager.stats().total_cached])
    """
    )
    [(ran, kept)] = program.hear_all()
    assert ran > 0
    assert kept == ran + 15 * 5 + 7
    stats = durable.stats()
    assert (stats.total_cached, stats.in_progress, stats.in_doubt) == (kept, 0, 0)


def test_a_fork_inside_an_action_leaves_the_claim_with_the_parent(start: Start, durable: im.IdempotencyManager) -> None:
    program = start("""
        manager = im.IdempotencyManager(STORE)

        def executor():
            def child():
                try:
                    manager.execute(action(1), lambda: "child's", on_concurrent="raise")
                except (im.AlreadyInProgressError, im.ReentrantCallError):
                    pass
                else:
                    raise AssertionError("it ran twice")
                assert manager.execute(action(2), lambda: "child's") == "child's"
            join(fork(child))
            return "parent's"

        assert manager.execute(action(1), executor) == "parent's"
        assert manager.execute(action(2), lambda: "parent's") == "child's"
    """)
    program.hear_all()
    assert durable.stats().total_cached == 2


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools_that_race_for_the_same_keys_run_each_once(
    method: str, start: Start, durable: im.IdempotencyManager, tmp_path: Path
) -> None:
    (tmp_path / "race.py").write_text(
        f"""
import idempotency_manager as im

def work(seed):
    with im.IdempotencyManager({durable.config.store!r}) as manager:
        for number in range(50):
            number = (number * 7 + seed * 13) % 50
            def effect():
                with open({str(tmp_path / "ledger")!r}, "a") as ledger:
                    ledger.write(f"{{number}}\\n")
                return number
            action = {{"signal_id": "race", "action": "card", "target": "trello", "params": {{"n": number}}}}
            assert manager.execute(action, effect) == number
    return seed
"""
    )
    program = start(f"""
        import multiprocessing
        sys.path.insert(0, {str(tmp_path)!r})
        import race
        with im.IdempotencyManager(STORE) as manager:
            with multiprocessing.get_context({method!r}).Pool(16) as pool:
                assert pool.map(race.work, range(16), chunksize=1) == list(range(16))
                pool.close()
                pool.join()
    """)
    program.hear_all(within=50)
    ledger = (tmp_path / "ledger").read_text().split()
    assert sorted(map(int, ledger)) == list(range(50))
    stats = durable.stats()
    assert (stats.total_cached, stats.in_progress, stats.in_doubt) == (50, 0, 0)
    assert stats.cache_misses == 50
    assert sum(record.attempt_count for record in durable.iter_records()) == 16 * 50


def test_workers_forked_from_a_parent_that_has_used_its_manager_share_the_file(
    start: Start, durable: im.IdempotencyManager
) -> None:
    # As gunicorn does it with preload: the application makes its manager, and calls it, before there are workers.
    program = start("""
        manager = im.IdempotencyManager(STORE)

        @manager.idempotent(target="trello")
        def card(signal_id, number):
            return [number, os.getpid()]

        card("preload", 0)
        read, write = os.pipe()

        def worker():
            os.write(write, json.dumps([card("web", number)[1] for number in range(40)]).encode().ljust(4096))
            assert card("preload", 0)[1] == os.getppid()
            asyncio.run(in_tasks())
            manager.close()

        async def in_tasks():
            async with im.AsyncIdempotencyManager(STORE) as amanager:
                async def executor():
                    return 1
                await asyncio.gather(*(amanager.execute(action(number), executor) for number in range(20)))

        workers = [fork(worker) for _ in range(6)]
        join(*workers)
        makers = [json.loads(os.read(read, 4096)) for _ in workers]
        assert all(one == makers[0] for one in makers), makers
        say(manager.stats().total_cached)
    """)
    assert program.hear_all() == [1 + 40 + 20]
    assert durable.stats().in_doubt == 0


def test_a_child_that_outlives_a_killed_parent_keeps_no_lock(start: Start, durable: im.IdempotencyManager) -> None:
    for _ in range(8):
        program = start(
            BUSY
            + """
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os.close(0)
            os.close(1)
            time.sleep(30)
            os._exit(0)
        say(pid)
    heard()
        """
        )
        children = [program.hear() for _ in range(3)]
        program.kill()
        try:
            began = time.monotonic()
            durable.execute(im.Action(f"after {program.process.pid}", "card", "trello"), lambda: 1)
            assert time.monotonic() - began < 1
        finally:
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, SIGKILL)


def test_the_claims_of_a_killed_parent_are_in_doubt_while_its_child_lives(
    start: Start, durable: im.IdempotencyManager
) -> None:
    program = start("""
        manager = im.IdempotencyManager(STORE, lease="1h")

        def executor():
            pid = os.fork()
            if pid == 0:
                os.close(0)
                time.sleep(30)
                os._exit(0)
            say(pid)
            heard()

        manager.execute(action(1), executor)
    """)
    child = program.hear()
    program.kill()
    try:
        with pytest.raises(im.InDoubtError):
            durable.execute({"signal_id": "1", "action": "card", "target": "trello"}, int)
    finally:
        os.kill(child, SIGKILL)


def test_a_fork_while_a_thread_waits_for_the_lock_delays_nobody(start: Start, lock: Lock) -> None:
    lock.take()
    program = start("""
        manager = im.IdempotencyManager(STORE)
        thread = threading.Thread(target=manager.execute, args=(action(1), lambda: "made"))
        thread.start()
        time.sleep(0.2)
        say("waits")
        pid = fork(lambda: manager.execute(action(2), lambda: "child's"))
        say("forked")
        began = heard()
        thread.join()
        join(pid)
        say(time.time() - began)
    """)
    assert program.hear() == "waits"
    assert program.hear() == "forked"
    lock.leave()
    program.tell(time.time())
    [took] = program.hear_all()
    assert took < 1


QUEUE = """
    import fcntl
    queue = open(STORE.removeprefix("sqlite:///") + "-queue", "w")
    fcntl.flock(queue, fcntl.LOCK_EX)
    say("first in line")
    heard()
    fcntl.flock(queue, fcntl.LOCK_UN)
    say("left")
"""


def test_a_fork_while_the_store_stands_in_line_delays_nobody(start: Start, url: str) -> None:
    im.IdempotencyManager(url).close()
    program = start("""
        manager = im.IdempotencyManager(STORE)
        say("open")
        heard()
        thread = threading.Thread(target=manager.execute, args=(action(1), lambda: "made"))
        thread.start()
        time.sleep(0.2)
        pid = fork(lambda: manager.execute(action(2), lambda: "child's"))
        say("forked")
        began = heard()
        thread.join()
        join(pid)
        say(time.time() - began)
    """)
    program.hear()
    queue = start(QUEUE)
    queue.hear()
    program.tell()
    assert program.hear() == "forked"
    queue.tell()
    queue.hear()
    program.tell(time.time())
    [took] = program.hear_all()
    assert took < 1


def test_a_fork_while_other_threads_open_and_close_stores_leaves_the_child_free(start: Start) -> None:
    program = start("""
        over = threading.Event()

        def opens():
            while not over.is_set():
                with im.IdempotencyManager(STORE) as one:
                    one.execute(action("opened"), lambda: 1)

        threads = [threading.Thread(target=opens, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()

        def child():
            signal.alarm(10)
            with im.IdempotencyManager(STORE) as own:
                assert own.execute(action("opened"), lambda: 1) == 1

        for _ in range(40):
            join(fork(child))
        over.set()
        for thread in threads:
            thread.join()
    """)
    program.hear_all(50)


def test_a_fork_while_another_thread_makes_its_first_manager_leaves_the_child_free(start: Start) -> None:
    program = start("""
        begun, goes_on = threading.Event(), threading.Event()

        class Slow:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == "idempotency_manager._place_sqlite":
                    begun.set()
                    assert goes_on.wait(10)

        def opens():
            with im.IdempotencyManager(STORE) as one:
                assert one.execute(action("opened"), lambda: 1) == 1

        def child():
            signal.alarm(5)
            opens()

        sys.meta_path.insert(0, Slow)
        thread = threading.Thread(target=opens, daemon=True)
        thread.start()
        assert begun.wait(10)
        threading.Timer(0.1, goes_on.set).start()
        join(fork(child))
        thread.join()
    """)
    program.hear_all()


def test_other_programs_are_run_as_ever(start: Start) -> None:
    program = start("""
        manager = im.IdempotencyManager(STORE)

        def executor():
            return subprocess.run(["echo", "hello"], capture_output=True, text=True, check=True).stdout

        assert manager.execute(action(1), executor) == "hello\\n"
        assert manager.execute(action(1), executor) == "hello\\n"
        files = subprocess.run(
            ["sh", "-c", "ls -l /proc/self/fd"], capture_output=True, text=True, check=True, close_fds=False
        ).stdout
        assert "records.db" not in files, files
        os.system("true")
        assert manager.stats().total_cached == 1
    """)
    program.hear_all()
