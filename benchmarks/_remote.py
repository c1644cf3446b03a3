"""Contenders whose records are on a server: what each is told to do, by one thread or by many tasks.

Everybody gets the same actions. Who has nothing but a client gets their keys and encoded results, ready made.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from itertools import count, cycle, islice
from typing import Any, TypeVar

import orjson

from ._durable import scattered
from ._measure import Batch, Contender, ready
from .peers.hand_written import key_of
from .peers.on_disk import CROWD, Guarded
from .peers.on_server import Entry
from .workload import CardArguments, CreateCardLater, call_each, call_round_robin, create_card

T = TypeVar("T")

HOT = 1_000
"""Actions that were done before; duplicate calls go round them."""

FIRST_NEW = 1_000_000
"""The number of the first action that nobody has done; the hot ones are below."""

DUPLICATE, FIRST, IN_TURN = "duplicate call", "first call", "first call and its duplicate"


def hot() -> list[CardArguments]:
    """The actions that were done before."""
    return list(map(scattered, range(HOT)))


def entry(arguments: CardArguments) -> Entry:
    """The action's record for those who have nothing but a client."""
    key = key_of(create_card.__name__, "trello", dict(arguments))
    return Entry(key, orjson.dumps(create_card(**arguments)).decode())


def settle(guarded: Guarded) -> None:
    """Does the hot actions, and checks that a duplicate call gets the result."""
    for one in hot():
        assert guarded.plain(**one) == create_card(**one)
    for one in hot()[:3]:
        assert guarded.plain(**one) == create_card(**one)


class Fresh:
    """Actions that nobody has done yet, so many for each round; everybody who has records of its own gets the same."""

    def __init__(self, calls: int, start: int = FIRST_NEW) -> None:
        """Begins with the action of that number."""
        self.calls = calls
        self._starts = count(start, calls)

    def __call__(self) -> list[CardArguments]:
        """The next round's."""
        start = next(self._starts)
        return list(map(scattered, range(start, start + self.calls)))


# ---------------------------------------------------------------- one thread


def duplicates(name: str, guarded: Guarded) -> Contender:
    """Duplicate calls of a guarded function."""
    return ready(name, partial(call_round_robin, guarded.plain, hot()))


def first_calls(name: str, guarded: Guarded, calls: int) -> Contender:
    """First calls of a guarded function."""
    fresh = Fresh(calls)
    return Contender(name, lambda: partial(_call, guarded, fresh()), calls)


def pairs(name: str, guarded: Guarded, calls: int) -> Contender:
    """A first call and at once its duplicate, in turn: the kind of the next call can't be told from the last one's."""
    fresh = Fresh(calls, FIRST_NEW * 20)

    def prepare() -> Batch:
        twice = [one for one in fresh() for _ in range(2)]
        return lambda _calls: call_each(guarded.plain, twice)

    return Contender(name, prepare, calls)


def _call(guarded: Guarded, arguments: list[CardArguments], _calls: int) -> None:
    call_each(guarded.plain, arguments)


Commands = Callable[[Iterable[Entry]], object]
"""Commands of a client, for each of these records."""


def looks(name: str, look: Commands) -> Contender:
    """What a client does to read a record, going round the hot ones."""
    entries = list(map(entry, hot()))
    return ready(name, lambda calls: look(islice(cycle(entries), calls)))


def writes(name: str, write: Commands, calls: int, start: int = FIRST_NEW) -> Contender:
    """What a client does to claim a record and to complete it."""
    fresh = Fresh(calls, start)

    def prepare() -> Batch:
        entries = list(map(entry, fresh()))
        return lambda _calls: write(entries)

    return Contender(name, prepare, calls)


# ---------------------------------------------------------------- many tasks


Work = Callable[[Sequence[T]], Coroutine[Any, Any, None]]
"""What one task does, with its share."""


class Tasks:
    """Asyncio tasks in one event loop that stays from round to round, as a service's does; connections belong to it."""

    def __init__(self, runner: asyncio.Runner) -> None:
        """Has a loop; who opened it closes it."""
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine in the loop."""
        return self._runner.run(work)

    def duplicates(self, name: str, guarded: Guarded, calls: int) -> Contender:
        """Duplicate calls of a guarded coroutine function."""
        assert guarded.later is not None
        return self._contender(name, partial(_await_each, guarded.later), partial(_round, hot(), calls), calls)

    def first_calls(self, name: str, guarded: Guarded, calls: int) -> Contender:
        """First calls of a guarded coroutine function."""
        assert guarded.later is not None
        return self._contender(name, partial(_await_each, guarded.later), Fresh(calls), calls)

    def looks(self, name: str, look: Work[Entry], calls: int) -> Contender:
        """What a client does to read a record."""
        return self._contender(name, look, partial(_round, list(map(entry, hot())), calls), calls)

    def writes(self, name: str, write: Work[Entry], calls: int) -> Contender:
        """What a client does to claim a record and to complete it."""
        fresh = Fresh(calls)
        return self._contender(name, write, lambda: list(map(entry, fresh())), calls)

    def _contender(self, name: str, work: Work[T], items: Callable[[], Sequence[T]], calls: int) -> Contender:
        return Contender(name, lambda: self._batch(work, items()), calls)

    def _batch(self, work: Work[T], items: Sequence[T]) -> Batch:
        shares = [items[start::CROWD] for start in range(CROWD)]

        async def together() -> None:
            await asyncio.gather(*map(work, shares))

        return lambda _calls: self.run(together())


def _round(items: Sequence[T], calls: int) -> list[T]:
    return list(islice(cycle(items), calls))


async def _await_each(later: CreateCardLater, calls: Sequence[CardArguments]) -> None:
    for one in calls:
        await later(**one)
