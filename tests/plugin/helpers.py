"""The helpers that the tests here call: their effects are lines in a list."""

from __future__ import annotations

import asyncio

from idempotency_manager import current_execution, idempotent

cards: list[str] = []


def _create(signal_id: str) -> str:
    cards.append(signal_id)
    return f"card-{len(cards)}"


@idempotent(target="trello")
def create_card(signal_id: str, title: str = "Hello") -> str:
    return _create(signal_id)


@idempotent(target="trello")
async def acreate_card(signal_id: str, title: str = "Hello") -> str:
    await asyncio.sleep(0)
    return _create(signal_id)


@idempotent(target="slack", on_in_doubt="retry")
def say(signal_id: str) -> str:
    return _create(signal_id)


@idempotent(target="trello", latch=True)
def create_card_latched(signal_id: str) -> str:
    execution = current_execution()
    assert execution is not None
    execution.dispatched()
    return _create(signal_id)


@idempotent(target="trello", on_in_doubt=lambda record: f"card-{cards.index(record.signal_id) + 1}")
def create_card_or_find_it(signal_id: str) -> str:
    return _create(signal_id)


@idempotent(target="trello")
def create_card_and_say(signal_id: str) -> str:
    card = create_card(signal_id)
    say(signal_id)
    return card


class Board:
    @idempotent(target="trello")
    def move(self, signal_id: str) -> str:
        return _create(signal_id)
