"""How a time is taken: interleaved rounds, shuffled order, the garbage collector off.

A shared machine slows down and speeds up while a benchmark runs. Contenders that take turns within each round see
the same weather, so a ratio is the median of the ratios within rounds, not the ratio of two medians. The order is
shuffled, not rotated: whoever always follows the same neighbour inherits the heap that it leaves behind.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SEED = 4711
WARM_ROUNDS = 1

Batch = Callable[[int], object]
"""Makes the given number of calls in a row; the loop is inside, so no call of ours stands between them."""


class OwnTime(int):
    """Nanoseconds that a batch took by its own clock, where a process that it starts must not count."""


Samples = Sequence[float]
"""Nanoseconds per call, one for each round."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    rounds: int
    quick: bool
    directory: Path | None = None

    @property
    def batch_ns(self) -> int:
        """How long one batch should take, in nanoseconds: long enough to drown the clock's own cost."""
        return 1_000_000 if self.quick else 10_000_000


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody in a race.

    Attributes:
        name: How the table calls it.
        prepare: Called outside the measured time before each of its batches; returns what is measured.
        calls: Calls in a batch; None finds out how many fill the time that was asked for.
    """

    name: str
    prepare: Callable[[], Batch]
    calls: int | None = None


def ready(name: str, batch: Batch) -> Contender:
    """A contender that needs no preparation between rounds."""
    return Contender(name, lambda: batch)


def interleave(contenders: Sequence[Contender], options: Options, *, batch_ns: int = 0) -> dict[str, Samples]:
    """Races the contenders and returns each one's nanoseconds per call, round by round."""
    budget = batch_ns or options.batch_ns
    calls = {one.name: one.calls or calls_that_fill(one.prepare(), budget) for one in contenders}
    samples: dict[str, list[float]] = {one.name: [] for one in contenders}
    order = list(contenders)
    shuffle = random.Random(SEED).shuffle
    for turn in range(-WARM_ROUNDS, options.rounds):
        shuffle(order)
        for one in order:
            count = calls[one.name]
            spent = elapsed_ns(one.prepare(), count)
            if turn >= 0:
                samples[one.name].append(spent / count)
    return dict(samples)


def elapsed_ns(batch: Batch, calls: int) -> int:
    """The time that a batch of so many calls takes, in nanoseconds; what it returns, if that is its `OwnTime`."""
    with _no_collector():
        start = time.perf_counter_ns()
        answer = batch(calls)
        spent = time.perf_counter_ns() - start
    return answer if isinstance(answer, OwnTime) else spent


def median(samples: Samples) -> float:
    """The middle round."""
    return statistics.median(samples)


def ratio(samples: Samples, reference: Samples) -> float:
    """The median of the ratios within rounds."""
    return statistics.median(mine / theirs for mine, theirs in zip(samples, reference, strict=True))


def above(samples: Mapping[str, Samples], floor: str) -> dict[str, Samples]:
    """What each contender costs on top of the one called `floor`, round by round."""
    return {
        name: [mine - least for mine, least in zip(rounds, samples[floor], strict=True)]
        for name, rounds in samples.items()
        if name != floor
    }


def calls_that_fill(batch: Batch, budget_ns: int) -> int:
    """How many calls in a row take about so many nanoseconds; a single hiccup of the machine does not fool it."""
    calls = 1
    while (spent := min(elapsed_ns(batch, calls), elapsed_ns(batch, calls))) < budget_ns / 4:
        calls *= 2
    return max(1, round(calls * budget_ns / spent))


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
