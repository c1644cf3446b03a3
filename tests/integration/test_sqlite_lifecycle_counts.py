"""What duplicates count is written behind, and is there whenever somebody looks, and whatever ends the process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Start

CARD = {"signal_id": "inv", "action": "card", "target": "trello", "params": {}}
KEY = im.generate_idempotency_key(CARD)
CALLS = 10
COUNT = f"""
    manager = im.IdempotencyManager(STORE)
    for _ in range({CALLS}):
        manager.execute(action("inv"), lambda: "made")
"""
ENDS = {
    "the last line": "pass",
    "sys.exit": "sys.exit(0)",
    "an unhandled exception": "raise SystemError",
    "close": "manager.close(); os._exit(0)",
    "a with block": """
with im.IdempotencyManager(STORE) as second:
    second.execute(action("inv"), int)
manager.close()
os._exit(0)
""",
    "Ctrl-C": "os.kill(os.getpid(), signal.SIGINT); time.sleep(10)",
    "a daemon thread that goes on": """
began = threading.Event()
slow = lambda: (began.set(), time.sleep(60))
threading.Thread(target=manager.execute, args=(action("slow"), slow), daemon=True).start()
began.wait()
""",
    "a manager that is lost": "del manager",
}


def counted(manager: im.IdempotencyManager) -> tuple[int, int, int]:
    record = manager.get_record(KEY)
    assert record is not None
    stats = manager.stats()
    return record.attempt_count, stats.cache_hits, stats.duplicates_prevented


@pytest.mark.parametrize("end", ENDS)
def test_an_end_loses_no_count(end: str, start: Start, durable: im.IdempotencyManager) -> None:
    program = start(COUNT + "\n".join(f"    {line}" for line in ENDS[end].splitlines()))
    program.process.wait(10)
    extra = end == "a with block"
    assert counted(durable) == (CALLS + extra, CALLS - 1 + extra, CALLS - 1 + extra)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_loses_no_count(
    method: str, start: Start, durable: im.IdempotencyManager, tmp_path: Path
) -> None:
    folder = str(tmp_path)
    (tmp_path / "worker.py").write_text(f"""
import idempotency_manager as im
def work(store):
    manager = im.IdempotencyManager(store)
    for _ in range({CALLS}):
        manager.execute({CARD!r}, lambda: "made")
""")
    program = start(f"""
        import multiprocessing
        sys.path.insert(0, {folder!r})
        import worker
        manager = im.IdempotencyManager(STORE)
        child = multiprocessing.get_context({method!r}).Process(target=worker.work, args=(STORE,))
        child.start()
        child.join()
        assert child.exitcode == 0
    """)
    program.hear_all()
    assert counted(durable) == (CALLS, CALLS - 1, CALLS - 1)


def test_an_inherited_manager_of_a_child_of_multiprocessing_loses_no_count(
    start: Start, durable: im.IdempotencyManager
) -> None:
    program = start(
        COUNT
        + f"""
    import multiprocessing
    def work():
        for _ in range({CALLS}):
            manager.execute(action("inv"), int)
    children = [multiprocessing.get_context("fork").Process(target=work) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    """
    )
    program.hear_all()
    assert counted(durable) == (4 * CALLS, 4 * CALLS - 1, 4 * CALLS - 1)


def test_what_a_process_sees_of_its_own_counts_is_up_to_date(durable: im.IdempotencyManager) -> None:
    for number in range(1, 30):
        durable.execute(CARD, lambda: "made")
        assert counted(durable) == (number, number - 1, number - 1)
        assert [record.attempt_count for record in durable.iter_records()] == [number]


def test_counts_are_written_within_a_second_or_so_and_survive_a_kill(
    start: Start, durable: im.IdempotencyManager
) -> None:
    program = start(COUNT + "    say('counted')\n    heard()")
    program.hear()
    deadline = time.monotonic() + 3
    while counted(durable) != (CALLS, CALLS - 1, CALLS - 1):
        assert time.monotonic() < deadline, counted(durable)
        time.sleep(0.05)
    program.kill()
    assert counted(durable) == (CALLS, CALLS - 1, CALLS - 1)


def test_a_kill_right_after_the_call_loses_at_most_counts(start: Start, durable: im.IdempotencyManager) -> None:
    program = start(COUNT + "    os.kill(os.getpid(), signal.SIGKILL)")
    program.process.wait(10)
    attempts, hits, duplicates = counted(durable)
    assert 1 <= attempts <= CALLS
    assert hits == duplicates == attempts - 1
    assert durable.execute(CARD, lambda: pytest.fail("it ran")) == "made"


def test_a_fork_neither_doubles_nor_loses_what_was_counted_before(start: Start, durable: im.IdempotencyManager) -> None:
    program = start(
        COUNT
        + """
    children = [fork(lambda: manager.execute(action("inv"), int) and manager.close()) for _ in range(3)]
    join(*children)
    """
    )
    program.hear_all()
    assert counted(durable) == (CALLS + 3, CALLS + 2, CALLS + 2)


def test_processes_that_count_one_key_at_once_lose_nothing(start: Start, durable: im.IdempotencyManager) -> None:
    program = """
        manager = im.IdempotencyManager(STORE)
        say("ready")
        heard()
        for number in range(2_000):
            manager.execute(action("inv"), lambda: "made")
            if number % 100 == 0:
                manager.stats()
    """
    programs = [start(program) for _ in range(4)]
    for one in programs:
        one.hear()
    for one in programs:
        one.tell()
    for one in programs:
        one.hear_all()
    assert counted(durable) == (8_000, 7_999, 7_999)
