"""Looking at a store again and again, at a cost that does not grow with what it holds."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from idempotency_manager._types import State
from idempotency_manager.exceptions import StoreError

from ._heat import Heat
from ._model import Counters, Doubts, Entry, Held, Point, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager import IdempotencyManager

SAMPLE = 2_000
"""Records that a look shows."""
EXPIRING_SHOWN = 20
DOUBTS_SHOWN = 100
HISTORY = timedelta(hours=1)
SMOOTHED = 5.0
"""Seconds that a point of a plot is of: whoever uses the store tells it what was counted about once a second."""
QUICK = 0.01
"""A search for what is in doubt that took no longer, in seconds, is a part of each look."""
SHARE = 0.01
"""Of the time, at most so much goes into what costs more the more the store holds."""


class Watch:
    """Looks at one store. `look` is quick whatever the store holds; `count` need not be, and may run beside it.

    Args:
        manager: Of the store; it stays the caller's.
        interval: Between two looks, as the caller means to take them.
        now: The time.
        tick: Seconds that only ever grow, to measure by.
    """

    def __init__(
        self,
        manager: IdempotencyManager,
        interval: timedelta = timedelta(seconds=2),
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self.manager = manager
        self.interval = interval
        self._now, self._tick = now, tick
        self._core = manager._core  # noqa: SLF001 - a part of this package
        self._lock = Lock()
        self._heat = Heat()
        self._cursor: str | None = None
        self._history: deque[Point] = deque(maxlen=max(2, int(HISTORY / interval)))
        self._before: deque[tuple[float, Counters]] = deque()
        self._held: Held | None = None
        self._doubts: Doubts | None = None
        self._doubts_took = QUICK
        self._due = tick()
        config = manager.config
        self._latest = Snapshot(config.store, config.namespace, now())

    @property
    def is_uncounted(self) -> bool:
        """Whether nothing has been counted yet."""
        return self._held is None

    @property
    def latest(self) -> Snapshot:
        """What the last look found."""
        return self._latest

    def look(self) -> Snapshot:
        """Look once. A store that does not answer is told of in the snapshot.

        Raises:
            StoreError: The first look failed: there is nothing to show.
        """
        try:
            found = self._look()
        except StoreError as problem:
            if not self._before:
                raise
            found = self._failed(problem)
        self._latest = found
        return found

    def _look(self) -> Snapshot:
        stats, records, is_newest, cursor, ending = self._core.glance(self._cursor, SAMPLE).wait()
        now, counters = self._now(), Counters.of(stats)
        if not is_newest and self._cursor is None:
            self._heat.begin_walk()
        self._cursor = cursor
        shown = [Entry.of(record) for record in records]
        self._heat.add(shown, is_newest=is_newest, is_end=cursor is None, now=now)
        self._heat.ask_again(shown, self.manager.get_record)
        self._note(counters, now)
        if self._doubts_took < QUICK:
            self.find_doubts()
        return Snapshot(
            self._latest.store,
            self._latest.namespace,
            now,
            counters,
            self._held,
            tuple(self._history),
            self._heat.hottest(now),
            self._heat.retried(now),
            tuple(Entry.of(record) for record in ending[:EXPIRING_SHOWN]),
            self._doubts_with(shown),
            self._heat.sample(),
        )

    def _failed(self, problem: StoreError) -> Snapshot:
        last = self._latest
        return Snapshot(
            **{name: getattr(last, name) for name in Snapshot.__dataclass_fields__ if name != "problem"},
            problem=f"{type(problem).__name__}: {problem}",
        )

    def _note(self, counters: Counters, now: datetime) -> None:
        """Add what happened since the look before; statistics that were reset meanwhile begin anew."""
        at = self._tick()
        while len(self._before) > 1 and self._before[0][0] <= at - SMOOTHED:
            self._before.popleft()
        if self._before and at > self._before[0][0]:
            then, before = self._before[0]
            hits, misses = counters.hits - before.hits, counters.misses - before.misses
            duplicates = counters.duplicates_prevented - before.duplicates_prevented
            if min(hits, misses, duplicates) >= 0:
                rate = 100 * hits / (hits + misses) if hits + misses else None
                self._history.append(Point(now, rate, duplicates / (at - then)))
            else:
                self._before.clear()
        self._before.append((at, counters))

    # ---------------------------------------------------------------- what may take longer

    def wait_to_count(self) -> float:
        """Give the seconds until it is time to count again."""
        return max(0.0, self._due - self._tick())

    def count(self) -> None:
        """Count what the store holds, and look for what is in doubt.

        Raises:
            StoreError: The store does not answer.
        """
        start = self._tick()
        try:
            self.find_doubts()
            stats = self.manager.stats()
            took = timedelta(seconds=self._tick() - start)
            max_size = self.manager.config.max_cache_size
            with self._lock:
                self._held = Held(stats.total_cached, stats.in_progress, stats.in_doubt, max_size, self._now(), took)
        finally:
            end = self._tick()
            self._due = end + max(self.interval.total_seconds(), (end - start) / SHARE)

    def find_doubts(self) -> Doubts:
        """Look for what is in doubt, at once."""
        start = self._tick()
        keys = self._core.find_in_doubt().wait()
        records = [self.manager.get_record(key) for key in keys[:DOUBTS_SHOWN]]
        entries = [Entry.of(record) for record in records if record is not None]
        doubts = Doubts(tuple(sorted(entries, key=lambda entry: entry.started_at)), len(keys))
        with self._lock:
            self._doubts, self._doubts_took = doubts, self._tick() - start
        return doubts

    def settled(self, key: str) -> None:
        """Note that a key is not in doubt any more, so that no snapshot shows it until it is looked for again."""
        with self._lock:
            if self._doubts is not None:
                entries = tuple(entry for entry in self._doubts.entries if entry.key != key)
                gone = len(self._doubts.entries) - len(entries)
                self._doubts = Doubts(entries, self._doubts.total - gone)

    def _doubts_with(self, shown: list[Entry]) -> Doubts | None:
        """Give what is known to be in doubt: what was found last, and what a look has come across since."""
        met = {entry.key: entry for entry in shown if entry.state is State.IN_DOUBT}
        with self._lock:
            if self._doubts is None:
                return None
            for entry in self._doubts.entries:
                met.pop(entry.key, None)
            if met and self._doubts.total < DOUBTS_SHOWN:
                entries = tuple(sorted((*self._doubts.entries, *met.values()), key=lambda entry: entry.started_at))
                self._doubts = Doubts(entries, self._doubts.total + len(met))
            return self._doubts
