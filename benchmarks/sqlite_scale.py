"""Topic 12: a file with a million records beside one with ten thousand."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

from idempotency_manager import IdempotencyManager

from ._disk import file_system, folder_on_disk, read_through
from ._measure import SEED, Options, median, ratio
from ._report import Row, Table, Target
from ._sqlite_rows import SIGNAL_OF, add_rows, signal_of
from ._writer import Writer, writing
from .peers.on_disk import FULL, NORMAL, THIS, opener
from .peers.this_package import FILE

SIZES, QUICK_SIZES = (10_000, 1_000_000), (1_000, 10_000)
EXPIRED_OF = 10
"""Of so many records, one more has expired."""

SIGNALS = 20
QUIET_S, QUICK_QUIET_S = 2.0, 0.2
MOST_ROUNDS = 5
WARM_ROUNDS = 1
NS_PER_MS = 1e6

OPEN, STATS, FIND, CLEANUP = "open, and look one up", "stats", "find_keys_by_signal_id", "cleanup_expired"
BOUNDS = {OPEN: Target(1.5), FIND: Target(1.5), CLEANUP: Target(1.5)}
NOTHING, CLEANING = "nothing else", "during the cleanup"
BLOCKED = Target(50, "ms")
LINES = (FULL, NORMAL)

CAPTION = (
    "The package beside itself, on {system}; rows are added from outside, out of the time, and all files are in the "
    "system's page cache. Open: a new manager, and one record looked up. Find: the {found} keys of a signal, for "
    "{signals} signals. Cleanup: for each expired record removed, with the living around them. stats counts the "
    "records of each state, and nobody promises that to be flat. The ratio is to the smaller file."
)
WAITS = (
    "Another process makes first calls, without a rest, into the file with {size:,} records: for {quiet:g} s with "
    "nothing else there, then while {expired:,} expired records are removed. Its longest call of each round; the bound "
    "is on the longest of all rounds. With FULL it waits for the disk at each commit, and a disk that pauses shows "
    "with nothing else there, too; with NORMAL it waits for little but the other process."
)

Times = dict[tuple[str, str], list[float]]
"""Nanoseconds of each round, by case and by contender."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What another process's calls were like in a stretch of time."""

    longest_ns: int
    per_second: float


Waits = dict[tuple[str, str], Wait]
"""Of one round: by the setting of both processes, and by what else was going on."""


class Subject:
    """A file of our store, so many living records in it."""

    def __init__(self, folder: Path, size: int) -> None:
        """Makes the file and fills it."""
        self.folder, self.size, self.expired = folder, size, size // EXPIRED_OF
        self._upcoming = 0
        folder.mkdir()
        with self.open() as manager:
            manager.stats()
        self._add(size, expired=False)
        read_through(folder)

    def open(self, synchronous: str = FULL) -> IdempotencyManager:
        """A new manager of the file."""
        url = f"sqlite:///{self.folder / FILE}?synchronous={synchronous.lower()}"
        return IdempotencyManager(url, enable_auto_cleanup=False)

    def let_expire(self, records: int) -> None:
        """Adds records that have expired."""
        self._add(records, expired=True)

    def _add(self, records: int, *, expired: bool) -> None:
        add_rows(self.folder / FILE, range(self._upcoming, self._upcoming + records), expired=expired)
        self._upcoming += records


def run(options: Options) -> list[Table]:
    """Fills a small and a large file, and measures both in turns."""
    sizes = QUICK_SIZES if options.quick else SIZES
    quiet_s = QUICK_QUIET_S if options.quick else QUIET_S
    each: Times = defaultdict(list)
    whole: Times = defaultdict(list)
    waits: list[Waits] = []
    with folder_on_disk(options) as folder:
        small, large = (Subject(folder / str(size), size) for size in sizes)
        for turn in range(-WARM_ROUNDS, min(options.rounds, MOST_ROUNDS)):
            measured = [one for subject in (small, large) for one in (*_look(subject, turn), *_clean(subject, small))]
            wait = _disturb(large, turn, quiet_s)
            if turn >= 0:
                waits.append(wait)
                for case, label, spent, items in measured:
                    each[case, label].append(spent / items)
                    whole[case, label].append(spent)
        caption = CAPTION.format(system=file_system(folder), found=SIGNAL_OF, signals=SIGNALS)
    columns = ("ns per item", "fastest round", "ms in all")
    beside = Table("12  Scale, SQLite", caption, columns, "÷ smaller", _beside_the_smaller(each, whole))
    caption = WAITS.format(size=large.size, quiet=quiet_s, expired=large.expired)
    columns = ("calls/s", "ms, longest of a round", "ms, longest of all")
    waiting = Table("12  Scale, SQLite: another writer waits", caption, columns, "", _rows_of_waits(waits))
    return [beside, waiting]


