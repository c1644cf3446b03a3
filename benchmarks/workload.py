"""The one action that every contender does: a card is made on a board.

The loops are here, once, so that every contender is called by the same bytecode with the same arguments.
"""

from collections.abc import Awaitable, Callable, Iterable
from itertools import count, cycle, islice, repeat
from typing import TypedDict

import orjson


class CardArguments(TypedDict):
    """The four keyword arguments of the action."""

    signal_id: str
    board: str
    title: str
    position: int


CreateCard = Callable[..., dict[str, str]]
CreateCardLater = Callable[..., Awaitable[dict[str, str]]]


def create_card(*, signal_id: str, board: str, title: str, position: int) -> dict[str, str]:  # noqa: ARG001 - a real one would send them
    """The effect: cheap, so that what is measured is the guard around it. Its result has two fields."""
    return {"id": signal_id, "url": title}


async def create_card_later(*, signal_id: str, board: str, title: str, position: int) -> dict[str, str]:  # noqa: ARG001 - see create_card
    """The same as a coroutine function."""
    return {"id": signal_id, "url": title}


def arguments(number: int) -> CardArguments:
    """The arguments of action `number`: new objects each time, as a request just read would have."""
    return {
        "signal_id": f"evt_{number:08d}",
        "board": f"board_{number % 50}",
        "title": f"Invoice {number:08d} is overdue",
        "position": number,
    }


def call_again(function: CreateCard, calls: int) -> None:
    """The same call, over and over, its arguments the same objects each time."""
    for _ in repeat(None, calls):
        function(signal_id="evt_00004711", board="board_7", title="Invoice 00004711 is overdue", position=4711)


async def await_again(function: CreateCardLater, calls: int) -> None:
    """The same awaited call, over and over."""
    for _ in repeat(None, calls):
        await function(signal_id="evt_00004711", board="board_7", title="Invoice 00004711 is overdue", position=4711)


def call_each(function: CreateCard, many: Iterable[CardArguments]) -> None:
    """One call for each set of arguments."""
    for one in many:
        function(**one)


def call_round_robin(function: CreateCard, many: Iterable[CardArguments], calls: int) -> None:
    """So many calls, going round the sets of arguments."""
    call_each(function, islice(cycle(many), calls))


def equal_copies(number: int, copies: int) -> list[CardArguments]:
    """Arguments that are equal and not the same objects, as a webhook delivered twice has them."""
    encoded = orjson.dumps(arguments(number))
    return [orjson.loads(encoded) for _ in range(copies)]


def distinct(start: int = 0) -> Iterable[CardArguments]:
    """Actions that differ, without end."""
    return map(arguments, count(start))
