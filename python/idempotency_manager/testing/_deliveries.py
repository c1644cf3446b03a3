"""The same call delivered twice, one after the other or at once, and what both came to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, final

from idempotency_manager.exceptions import AlreadyInProgressError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ._executions import Executed, Journal

_PATIENCE = 2.0
_OF_A_RESPONSE = ("status_code", "content", "data", "body")


@final
class Delivery:
    """One delivery of a call, and what it came to."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.result: Any = None
        self.error: BaseException | None = None

    def make(self, call: Callable[[], Any]) -> None:
        """Make the call in this thread."""
        try:
            self.result = call()
            if isawaitable(self.result):
                if isinstance(self.result, Coroutine):
                    self.result.close()
                raise TypeError("the call returned an awaitable: give the coroutine function itself")  # noqa: TRY301
        except BaseException as error:  # noqa: BLE001 - it is raised, or told of, where all have come to their end
            self.error = error

    async def amake(self, call: Callable[[], Awaitable[Any]]) -> None:
        """Make the call in this task."""
        try:
            self.result = await call()
        except Exception as error:  # noqa: BLE001 - likewise; a cancellation is the caller's
            self.error = error


def deliver_again(journal: Journal, call: Callable[[], Any], *, is_async: bool) -> Any:
    """Deliver a call twice, the second when the first is over, and compare what they came to."""
    before = len(journal.executions)
    first, second = Delivery(1), Delivery(2)
    if is_async:
        return _adeliver_again(journal, call, before)
    for delivery in (first, second):
        delivery.make(call)
        if first.error is not None:
            raise first.error
    return _agreed(journal, before, first, second)


async def _adeliver_again(journal: Journal, call: Callable[[], Any], before: int) -> Any:
    first, second = Delivery(1), Delivery(2)
    first.result = await call()
    await second.amake(call)
    return _agreed(journal, before, first, second)


def deliver_at_once(journal: Journal, call: Callable[[], Any], *, is_async: bool) -> Any:
    """Deliver a call twice, the second while the first executes, and compare what they came to."""
    before = len(journal.executions)
    first, second = Delivery(1), Delivery(2)
    if is_async:
        return _adeliver_at_once(journal, call, before)
    meeting = _Meeting(journal)
    threads = [
        threading.Thread(target=copy_context().run, args=(make, partial(delivery.make, call)))
        for make, delivery in ((meeting.first, first), (meeting.second, second))
    ]
    with meeting.held():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return _agreed(journal, before, first, second)


async def _adeliver_at_once(journal: Journal, call: Callable[[], Any], before: int) -> Any:
    import asyncio  # noqa: PLC0415 - dear, and only for those who use it

    first, second = Delivery(1), Delivery(2)
    await asyncio.gather(first.amake(call), second.amake(call))
    return _agreed(journal, before, first, second)


@final
class _Meeting:
    """Has the second delivery arrive while the first executes, which ends when the second has met it or is over."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execution: Executed | None = None
        self._executing = threading.Event()
        self._met = threading.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hear of executions in this block."""
        journal = self._journal
        before = journal.on_begin, journal.on_end, journal.on_busy
        journal.on_begin, journal.on_end, journal.on_busy = self._begins, self._ends, self._busy
        try:
            yield
        finally:
            journal.on_begin, journal.on_end, journal.on_busy = before

    def first(self, make: Callable[[], None]) -> None:
        """Make the first delivery."""
        make()
        self._executing.set()

    def second(self, make: Callable[[], None]) -> None:
        """Make the second delivery, once the first executes or is over."""
        self._executing.wait()
        make()
        self._met.set()

    def _begins(self, execution: Executed) -> None:
        if self._execution is None:
            self._execution = execution
            self._executing.set()

    def _ends(self, execution: Executed) -> None:
        if execution is self._execution:
            self._met.wait(_PATIENCE)

    def _busy(self, key: str) -> None:
        if self._execution is not None and key == self._execution.key:
            self._met.set()


def _agreed(journal: Journal, before: int, *deliveries: Delivery) -> Any:
    """Give the result of deliveries that came to the same, by one execution of each action.

    Raises:
        AssertionError: They did not.
    """
    __tracebackhide__ = True
    for delivery in deliveries:
        if delivery.error is not None and not isinstance(delivery.error, Exception):
            raise delivery.error
    returned = [delivery for delivery in deliveries if delivery.error is None]
    failed = [delivery for delivery in deliveries if not isinstance(delivery.error, AlreadyInProgressError | None)]
    if failed and not returned:
        raise failed[0].error  # type: ignore[misc]  # what failed has an error
    if failed:
        text = f"delivery {returned[0].number} returned {returned[0].result!r}, and delivery {failed[0].number} raised"
        raise AssertionError(f"{text} {failed[0].error!r}") from failed[0].error
    results = [delivery.result for delivery in returned]
    if not all(_is_same(results[0], other) for other in results[1:]):
        lines = ["the deliveries of one call came to different results", *map(_show, returned)]
        raise AssertionError("\n".join(lines))
    _check_once(journal.executions[before:])
    return results[0]


def _check_once(executions: list[Executed]) -> None:
    __tracebackhide__ = True
    often = [key for key, times in Counter(one.key for one in executions if one.counts).items() if times > 1]
    if often:
        lines = [f"  {execution}" for execution in executions if execution.key in often]
        raise AssertionError("\n".join(["one call that was delivered twice executed an action twice", *lines]))


def _has_no_equality(result: object) -> bool:
    return type(result).__eq__ is object.__eq__


def _is_same(one: object, other: object) -> bool:
    return _look(one) == _look(other) if _has_no_equality(one) else bool(one == other)


def _look(result: object) -> dict[str, object]:
    """Give what can be compared of an object without an equality of its own: an HTTP response's status and body."""
    look: dict[str, object] = {"class": type(result).__qualname__}
    for name in _OF_A_RESPONSE:
        with suppress(Exception):  # a body that is streamed, or of another framework
            value = getattr(result, name)
            if isinstance(value, int | str | bytes):
                look[name] = value
    return look


def _show(delivery: Delivery) -> str:
    look = f", {_look(delivery.result)}" if _has_no_equality(delivery.result) else ""
    return f"  delivery {delivery.number}: {delivery.result!r}{look}"
