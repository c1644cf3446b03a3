"""A process that is stopped for longer than its lease, and goes on: it overwrites nothing and loses no result."""

from __future__ import annotations

from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from tests.integration.conftest import Start
    from tests.integration.programs import Program

CARD = {"signal_id": "inv", "action": "card", "target": "trello"}
KEY = im.generate_idempotency_key(CARD)
LEASE = 0.3
STOPPED = f"""
    manager = im.IdempotencyManager(STORE, lease={LEASE})
    card = {{"signal_id": "inv", "action": "card", "target": "trello"}}

    def executor():
        say("running")
        return heard()

    try:
        manager.execute(card, executor)
        say("kept")
    except im.LeaseLostError as lost:
        say(["lost", lost.result, manager.check_executed(manager.generate_key(card)).cached_result])
"""


@pytest.fixture
def stopped(start: Start, durable: im.IdempotencyManager) -> Program:
    """A program that was stopped in its action until its lease lapsed."""
    program = start(STOPPED)
    assert program.hear() == "running"
    program.send(SIGSTOP)
    while durable.get_record(KEY).state is not im.State.IN_DOUBT:  # type: ignore[union-attr]
        pass
    return program


def test_who_was_overtaken_has_its_result_in_an_error(stopped: Program, durable: im.IdempotencyManager) -> None:
    assert durable.execute(CARD, lambda: "second", on_in_doubt="retry") == "second"
    stopped.send(SIGCONT)
    stopped.tell("first")
    assert stopped.hear() == ["lost", "first", "second"]
    assert durable.check_executed(KEY).cached_result == "second"


def test_who_is_being_overtaken_is_not_renewed_by_waking_up(stopped: Program, durable: im.IdempotencyManager) -> None:
    def second() -> str:
        stopped.send(SIGCONT)
        stopped.tell("first")
        assert stopped.hear()[:2] == ["lost", "first"]
        assert durable.get_record(KEY).state is im.State.IN_PROGRESS  # type: ignore[union-attr]
        return "second"

    assert durable.execute(CARD, second, on_in_doubt="retry") == "second"
    assert durable.check_executed(KEY).cached_result == "second"


@pytest.mark.parametrize("by_hand", ["cleared", "marked", "resolved"])
def test_what_was_settled_meanwhile_stays_so(stopped: Program, durable: im.IdempotencyManager, by_hand: str) -> None:
    match by_hand:
        case "cleared":
            durable.clear_key(KEY)
        case "marked":
            durable.mark_executed(KEY, "by hand")
        case "resolved":
            durable.resolve_in_doubt(KEY, result="by hand")
    stopped.send(SIGCONT)
    stopped.tell("first")
    left = None if by_hand == "cleared" else "by hand"
    assert stopped.hear() == ["lost", "first", left]


def test_who_goes_on_before_anybody_asked_completes_after_all(stopped: Program, durable: im.IdempotencyManager) -> None:
    stopped.send(SIGCONT)
    stopped.tell("first")
    assert stopped.hear() == "kept"
    assert durable.check_executed(KEY).cached_result == "first"
