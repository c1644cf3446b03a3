"""Another process that writes to the same file: how long did each of its calls take?"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter_ns

from ._durable import scattered
from .peers.on_disk import Open

Calls = list[tuple[int, int]]
"""When each call began and ended, in nanoseconds of the clock that the processes of a host share."""

ELSEWHERE = 10_000_000
"""The writer's actions are numbered from here on, where nobody else's are."""

MOST_CALLS = 1_000_000


@dataclass(slots=True)
class Writer:
    """What the other process did; empty until it has stopped."""

    calls: Calls

    def longest(self, start: int, end: int) -> int:
        """The longest of the calls that were under way between the two instants."""
        return max(stop - begin for begin, stop in self.calls if begin < end and stop > start)

    def alone(self, start: int, end: int) -> "Writer":
        """Only the calls that had begun and were over between the two instants."""
        return Writer([(begin, stop) for begin, stop in self.calls if start <= begin and stop <= end])

    def per_second(self, start: int, end: int) -> float:
        """How many calls a second ended between the two instants."""
        return sum(start <= stop < end for _, stop in self.calls) / (end - start) * 1e9


@contextmanager
def writing(open_: Open, folder: Path, turn: int) -> Iterator[Writer]:
    """While the block runs, another process makes first calls: a claim and a result each, and no rest between them."""
    context = get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_write, args=(its, open_, folder, turn), daemon=True)
    process.start()
    its.close()
    mine.recv()
    writer = Writer([])
    try:
        yield writer
        mine.send(None)
        writer.calls = mine.recv()
    finally:
        mine.close()
        process.join()


def _write(asked: Connection, open_: Open, folder: Path, turn: int) -> None:
    upcoming = count(ELSEWHERE + turn * MOST_CALLS)
    calls: Calls = []
    with open_(folder) as guarded:
        guarded.plain(**scattered(next(upcoming)))
        asked.send(None)
        while not asked.poll():
            action = scattered(next(upcoming))
            start = perf_counter_ns()
            guarded.plain(**action)
            calls.append((start, perf_counter_ns()))
    asked.send(calls)
