"""A reading at every interval, handed to a callable in a thread of its own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from idempotency_manager._default import get_manager
from idempotency_manager._duration import to_timedelta
from idempotency_manager.exceptions import IdempotencyError

from ._closing import Closing
from ._reading import is_closed, measure, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager import AsyncIdempotencyManager, Duration, IdempotencyManager

    from ._reading import Reading

_LOG = logging.getLogger("idempotency_manager")
_PATIENCE = 2.0
"""How long the end of a process waits for the last call of each callable, in seconds."""


class Reporter(Closing):
    """What `every` has begun: a thread that ends with `close`, with the manager, or with the process.

    A context manager. In a forked child it goes on, in a thread of the child's own.
    """

    def __init__(
        self,
        interval: Duration,
        send_metrics: Callable[[Reading], object],
        manager: IdempotencyManager | AsyncIdempotencyManager | None = None,
    ) -> None:
        self._seconds = to_timedelta(interval, "interval", positive=True).total_seconds()
        self._send = send_metrics
        self._manager = get_manager() if manager is None else manager
        measure(self._manager)  # from now on, not from the first interval on
        self._begin()
        _RUNNING.add(self)

    def close(self) -> None:
        """Send one last reading and end the thread. Close it before its manager, or there is nothing to read."""
        self._end(None)

    def _begin(self) -> None:
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._ends,), name="idempotency-telemetry", daemon=True)
        self._thread.start()

    def _begin_anew(self) -> None:
        if not self._ends.is_set():
            self._begin()

    def _end(self, patience: float | None) -> None:
        _RUNNING.discard(self)
        self._ends.set()
        if self._thread is not threading.current_thread():
            self._thread.join(patience)

    def _run(self, ends: threading.Event) -> None:
        goes_on = True
        while goes_on:
            goes_on = not ends.wait(self._seconds)
            if is_closed(self._manager):
                return
            self._report()

    def _report(self) -> None:
        try:
            reading = read(self._manager)
        except IdempotencyError as problem:
            if not is_closed(self._manager):
                _LOG.warning("telemetry could not read a store, and tries again in %s s: %s", self._seconds, problem)
            return
        try:
            self._send(reading)
        except Exception:  # noqa: BLE001 - logged with its traceback, and the callable is called again
            _LOG.exception("telemetry: %r raised, and is called again in %s s", self._send, self._seconds)


def every(
    interval: Duration,
    send_metrics: Callable[[Reading], object],
    manager: IdempotencyManager | AsyncIdempotencyManager | None = None,
) -> Reporter:
    """Have a callable called with a `Reading` at every interval, in a background thread, and once more at the end.

    What it raises is logged, and it is called again at the next interval. A store that is out of reach is logged, too.

    Args:
        interval: How long to wait between two calls: 10, "10s", a timedelta.
        send_metrics: Takes a `Reading` and sends what it likes of it wherever it likes.
        manager: Of either kind; by default the default manager, as it is now.

    Returns:
        What ends it: `close()`, or the end of its `with` block.

    Raises:
        ConfigurationError: The interval is no duration, or not positive.
    """
    return Reporter(interval, send_metrics, manager)


_RUNNING: WeakSet[Reporter] = WeakSet()


def _end_all() -> None:
    for reporter in list(_RUNNING):
        reporter._end(_PATIENCE)  # noqa: SLF001 - this module's own


def _begin_all_anew() -> None:
    for reporter in list(_RUNNING):
        reporter._begin_anew()  # noqa: SLF001 - this module's own


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all_anew)
