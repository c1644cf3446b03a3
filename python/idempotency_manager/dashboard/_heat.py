"""Which keys were asked for most often, as far as the looks have shown."""

from __future__ import annotations

from collections import defaultdict
from heapq import nlargest
from typing import TYPE_CHECKING

from ._model import Entry, Sample, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from idempotency_manager import IdempotencyRecord

REMEMBERED = 200
"""Keys asked for more than once that are remembered when they are no longer among the newest."""
ASKED_AGAIN = 20
"""Remembered keys that are looked up anew at each look."""
SHOWN = 20


class Heat:
    """Remembers what was hot, since the newest records are soon others."""

    def __init__(self) -> None:
        self._hot: dict[str, Entry] = {}
        self._single: dict[str, int] = {}
        self._seen = 0
        self._passes = 0
        self._is_newest = True

    def add(self, shown: Sequence[Entry], *, is_newest: bool, is_end: bool, now: datetime) -> None:
        """Note what a look has shown.

        Args:
            shown: The records.
            is_newest: Whether they are the newest of all.
            is_end: Whether a walk over all, of which they are a part, ends with them.
            now: The time.
        """
        self._is_newest = is_newest
        self._seen = len(shown) if is_newest else self._seen + len(shown)
        if is_end and not is_newest:
            self._passes += 1
        self._single = {}
        for entry in shown:
            if entry.attempts > 1:
                self._hot[entry.key] = entry
            elif entry.signal_id is not None:
                self._single[entry.signal_id] = self._single.get(entry.signal_id, 0) + 1
        kept = nlargest(REMEMBERED, self._living(now), key=_heat)
        self._hot = {entry.key: entry for entry in kept}

    def ask_again(self, shown: Iterable[Entry], get: Callable[[str], IdempotencyRecord | None]) -> None:
        """Look the hottest of those up that were not shown: they may be hotter by now, or gone."""
        hottest = [entry.key for entry in nlargest(ASKED_AGAIN, self._hot.values(), key=_heat)]
        fresh = {entry.key for entry in shown}
        for key in hottest:
            if key in fresh:
                continue
            record = get(key)
            if record is None:
                del self._hot[key]
            else:
                self._hot[key] = Entry.of(record)

    def _living(self, now: datetime) -> Iterable[Entry]:
        return (entry for entry in self._hot.values() if not entry.has_ended(now))

    def hottest(self, now: datetime) -> tuple[Entry, ...]:
        """Give the keys that were asked for most often."""
        return tuple(nlargest(SHOWN, self._living(now), key=_heat))

    def retried(self, now: datetime) -> tuple[Signal, ...]:
        """Give the signals whose actions were asked for again most often."""
        keys: dict[str, int] = defaultdict(int)
        calls: dict[str, int] = defaultdict(int)
        for entry in self._living(now):
            if entry.signal_id is not None:
                keys[entry.signal_id] += 1
                calls[entry.signal_id] += entry.attempts
        signals = [
            Signal(signal, count + self._single.get(signal, 0), calls[signal] + self._single.get(signal, 0))
            for signal, count in keys.items()
        ]
        return tuple(nlargest(SHOWN, signals, key=lambda signal: (signal.retries, signal.signal_id)))

    def sample(self) -> Sample:
        """Say which records all of this is of; a walk that begins anew counts anew."""
        return Sample(self._seen, self._is_newest, self._passes)

    def begin_walk(self) -> None:
        """A walk over all records begins anew."""
        self._seen = 0


def _heat(entry: Entry) -> tuple[int, datetime]:
    return entry.attempts, entry.started_at
