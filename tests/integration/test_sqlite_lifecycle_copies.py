"""Duplicates are answered from memory, and what another process changes is seen by the very next call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Start

CARD = {"signal_id": "inv", "action": "card", "target": "trello"}
KEY = im.generate_idempotency_key(CARD)
ROUNDS = 40

OTHER = """
    manager = im.IdempotencyManager(STORE, lease="10ms")
    key = manager.generate_key({"signal_id": "inv", "action": "card", "target": "trello"})
    while True:
        number = heard()
        CHANGE
        say(number)
"""
CHANGES: dict[str, Callable[[int], object]] = {
    "manager.clear_key(key)": lambda number: f"again {number}",
    "manager.clear_all()": lambda number: f"again {number}",
    "manager.cleanup_oldest_entries(1)": lambda number: f"again {number}",
    "manager.mark_executed(key, f'by hand {number}')": lambda number: f"by hand {number}",
    "manager.mark_executed(key, 'x', ttl='10ms'); time.sleep(0.02)": lambda number: f"again {number}",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_process_changes_is_seen_by_the_next_call(
    change: str, start: Start, durable: im.IdempotencyManager
) -> None:
    other = start(OTHER.replace("CHANGE", change))
    durable.execute(CARD, lambda: "first")
    for number in range(ROUNDS):
        before = durable.execute(CARD, lambda: pytest.fail("it ran"))
        assert durable.execute(CARD, lambda: pytest.fail("it ran")) == before
        other.tell(number)
        assert other.hear() == number
        assert durable.execute(CARD, lambda n=number: f"again {n}") == CHANGES[change](number)


def test_what_another_process_resolves_is_seen_by_the_next_call(start: Start, durable: im.IdempotencyManager) -> None:
    other = start(OTHER.replace("CHANGE", "manager.resolve_in_doubt(key, result=number)"))
    for number in range(ROUNDS):
        with pytest.raises(TimeoutError):
            durable.execute(CARD, _times_out)
        other.tell(number)
        other.hear()
        assert durable.execute(CARD, lambda: pytest.fail("it ran")) == number
        durable.clear_key(KEY)


def test_what_another_process_completes_is_seen_by_the_next_look(start: Start, durable: im.IdempotencyManager) -> None:
    other = start(OTHER.replace("CHANGE", "manager.execute(action(number), lambda: number)"))
    for number in range(ROUNDS):
        key = im.generate_idempotency_key(signal_id=str(number), action="card", target="trello")
        assert not durable.check_executed(key).executed
        other.tell(number)
        other.hear()
        assert durable.check_executed(key).cached_result == number


def test_a_clear_is_seen_by_all_threads_of_all_managers_of_a_process(
    start: Start, durable: im.IdempotencyManager, url: str
) -> None:
    other = start(OTHER.replace("CHANGE", "manager.clear_key(key)"))
    with im.IdempotencyManager(url) as second:
        for number in range(ROUNDS):
            for manager in (durable, second, durable, second):
                manager.execute(CARD, lambda n=number: n)
            other.tell(number)
            other.hear()
            for manager in (durable, second):
                assert not manager.check_executed(KEY).executed


def test_copies_hold_while_another_process_writes_other_keys(start: Start, durable: im.IdempotencyManager) -> None:
    other = start("""
        manager = im.IdempotencyManager(STORE)
        say("writing")
        number = 0
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            number += 1
            manager.execute(action(f"other {number}"), lambda: number)
        manager.close()
        say(number)
    """)
    durable.execute(CARD, lambda: "first")
    other.hear()
    while other._lines.empty():
        assert durable.execute(CARD, lambda: pytest.fail("it ran")) == "first"
    assert durable.stats().total_cached == other.hear() + 1


def _times_out() -> None:
    raise TimeoutError
