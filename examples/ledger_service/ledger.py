"""Every effect that really happened, whatever the caller was told about it."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Effect(StrEnum):
    """A kind of thing that the automation leaves behind. The value is the text that a person reads."""

    CARD = "Trello card"
    MESSAGE = "Slack message"
    FILE = "Drive file"
    ROW = "Sheets row"


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect: what kind, for which invoice, and the document that its API shows for it."""

    effect: Effect
    subject: str
    number: int
    document: dict[str, Any]


@dataclass(slots=True)
class Ledger:
    """The effects in the order in which they happened, and how many requests asked for or about them."""

    _entries: list[Entry] = field(default_factory=list)
    _requests: Counter[str] = field(default_factory=Counter)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, effect: Effect, subject: str, describe: Callable[[int], dict[str, Any]]) -> Entry:
        """Write one effect down.

        `describe` makes its document from its number, which counts from 1 within its kind. A reader never sees an
        effect without its document.
        """
        with self._lock:
            number = len(self.of(effect)) + 1
            entry = Entry(effect, subject, number, describe(number))
            self._entries.append(entry)
            return entry

    def of(self, effect: Effect) -> list[Entry]:
        """Return the effects of one kind, oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry.effect is effect]

    def count(self, effect: Effect, subject: str) -> int:
        """Return how often this effect happened for this invoice: 1 is right."""
        return sum(entry.subject == subject for entry in self.of(effect))

    def count_request(self, endpoint: str) -> None:
        """Count one request that arrived, served or not."""
        with self._lock:
            self._requests[endpoint] += 1

    def requests(self, endpoint: str) -> int:
        """Return how many requests arrived at an endpoint, served or not."""
        with self._lock:
            return self._requests[endpoint]
