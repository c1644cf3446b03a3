"""Topic 10: many callers at once, and whether they share the wait for the disk."""

import asyncio
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Barrier

from ._disk import file_system, folder_on_disk
from ._durable import Work, apart, first_calls, fresh, here, scattered
from ._measure import Batch, Contender, Options, Samples, interleave, median, ratio
from ._report import Row, Table, Target, timed
from .peers.on_disk import BY_HAND, CROWD, DBOS, DISKCACHE, FULL, IN_MEMORY, MODULES, ONCE, THIS, Guarded, opener
from .workload import CardArguments, CreateCardLater, call_each

ONE, THREADS, TASKS = "1 thread", f"{CROWD} threads", f"{CROWD} tasks"
CALLS, EACH = 1_000, 10
MORE_EACH = {THIS: 60, IN_MEMORY: 60, DBOS: 1}
"""Calls of each of many, where a round would else be over too soon, or never."""

SLOW_CALLS = {DBOS: 20}
APART = 10_000_000
"""How far the numbers of the actions of two kinds of work over one file are from each other."""

NO_TASKS = (BY_HAND, DISKCACHE)
LIMIT = Target(10, at_least=True)
FASTER = {DISKCACHE: Target(1), ONCE: Target(1), DBOS: Target(1)}

CAPTION = (
    "First calls as in topic 9, synchronous=FULL, on {system}: {calls:,} a round from one thread (DBOS: {slow}), and "
    "from {crowd} threads or asyncio tasks {each} each (this package: {more}, DBOS: 1). The threads stay from round to "
    "round. Calls that come at the same time can share one wait for the disk. The ratio is many callers' calls per "
    "second divided by one thread's of the same contender. The memory store, which waits for no disk, shows what "
    "the interpreter leaves room for."
)
BESIDE = (
    "The same rounds. Hand-written and diskcache have nothing for asyncio; exactly-once waits for the disk in the "
    "event loop. The ratio is this package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Races one caller and many of each contender, all in one race."""
    with folder_on_disk(options) as folder, ExitStack() as stack:
        contenders = [one for name in MODULES for one in _open(stack, folder, name)]
        samples = interleave(contenders, options)
        system = file_system(folder)
    caption = CAPTION.format(
        system=system, crowd=CROWD, calls=CALLS, slow=SLOW_CALLS[DBOS], each=EACH, more=MORE_EACH[THIS]
    )
    cases = {many: [name for name in MODULES if _label(name, many) in samples] for many in (THREADS, TASKS)}
    beside_itself = tuple(_row(many, name, samples) for many, names in cases.items() for name in names)
    beside_others = tuple(row for many, names in cases.items() for row in _rows(many, names, samples))
    columns = ("calls/s, 1 thread", "calls/s, many")
    title = "10  Group commit, SQLite"
    return [
        Table(title, caption, columns, "many ÷ 1", beside_itself),
        Table(f"{title}: beside others", BESIDE, ("ns per call", "fastest round"), "this package ÷ it", beside_others),
    ]


def _open(stack: ExitStack, folder: Path, name: str) -> list[Contender]:
    """The contender's three, over one file."""
    place = apart if name == DBOS else here
    one, many = SLOW_CALLS.get(name, CALLS), CROWD * MORE_EACH.get(name, EACH)
    prepare = stack.enter_context(place(opener(name, FULL), folder / MODULES[name]))
    works: list[tuple[str, Work, int]] = [(ONE, first_calls, one), (THREADS, by_threads, many)]
    if name not in NO_TASKS:
        works.append((TASKS, by_tasks, many))
    return [
        fresh(_label(name, case), prepare, work, calls, start * APART)
        for start, (case, work, calls) in enumerate(works)
    ]


def by_threads(guarded: Guarded, numbers: range) -> Batch:
    """A call of each action, from as many threads as there are."""
    shares = _shares(numbers)

    def batch(_calls: int) -> None:
        together = Barrier(len(shares))
        work = partial(_call_together, guarded, together)
        list(guarded.crowd.map(work, shares))

    return batch


def _call_together(guarded: Guarded, together: Barrier, calls: list[CardArguments]) -> None:
    together.wait()  # so no thread takes two shares
    call_each(guarded.plain, calls)


def by_tasks(guarded: Guarded, numbers: range) -> Batch:
    """A call of each action, from as many tasks of one event loop."""
    shares = _shares(numbers)
    assert guarded.later is not None
    work = partial(_await_each, guarded.later)

    async def together() -> None:
        await asyncio.gather(*map(work, shares))

    return lambda _calls: asyncio.run(together())


async def _await_each(later: CreateCardLater, calls: list[CardArguments]) -> None:
    for one in calls:
        await later(**one)


def _shares(numbers: range) -> list[list[CardArguments]]:
    return [[scattered(number) for number in numbers[start::CROWD]] for start in range(CROWD)]


def _label(name: str, many: str) -> str:
    return f"{name}, {many}"


def _row(many: str, name: str, samples: dict[str, Samples]) -> Row:
    one, crowd = samples[_label(name, ONE)], samples[_label(name, many)]
    times = ratio(one, crowd)
    cells = (f"{1e9 / median(one):,.0f}", f"{1e9 / median(crowd):,.0f}")
    row = Row(many, name, cells, times, numbers={"ns_1": median(one), f"ns_{CROWD}": median(crowd)})
    return row.bounded(LIMIT, times) if name == THIS else row


def _rows(many: str, names: list[str], samples: dict[str, Samples]) -> list[Row]:
    crowds = {name: samples[_label(name, many)] for name in names}
    return [timed(many, name, crowds, THIS, FASTER.get(name)) for name in names]