Spent = tuple[str, str, int, int]
"""The case, the contender, nanoseconds, items."""


def _look(subject: Subject, turn: int) -> Iterator[Spent]:
    label = f"{subject.size:,} records"
    signals = [signal_of(SIGNAL_OF * number) for number in range(subject.size // SIGNAL_OF)]
    chosen = random.Random(SEED + turn).sample(signals, min(SIGNALS, len(signals)))
    start = perf_counter_ns()
    manager = subject.open()
    manager.get_record(f"{chosen[0]}:create_card:trello:0000000000000000")
    yield OPEN, label, perf_counter_ns() - start, 1
    with manager:
        start = perf_counter_ns()
        assert manager.stats().total_cached >= subject.size
        yield STATS, label, perf_counter_ns() - start, 1
        start = perf_counter_ns()
        found = sum(len(manager.find_keys_by_signal_id(signal)) for signal in chosen)
        yield FIND, label, perf_counter_ns() - start, found
        assert found == SIGNAL_OF * len(chosen)


def _clean(subject: Subject, small: Subject) -> Iterator[Spent]:
    """Cleans up as many as have expired in the small file, and in the larger one a tenth of it, too."""
    with subject.open() as manager:
        for expired in dict.fromkeys((small.expired, subject.expired)):
            subject.let_expire(expired)
            start = perf_counter_ns()
            removed = manager.cleanup_expired()
            yield CLEANUP, f"{expired:,} of {subject.size:,} records", perf_counter_ns() - start, removed
            assert removed == expired


def _disturb(subject: Subject, turn: int, quiet_s: float) -> Waits:
    """Cleans up while another process writes, both of them with one and with the other setting."""
    waits: Waits = {}
    for nth, line in enumerate(LINES):
        subject.let_expire(subject.expired)
        writer_number = (turn + WARM_ROUNDS) * len(LINES) + nth
        with subject.open(line) as manager, writing(opener(THIS, line), subject.folder, writer_number) as writer:
            quiet = perf_counter_ns()
            time.sleep(quiet_s)
            start = perf_counter_ns()
            manager.cleanup_expired()
            end = perf_counter_ns()
        waits[line, NOTHING] = _wait(writer.alone(quiet, start), quiet, start)
        waits[line, CLEANING] = _wait(writer, start, end)
    return waits


def _wait(writer: Writer, start: int, end: int) -> Wait:
    return Wait(writer.longest(start, end), writer.per_second(start, end))


def _beside_the_smaller(each: Times, whole: Times) -> tuple[Row, ...]:
    rows = []
    for case in (OPEN, STATS, FIND, CLEANUP):
        labels = [label for of, label in each if of == case]
        rows += [_row(case, label, each, median(whole[case, label]), labels[0]) for label in labels]
    return tuple(rows)


def _row(case: str, label: str, each: Times, whole: float, smallest: str) -> Row:
    mine = each[case, label]
    cells = (f"{median(mine):,.0f}", f"{min(mine):,.0f}", f"{whole / NS_PER_MS:.2f}")
    numbers = {"ns": median(mine), "ns_min": min(mine), "ns_in_all": whole}
    if label == smallest:
        return Row(case, label, cells, numbers=numbers)
    times = ratio(mine, each[case, smallest])
    row = Row(case, label, cells, times, numbers=numbers)
    return row.bounded(BOUNDS[case], times) if case in BOUNDS else row


def _rows_of_waits(rounds: list[Waits]) -> tuple[Row, ...]:
    rows = []
    for line, case in rounds[0]:
        waits = [waits[line, case] for waits in rounds]
        longest = [wait.longest_ns / NS_PER_MS for wait in waits]
        per_second = median([wait.per_second for wait in waits])
        cells = (f"{per_second:,.0f}", f"{median(longest):.1f}", f"{max(longest):.1f}")
        numbers = {"per_second": per_second, "ms_median": median(longest), "ms_max": max(longest)}
        row = Row(f"synchronous={line}", case, cells, numbers=numbers)
        rows.append(row.bounded(BLOCKED, max(longest)) if case == CLEANING else row)
    return tuple(rows)
