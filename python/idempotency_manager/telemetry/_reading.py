"""What is known of a manager at one moment: its store's counts, how full it is, and what this process has measured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from idempotency_manager._core import timing_bounds, timings
from idempotency_manager._default import get_manager

if TYPE_CHECKING:
    from typing import TypeAlias

    from idempotency_manager import AsyncIdempotencyManager, CacheInfo, IdempotencyManager, IdempotencyStats

    Manager: TypeAlias = IdempotencyManager | AsyncIdempotencyManager

_BOUNDS = tuple(timing_bounds())


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often something took how long.

    Attributes:
        counts: How often, for each bucket alone; the last is for what took longer than all bounds.
        sum: All of it together, in seconds.
        bounds: The upper bound of each bucket but the last, in seconds, itself included.
    """

    counts: tuple[int, ...]
    sum: float
    bounds: tuple[float, ...] = _BOUNDS

    @property
    def count(self) -> int:
        """How often altogether."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean, in seconds; 0.0 if there is nothing."""
        return self.sum / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Estimate how long at most it took in this share of all times, in seconds, as Prometheus does.

        Within a bucket all lengths are taken for equally likely; of what took longer than all bounds, the highest bound
        is all that is known. 0.0 if there is nothing.

        Args:
            share: From 0 to 1: 0.5 for the median.
        """
        wanted, lower, before = share * self.count, 0.0, 0
        for bound, upto in zip(self.bounds, accumulate(self.counts), strict=False):
            if upto >= wanted and upto > before:
                return lower + (bound - lower) * (wanted - before) / (upto - before)
            lower, before = bound, upto
        return self.bounds[-1] if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Timings:
    """What this process has measured of a manager since the first reading of it, or since it was forked.

    Attributes:
        claims: From the question for the right to execute to the store's answer; a wait for another caller that is at
            it is none of it, each question after such a wait is one. In a batch it is the round trip that claimed them
            all. Of claims that the memory store answers, the first 1,024 are timed, and then every 64th, which counts
            for 64.
        executions: From the beginning of an executor to its end, whatever it ended with.
        replays: Calls that were answered from a record.
        time_saved: What those would have taken: each counts with the mean time, as of then, that executions of its
            action type with a result have taken in this process; nothing, if there was none yet.
        duplicates_prevented: The replays, and what `check_executed` found, and callers that were turned away while
            another was at it.
        expired_cleaned: Expired records that this process has removed from a store that does not count them itself as
            they are met.
    """

    claims: Histogram
    executions: Histogram
    replays: int
    time_saved: timedelta
    duplicates_prevented: int
    expired_cleaned: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a manager at one moment.

    Attributes:
        stats: What the store has counted: for a memory store, in this process; for any other, for all who share it.
        cache_info: How full the store is.
        timings: What this process has measured.
    """

    stats: IdempotencyStats
    cache_info: CacheInfo
    timings: Timings


def read(manager: Manager | None = None) -> Reading:
    """Take a reading. The first one has a manager measure how long its claims and executions take.

    It waits for the store in this thread; a task calls it by `asyncio.to_thread` unless the store is `memory://`.

    Args:
        manager: Of either kind; by default the default manager.

    Raises:
        IdempotencyError: The manager is closed.
        StoreUnavailableError: The store is out of reach.
    """
    manager = get_manager() if manager is None else manager
    core = manager._core  # noqa: SLF001 - this package's own
    measured = measure(manager)
    return Reading(core.stats().wait(), core.cache_info().wait(), measured)


def measure(manager: Manager) -> Timings:
    """Give what this process has measured; the store is not asked."""
    claims, executions, replays, saved, prevented, cleaned = timings(manager._core)  # noqa: SLF001 - this package's own
    return Timings(
        Histogram(tuple(claims[0]), claims[1]),
        Histogram(tuple(executions[0]), executions[1]),
        replays,
        timedelta(seconds=saved),
        prevented,
        cleaned,
    )


def is_closed(manager: Manager) -> bool:
    """Whether there is nothing to read any more."""
    return manager._core.is_closed()  # noqa: SLF001 - this package's own


def is_local(manager: Manager) -> bool:
    """Whether the store's counts are this process's own."""
    return manager._core.is_local()  # noqa: SLF001 - this package's own


def scheme_of(manager: Manager) -> str:
    """The kind of store, as its URL begins."""
    return manager.config.store.partition("://")[0]
