"""An owner that is killed: its action is in doubt at once, however long its lease would have lasted."""

from __future__ import annotations

import time
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from collections.abc import Callable
    from signal import Signals

    from tests.integration.conftest import Start
    from tests.integration.programs import Program

CARD = {"signal_id": "inv", "action": "card", "target": "trello"}
KEY = im.generate_idempotency_key(CARD)

OWNER = """
    manager = im.IdempotencyManager(STORE, lease="1h")

    def executor():
        say("running")
        return heard()

    manager.execute({"signal_id": "inv", "action": "card", "target": "trello"}, executor)
    say("done")
"""
LATCHED = """
    manager = im.IdempotencyManager(STORE, lease="1h")

    def executor():
        if DISPATCHES:
            im.current_execution().dispatched()
        say("running")
        return heard()

    manager.execute({"signal_id": "inv", "action": "card", "target": "trello"}, executor, latch=True)
"""
WAITER = """
    manager = im.IdempotencyManager(STORE, lease="1h", wait_timeout="20s")
    say("waiting")
    try:
        result = manager.execute({"signal_id": "inv", "action": "card", "target": "trello"}, lambda: "again")
    except im.InDoubtError:
        result = "in doubt"
    say([result, time.time()])
"""


@pytest.fixture
def owner(start: Start) -> Program:
    """A program in the middle of its action."""
    program = start(OWNER)
    assert program.hear() == "running"
    return program


def never() -> None:
    pytest.fail("it ran")


def next_caller(manager: im.IdempotencyManager) -> None:
    with pytest.raises(im.InDoubtError) as caught:
        manager.execute(CARD, never)
    assert caught.value.record.owner is not None


def listing(manager: im.IdempotencyManager) -> None:
    assert [record.key for record in manager.get_in_doubt()] == [KEY]
    assert [record.key for record in manager.iter_records(state=im.State.IN_DOUBT)] == [KEY]
    assert list(manager.iter_records(state=im.State.IN_PROGRESS)) == []


def statistics(manager: im.IdempotencyManager) -> None:
    stats = manager.stats()
    assert (stats.in_progress, stats.in_doubt) == (0, 1)


def record(manager: im.IdempotencyManager) -> None:
    found = manager.get_record(KEY)
    assert found is not None
    assert found.state is im.State.IN_DOUBT


def resolving(manager: im.IdempotencyManager) -> None:
    manager.resolve_in_doubt(KEY, result="found")
    assert manager.execute(CARD, never) == "found"


def releasing(manager: im.IdempotencyManager) -> None:
    manager.resolve_in_doubt(KEY, not_executed=True)
    assert manager.execute(CARD, lambda: "again") == "again"


def reconciling(manager: im.IdempotencyManager) -> None:
    assert manager.execute(CARD, never, on_in_doubt=lambda _: "found") == "found"


@pytest.mark.parametrize(
    "look", [next_caller, listing, statistics, record, resolving, releasing, reconciling], ids=lambda f: f.__name__
)
def test_a_killed_owner_leaves_its_action_in_doubt_at_once(
    owner: Program, durable: im.IdempotencyManager, look: Callable[[im.IdempotencyManager], None]
) -> None:
    owner.kill()
    look(durable)


@pytest.mark.parametrize("number", [SIGTERM, SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("look", [next_caller, listing, statistics], ids=lambda look: look.__name__)
def test_a_dead_owner_that_nobody_has_buried_is_dead(
    owner: Program, durable: im.IdempotencyManager, number: Signals, look: Callable[[im.IdempotencyManager], None]
) -> None:
    owner.send(number)
    assert owner._lines.get(timeout=10) is None  # its pipe is closed: it has ended, and its parent has not asked
    deadline = time.monotonic() + 5
    while durable.get_record(KEY).state is not im.State.IN_DOUBT:  # type: ignore[union-attr]
        assert time.monotonic() < deadline
    look(durable)


@pytest.mark.parametrize("look", [next_caller, statistics], ids=lambda look: look.__name__)
def test_a_terminated_owner_leaves_its_action_in_doubt(
    owner: Program, durable: im.IdempotencyManager, look: Callable[[im.IdempotencyManager], None]
) -> None:
    owner.kill(SIGTERM)
    look(durable)


def test_a_living_owner_is_busy_and_its_waiter_has_the_result_soon(
    owner: Program, start: Start, durable: im.IdempotencyManager
) -> None:
    with pytest.raises(im.AlreadyInProgressError):
        durable.execute(CARD, never, on_concurrent="raise")
    waiter = start(WAITER)
    assert waiter.hear() == "waiting"
    time.sleep(0.3)  # it waits by then, or the rest is easier
    finished = time.time()
    owner.tell("made")
    assert owner.hear() == "done"
    result, ended = waiter.hear()
    assert result == "made"
    assert ended - finished < 0.5


def test_a_waiter_whose_owner_is_killed_meets_the_doubt_soon(owner: Program, start: Start) -> None:
    waiter = start(WAITER)
    assert waiter.hear() == "waiting"
    time.sleep(0.3)
    killed = time.time()
    owner.kill()
    result, ended = waiter.hear()
    assert result == "in doubt"
    assert ended - killed < 0.5


def test_a_killed_owner_that_had_not_dispatched_is_run_again(start: Start, durable: im.IdempotencyManager) -> None:
    owner = start(LATCHED.replace("DISPATCHES", "False"))
    assert owner.hear() == "running"
    owner.kill()
    assert durable.stats().in_doubt == 0
    assert durable.execute(CARD, lambda: "again", latch=True) == "again"


def test_a_killed_owner_that_had_dispatched_leaves_a_doubt(start: Start, durable: im.IdempotencyManager) -> None:
    owner = start(LATCHED.replace("DISPATCHES", "True"))
    assert owner.hear() == "running"
    owner.kill()
    assert durable.stats().in_doubt == 1
    with pytest.raises(im.InDoubtError):
        durable.execute(CARD, never, latch=True)


def test_a_program_that_is_started_again_after_a_kill_meets_its_own_doubt(
    owner: Program, start: Start, durable: im.IdempotencyManager
) -> None:
    owner.kill()
    again = start(WAITER)
    assert again.hear() == "waiting"
    assert again.hear()[0] == "in doubt"
    durable.resolve_in_doubt(KEY, result="by hand")
    once_more = start(WAITER)
    once_more.hear()
    assert once_more.hear()[0] == "by hand"
