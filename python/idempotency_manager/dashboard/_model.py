"""What is shown of a store, whoever shows it: a `Snapshot`, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from idempotency_manager import IdempotencyRecord, IdempotencyStats, State


@dataclass(frozen=True, slots=True)
class Counters:
    """What the store has counted since its statistics were last reset."""

    hits: int = 0
    misses: int = 0
    duplicates_prevented: int = 0
    expired_cleaned: int = 0
    evicted: int = 0

    @classmethod
    def of(cls, stats: IdempotencyStats) -> Counters:
        """Read them from statistics."""
        return cls(
            stats.cache_hits, stats.cache_misses, stats.duplicates_prevented, stats.expired_cleaned, stats.evicted
        )

    @property
    def lookups(self) -> int:
        """Look-ups, whatever they found."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """Look-ups that found a finished record, in percent; None where there was no look-up."""
        return 100 * self.hits / self.lookups if self.lookups else None


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds, counted now and then: to count everything at every look would burden it."""

    finished: int
    in_progress: int
    in_doubt: int
    max_size: int | None
    counted_at: datetime
    took: timedelta

    @property
    def size(self) -> int:
        """Records of all states."""
        return self.finished + self.in_progress + self.in_doubt

    @property
    def utilization(self) -> float | None:
        """How full it is, in percent; None where there is no cap."""
        return 100 * self.size / self.max_size if self.max_size else None


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in the seconds before a look."""

    at: datetime
    hit_rate: float | None
    """In percent; None where there was no look-up."""
    duplicates_per_second: float


def thinned(history: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Give so many points at most, each for as many in a row as it takes: a plot has no room for more."""
    step = -(-len(history) // most)
    if step <= 1:
        return tuple(history)
    # From the newest back, so that the last point is always of a whole step.
    ends = range(len(history), 0, -step)
    return tuple(_mean(history[max(0, end - step) : end]) for end in reversed(ends))


def _mean(points: Sequence[Point]) -> Point:
    rates = [point.hit_rate for point in points if point.hit_rate is not None]
    rate = sum(rates) / len(rates) if rates else None
    return Point(points[-1].at, rate, sum(point.duplicates_per_second for point in points) / len(points))


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, as far as it is shown: neither params nor result, which may be large, or secret."""

    key: str
    state: State
    signal_id: str | None
    action_type: str | None
    target: str | None
    attempts: int
    started_at: datetime
    executed_at: datetime | None
    expires_at: datetime
    owner: str | None
    error: str | None

    @classmethod
    def of(cls, record: IdempotencyRecord) -> Entry:
        """Take what is shown of a record."""
        return cls(
            record.key,
            record.state,
            record.signal_id,
            record.action_type,
            record.target,
            record.attempt_count,
            record.started_at,
            record.executed_at,
            record.expires_at,
            record.owner,
            record.error,
        )

    def has_ended(self, now: datetime) -> bool:
        """Whether it is finished and its time is over."""
        return self.executed_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that was retried."""

    signal_id: str
    keys: int
    """Its actions among the records that were looked at."""
    calls: int
    """How often they were asked for, together."""

    @property
    def retries(self) -> int:
        """Calls beyond the first of each action."""
        return self.calls - self.keys


@dataclass(frozen=True, slots=True)
class Sample:
    """Which records the hottest keys and the most retried signals are taken from."""

    records: int
    """Looked at so far."""
    is_newest: bool
    """Whether a look shows the newest records. Else each shows another part of all records, round and round."""
    passes: int = 0
    """How often all records have been looked at, where a look shows a part of them."""

    def __str__(self) -> str:
        """Say it."""
        if self.is_newest:
            return f"of the {self.records:,} newest records, and of what was hot among them before"
        if self.passes:
            return f"of all records, {self.records:,} looked at since the last time around"
        return f"of {self.records:,} records looked at so far, a part of all at each look"


@dataclass(frozen=True, slots=True)
class Doubts:
    """Actions in doubt: started, never finished."""

    entries: tuple[Entry, ...] = ()
    total: int = 0
    """With those that are too many to show."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A store at one moment."""

    store: str
    """Its URL, without the password."""
    namespace: str
    taken_at: datetime
    counters: Counters = field(default_factory=Counters)
    held: Held | None = None
    """None until it has been counted."""
    history: tuple[Point, ...] = ()
    hottest: tuple[Entry, ...] = ()
    retried: tuple[Signal, ...] = ()
    expiring: tuple[Entry, ...] = ()
    doubts: Doubts | None = None
    """None until they have been looked for."""
    sample: Sample = Sample(0, is_newest=True)
    problem: str | None = None
    """Why the newest look failed; what is shown is from the last one that did not."""
