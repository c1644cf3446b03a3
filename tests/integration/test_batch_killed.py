"""A process killed in the middle of a batch: what it may have done is in doubt, and the rest simply runs again."""

from __future__ import annotations

import asyncio
import time
from signal import SIGINT
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Start
    from tests.integration.programs import Lock

COUNT = 150
WINDOW = 16

SYNC = """
    manager = im.IdempotencyManager(STORE, lease="1h")

    def executor(action):
        say(action["signal_id"])
        if action["signal_id"] == LAST:
            heard()
        return action["signal_id"]

    try:
        manager.execute_many([action(number) for number in range(COUNT)], executor)
    except KeyboardInterrupt:
        say("interrupted")
"""
ASYNC = """
    manager = im.AsyncIdempotencyManager(STORE, lease="1h")

    async def executor(action):
        say(action["signal_id"])
        if action["signal_id"] == LAST:
            heard()
        return action["signal_id"]

    asyncio.run(manager.execute_many([action(number) for number in range(COUNT)], executor))
"""


@pytest.fixture(params=["sqlite", "redis_url", "postgres_url"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    return str(request.getfixturevalue(request.param))


def actions() -> list[dict[str, Any]]:
    return [{"signal_id": str(number), "action": "card", "target": "trello", "params": {}} for number in range(COUNT)]


def run_again(manager: im.IdempotencyManager, run: Any) -> tuple[list[str], list[str], list[str]]:
    """Run all again; answers with those that were replayed, ran, and are in doubt."""
    ran: list[str] = []

    def executor(action: Any) -> str:
        ran.append(action["signal_id"])
        return str(action["signal_id"])

    outcomes = run(manager, executor)
    doubtful = [outcome for outcome in outcomes if isinstance(outcome.error, im.InDoubtError)]
    assert all(outcome.error is None for outcome in outcomes if outcome not in doubtful)
    replayed = [outcome.unwrap() for outcome in outcomes if outcome.replayed]
    return replayed, ran, [outcome.action["signal_id"] for outcome in doubtful]


def in_a_thread(manager: im.IdempotencyManager, executor: Any) -> Any:
    return manager.execute_many(actions(), executor)


def in_a_task(manager: im.IdempotencyManager, executor: Any) -> Any:
    return asyncio.run(manager.aexecute_many(actions(), executor))


@pytest.mark.parametrize("last", ["0", "101"])
@pytest.mark.parametrize(("program", "run"), [(SYNC, in_a_thread), (ASYNC, in_a_task)], ids=["sync", "async"])
def test_a_killed_process_leaves_at_most_a_window_in_doubt(
    start: Start, durable: im.IdempotencyManager, program: str, run: Any, last: str
) -> None:
    owner = start(f"\n    COUNT, LAST = {COUNT}, {last!r}" + program)
    said = [owner.hear()]
    while said[-1] != last:
        said.append(owner.hear())
    owner.kill()
    replayed, ran, doubtful = run_again(durable, run)
    assert last in doubtful
    assert len(doubtful) <= WINDOW
    assert set(said) <= {*replayed, *doubtful}, "what may have happened does not run again"
    assert sorted(replayed + ran + doubtful, key=int) == [str(number) for number in range(COUNT)]


def test_ctrl_c_leaves_the_one_in_doubt_that_it_interrupted(start: Start, durable: im.IdempotencyManager) -> None:
    owner = start(f"\n    COUNT, LAST = {COUNT}, '40'" + SYNC)
    while owner.hear() != "40":
        pass
    owner.send(SIGINT)
    assert owner.hear() == "interrupted"
    owner.hear_all()
    replayed, ran, doubtful = run_again(durable, in_a_thread)
    assert (len(replayed), doubtful) == (40, ["40"])
    assert len(ran) == COUNT - 41


WAITING = """
    manager = im.IdempotencyManager(STORE, lease="1h")
    say("ready")
    heard()
    try:
        manager.execute_many([action(number) for number in range(20)], say)
    except KeyboardInterrupt:
        say("interrupted")
    say(manager.stats().in_progress)
"""


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_ctrl_c_ends_the_wait_for_a_claim_and_leaves_none_behind(start: Start, lock: Lock) -> None:
    owner = start(WAITING, options="?busy_timeout=25s")
    assert owner.hear() == "ready"
    lock.take()
    owner.tell()
    time.sleep(0.3)  # there is nothing to be seen of one that waits for a lock
    owner.send(SIGINT)
    assert owner.hear(within=10) == "interrupted"
    lock.leave()
    assert owner.hear_all() == [0]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_cancelled_task_ends_its_wait_for_a_claim_and_leaves_none_behind(url: str, lock: Lock) -> None:
    async def cancelled(manager: im.AsyncIdempotencyManager) -> float:
        task = asyncio.ensure_future(manager.execute_many(actions(), lambda _: pytest.fail("it ran")))
        await asyncio.sleep(0.2)  # there is nothing to be seen of one that waits for a lock
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    async def main() -> None:
        async with im.AsyncIdempotencyManager(f"{url}?busy_timeout=25s") as manager:
            assert (await manager.stats()).in_progress == 0
            lock.take()
            took = await cancelled(manager)
            lock.leave()
            assert took < 10
            assert (await manager.stats()).in_progress == 0

    asyncio.run(main())
