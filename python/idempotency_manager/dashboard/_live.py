"""A store looked at in the background, until whoever watches has seen enough."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

from idempotency_manager.exceptions import IdempotencyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._model import Snapshot
    from ._watch import Watch


class Live:
    """Two threads: one looks at every interval and tells `listener`, one counts when it is time to.

    Args:
        watch: What looks.
        listener: Told of each snapshot, in the first thread.
    """

    def __init__(self, watch: Watch, listener: Callable[[Snapshot], object] = lambda _snapshot: None) -> None:
        self.watch = watch
        self._listener = listener
        self._over, self._nudged, self._paused = Event(), Event(), Event()
        self._threads = [
            Thread(target=self._look, name="idempotency-look", daemon=True),
            Thread(target=self._count, name="idempotency-count", daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; waits for a look that is under way, but for no count, which may take long."""
        self._over.set()
        self._nudged.set()
        self._threads[0].join()

    def nudge(self) -> None:
        """Look now."""
        self._nudged.set()

    def pause(self, *, paused: bool) -> None:
        """Look only when nudged, or go on."""
        (self._paused.set if paused else self._paused.clear)()

    def _look(self) -> None:
        while not self._over.is_set():
            nudged = self._nudged.wait(self.watch.interval.total_seconds())
            self._nudged.clear()
            if self._over.is_set() or (self._paused.is_set() and not nudged):
                continue
            self._listener(self.watch.look())

    def _count(self) -> None:
        while not self._over.wait(self.watch.wait_to_count()):
            if self._paused.is_set():
                self._over.wait(self.watch.interval.total_seconds())
                continue
            is_first = self.watch.is_uncounted
            try:
                self.watch.count()
            except IdempotencyError:
                continue  # the next look meets it, too, and says so
            if is_first:
                self.nudge()
