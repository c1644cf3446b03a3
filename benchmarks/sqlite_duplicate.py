"""Topic 11: a duplicate call whose record is in a file: met before in this process, and not."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from ._disk import file_system, folder_on_disk, read_through
from ._durable import Prepare, apart, first_calls, here, scattered
from ._measure import SEED, Batch, Contender, Options, Samples, interleave
from ._report import Table, Target, timed
from .peers.hand_written import key_of
from .peers.on_disk import BY_HAND, DBOS, DISKCACHE, IN_MEMORY, MODULES, NORMAL, ONCE, THIS, Guarded, opener
from .peers.sqlite_by_hand import ACTION, FILE, LOOK, TARGET, connect
from .workload import call_again, call_each

SELECT = "its SELECT alone"
IN_FILES = (THIS, BY_HAND, DISKCACHE, ONCE)
AGAIN, FIRST_HERE = "met before in this process", "first time in this process"
FASTER = {DISKCACHE: Target(1), ONCE: Target(1), DBOS: Target(1)}
BOUNDS = {AGAIN: {IN_MEMORY: Target(2), **FASTER}, FIRST_HERE: {BY_HAND: Target(0.6), **FASTER}}
NAMES = {
    AGAIN: (THIS, IN_MEMORY, BY_HAND, DISKCACHE, ONCE, DBOS),
    FIRST_HERE: (THIS, BY_HAND, SELECT, DISKCACHE, ONCE, DBOS),
}
RECORDS, LOOKS = 20_000, 2_000
SLOW_RECORDS, SLOW_LOOKS = 400, 100
QUICKER = 10

CAPTION = (
    "A call whose record is in a file on {system}, among {records:,} others; nobody else writes. Met before: the same "
    "call again and again, as in topic 2. First time: each round opens the file anew and calls {looks:,} of the "
    "actions once each; opening and one call before the others are not in the time, and all files were just read, so "
    "the system has them in memory. Hand-written and diskcache make the key (sorted JSON, SHA-256), look, and decode; "
    "the SELECT alone has its key and decodes nothing. exactly-once claims before it looks. DBOS ({slow_records} "
    "records, {slow_looks} of them looked at) stays open: it keeps none in the process. All with synchronous=NORMAL, "
    "which a look does not notice. The ratio is this package's time divided by the row's."
)


Look = Callable[[list[int]], Batch]
"""Prepares a call of each of these actions."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many records a file has, and how many of them are looked at in a round."""

    records: int
    looks: int

    def choice(self, rounds: random.Random) -> list[int]:
        """The actions of the next round; number 0 is not among them, it warms up."""
        return rounds.sample(range(1, self.records), self.looks)


class Anew:
    """Opens a folder anew for each round: what the process kept of it is gone, what the system keeps is not."""

    def __init__(self, open_: Callable[[], AbstractContextManager[Look]], folder: Path, sizes: Sizes) -> None:
        """Takes what opens the folder, and yields what looks."""
        self._open, self._folder, self._sizes = open_, folder, sizes
        self._rounds = random.Random(SEED)
        self._opened = ExitStack()

    def __call__(self) -> Batch:
        """Prepares the next round."""
        self.close()
        read_through(self._folder)
        look = self._opened.enter_context(self._open())
        look([0])(1)
        return look(self._sizes.choice(self._rounds))

    def close(self) -> None:
        """Closes what the last round opened."""
        self._opened.close()


def run(options: Options) -> list[Table]:
    """Fills everybody's file, then races those who have met a record, and those who have not."""
    less = QUICKER if options.quick else 1
    many, few = Sizes(RECORDS // less, LOOKS // less), Sizes(SLOW_RECORDS // less, SLOW_LOOKS // less)
    with folder_on_disk(options) as folder, ExitStack() as stack:
        slow = stack.enter_context(apart(opener(DBOS, NORMAL), folder / MODULES[DBOS]))
        slow(first_calls, range(few.records))(few.records)
        for name in IN_FILES:
            with here(opener(name, NORMAL), folder / MODULES[name]) as prepare:
                prepare(first_calls, range(many.records))(many.records)
        samples = {
            AGAIN: _race_again(folder, slow, few, options),
            FIRST_HERE: _race_first_here(folder, slow, many, few, options),
        }
        caption = CAPTION.format(
            system=file_system(folder),
            records=many.records,
            looks=many.looks,
            slow_records=few.records,
            slow_looks=few.looks,
        )
    rows = tuple(
        timed(case, name, samples[case], THIS, BOUNDS[case].get(name))
        for case, names in NAMES.items()
        for name in names
    )
    return [Table("11  Duplicate call, SQLite", caption, ("ns per call", "fastest round"), "this package ÷ it", rows)]


def _race_again(folder: Path, slow: Prepare, few: Sizes, options: Options) -> dict[str, Samples]:
    with ExitStack() as stack:
        contenders = [Contender(DBOS, partial(slow, _again, range(1)), few.looks)]
        for name in (IN_MEMORY, *IN_FILES):
            opened = here(opener(name, NORMAL, look_first=True), folder / MODULES[name])
            contenders.append(Contender(name, partial(stack.enter_context(opened), _again, range(1))))
        return interleave(contenders, options)


def _again(guarded: Guarded, _numbers: range) -> Batch:
    call_again(guarded.plain, 1)
    return partial(call_again, guarded.plain)


def _race_first_here(folder: Path, slow: Prepare, many: Sizes, few: Sizes, options: Options) -> dict[str, Samples]:
    rounds = random.Random(SEED)
    contenders = [Contender(DBOS, lambda: slow(partial(_look_at, few.choice(rounds)), range(0)), few.looks)]
    with ExitStack() as stack:
        for name in (*IN_FILES, SELECT):
            open_, place = (_selecting, BY_HAND) if name == SELECT else (partial(_calling, name), name)
            anew = stack.enter_context(
                closing(Anew(partial(open_, folder / MODULES[place]), folder / MODULES[place], many))
            )
            contenders.append(Contender(name, anew, many.looks))
        return interleave(contenders, options)


@contextmanager
def _calling(name: str, folder: Path) -> Iterator[Look]:
    with opener(name, NORMAL, look_first=True)(folder) as guarded:
        yield lambda numbers: _look_at(numbers, guarded, range(0))


def _look_at(numbers: list[int], guarded: Guarded, _numbers: range) -> Batch:
    calls = [scattered(number) for number in numbers]
    return lambda count: call_each(guarded.plain, islice(calls, count))


@contextmanager
def _selecting(folder: Path) -> Iterator[Look]:
    with closing(connect(folder / FILE, NORMAL)) as connection:
        yield partial(_select, connection)


def _select(connection: sqlite3.Connection, numbers: list[int]) -> Batch:
    keys = [(key_of(ACTION, TARGET, dict(scattered(number))),) for number in numbers]

    def batch(count: int) -> None:
        for key in islice(keys, count):
            found = connection.execute(LOOK, key).fetchone()
            assert found is not None

    return batch
