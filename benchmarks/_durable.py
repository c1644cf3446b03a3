"""Contenders that keep records in files: where each one runs, and how it is told what to do.

A piece of work gets the guarded action and the numbers of the actions that it is about, prepares what it needs, and
returns what is timed. It is a function of a module, so that it can be sent to another process.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from ._measure import Batch, Contender
from .peers.on_disk import Guarded, Open
from .workload import CardArguments, arguments, call_each

Work = Callable[[Guarded, range], Batch]
Prepare = Callable[[Work, range], Batch]
"""What a contender that is open does with a piece of work."""

ROOM = 10**8
STRIDE = 61_803_399
"""Has no factor in common with `ROOM`: multiples of it go everywhere, and never twice, before they come round."""


def scattered(number: int) -> CardArguments:
    """Action `number` of those whose signals come in no order, as the ids of webhooks do: all over an index."""
    return arguments(number * STRIDE % ROOM)


def first_calls(guarded: Guarded, numbers: range) -> Batch:
    """A call of each action, one after the other."""
    calls = [scattered(number) for number in numbers]
    return lambda count: call_each(guarded.plain, islice(calls, count))


@contextmanager
def here(open_: Open, folder: Path) -> Iterator[Prepare]:
    """Opens the contender in this process."""
    folder.mkdir(exist_ok=True)
    with open_(folder) as guarded:
        yield partial(_work_here, guarded)


def _work_here(guarded: Guarded, work: Work, numbers: range) -> Batch:
    return work(guarded, numbers)


@contextmanager
def apart(open_: Open, folder: Path) -> Iterator[Prepare]:
    """Opens the contender in a process of its own: for one with threads that would disturb the others."""
    folder.mkdir(exist_ok=True)
    context = get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_serve, args=(its, open_, folder), daemon=True)
    process.start()
    its.close()
    try:
        yield partial(_work_there, mine)
    finally:
        mine.close()
        process.join()


def _work_there(process: Connection, work: Work, numbers: range) -> Batch:
    process.send((work, numbers))
    process.recv()

    def batch(calls: int) -> None:
        process.send(calls)
        process.recv()

    return batch


def _serve(asked: Connection, open_: Open, folder: Path) -> None:
    batch: Batch = id
    with suppress(EOFError), open_(folder) as guarded:  # the end of the pipe is the end of the race
        while True:
            match asked.recv():
                case int(calls):
                    batch(calls)
                case (work, numbers):
                    gc.enable()
                    batch = work(guarded, numbers)
                    gc.collect()  # now, because the other process has a clock running while a batch runs
                    gc.disable()
            asked.send(None)


def fresh(name: str, prepare: Prepare, work: Work, calls: int, start: int = 0) -> Contender:
    """A contender whose batches are about actions that it has never seen, numbered from `start`."""
    upcoming = count(start, calls)

    def next_batch() -> Batch:
        first = next(upcoming)
        return prepare(work, range(first, first + calls))

    return Contender(name, next_batch, calls)
