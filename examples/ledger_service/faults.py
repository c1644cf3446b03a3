"""What can go wrong with one request, and the plan that says when it does."""

import threading
from collections.abc import Mapping, Sequence
from enum import StrEnum


class Fault(StrEnum):
    """One way for a request to go wrong. The value is the text that a person reads."""

    UNAVAILABLE = "503 before the work"
    DROPPED_BEFORE = "closed before the work"
    DROPPED_AFTER = "closed after the work"
    LATE = "answer later than the client waits"
    FATAL = "the client's process killed after the work"

    @property
    def does_the_work(self) -> bool:
        """Whether the effect happens although the client gets no answer."""
        return self in {Fault.DROPPED_AFTER, Fault.LATE, Fault.FATAL}


class Plan:
    """Which requests go wrong, and how.

    A plan is counted for each endpoint and subject (the invoice that the request is about, or "" when it names none),
    not for the service as a whole: invoices may then be handled at the same time, in any order, and each still meets
    exactly its own faults. Requests after the last planned one are served well.
    """

    def __init__(self, faults: Mapping[tuple[str, str], Sequence[Fault]] | None = None) -> None:
        """Take the faults of each (endpoint, subject), in the order in which its requests arrive."""
        self._faults = {place: tuple(sequence) for place, sequence in (faults or {}).items()}
        self._seen: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def next_fault(self, endpoint: str, subject: str) -> Fault | None:
        """Count one more request to this endpoint about this subject, and say what shall go wrong with it."""
        place = (endpoint, subject)
        with self._lock:
            occurrence = self._seen.get(place, 0)
            self._seen[place] = occurrence + 1
        planned = self._faults.get(place, ())
        return planned[occurrence] if occurrence < len(planned) else None

    def unused(self) -> list[tuple[str, str]]:
        """The (endpoint, subject) places whose faults have not all happened: what a run did not prove."""
        with self._lock:
            return [place for place, faults in self._faults.items() if self._seen.get(place, 0) < len(faults)]
