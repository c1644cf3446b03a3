"""Topic 3: a duplicate awaited call."""

import asyncio

from ._measure import Batch, Contender, Options, interleave, ready
from ._report import Table, Target, timed
from .peers import THIS, load_all
from .workload import CreateCardLater, await_again, create_card_later

BARE = "bare async def"
CASE = "await f(…) again"
LIMIT = Target(2)
BATCH_NS = 30_000_000
"""Long enough that starting a task and entering the loop, once for each batch, is lost in it."""

CAPTION = (
    "await f(…) of topic 2, on one event loop. The bare coroutine function does no look-up and builds its result "
    "anew. Missing: what can't guard a coroutine function (lru_cache and Powertools; see the facts under topic 2). "
    "The ratio is this package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races the awaits."""
    with asyncio.Runner() as runner:
        guarded = {peer.name: peer.decorate_async(create_card_later) for peer in load_all() if peer.awaits}
        functions = {THIS: guarded.pop(THIS), BARE: create_card_later, **guarded}
        samples = interleave([_contender(runner, *one) for one in functions.items()], options, batch_ns=BATCH_NS)
    rows = tuple(timed(CASE, name, samples, THIS, LIMIT if name == BARE else None) for name in functions)
    return [Table("3  Duplicate await", CAPTION, ("ns per await", "fastest round"), "this package ÷ it", rows)]


def _contender(runner: asyncio.Runner, name: str, function: CreateCardLater) -> Contender:
    runner.run(await_again(function, 1))
    return ready(name, _batch(runner, function))


def _batch(runner: asyncio.Runner, function: CreateCardLater) -> Batch:
    return lambda calls: runner.run(await_again(function, calls))
