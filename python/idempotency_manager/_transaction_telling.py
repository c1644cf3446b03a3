"""What a call in a transaction says of itself, and how it is made the current execution.

Each execution runs on an in-memory core of its own, which makes it the current one, and tells the log and `on_event`
how it ended. What no execution belongs to, a replay, is told here.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ._core import Core
from ._options import native_settings
from .exceptions import ReentrantCallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from datetime import timedelta
    from typing import Any, TypeVar

    from ._action import ActionLike
    from ._config import IdempotencyConfig
    from ._core import IdempotencyRecord
    from ._transaction_row import Named

    T = TypeVar("T")

_INFO, _WARNING = 20, 30


class _Running:
    """A key that is being executed in a database."""

    __slots__ = ("identity", "over")

    def __init__(self, identity: Hashable) -> None:
        self.identity = identity
        self.over = False


_RUNNING: ContextVar[tuple[_Running, ...]] = ContextVar("idempotency_manager.transactions", default=())


@contextmanager
def entered(place: Hashable, key: str) -> Iterator[None]:
    """Know what this context is inside of.

    Raises:
        ReentrantCallError: It is inside an execution of this key in this database already.
    """
    before = tuple(running for running in _RUNNING.get() if not running.over)
    own = _Running((place, key))
    if any(running.identity == own.identity for running in before):
        raise ReentrantCallError(key)
    token = _RUNNING.set((*before, own))
    try:
        yield
    finally:
        own.over = True
        _RUNNING.reset(token)


def run_as_current(config: IdempotencyConfig, action: ActionLike, body: Callable[[], T]) -> T:
    """Run a body as the current execution of an action."""
    results: list[T] = []

    def kept() -> T | None:
        results.append(body())
        # Nobody but an event's record shows it: a large result is not encoded twice.
        return None if config.on_event is None else results[0]

    scalars, policies = native_settings(config)
    scalars |= {"enable_auto_cleanup": False, "execute_without_store": False, "store_params": False}
    # What ends the body is undone with the transaction, and the caller of the body is told so.
    policies |= {"not_executed_on": (BaseException,), "replay_errors": (), "codec": None}
    core = Core({"engine": "memory"}, scalars, policies)
    try:
        core.execute(action, kept)
    finally:
        core.close()
    return results[0]


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """An `Event` of a record in a caller's own database: the same attributes."""

    kind: str
    key: str
    record: IdempotencyRecord | None
    duration: timedelta | None = None


def tell(config: IdempotencyConfig, kind: str, named: Named, record: IdempotencyRecord) -> None:
    """Tell the log and `on_event` of a call that was answered from a record."""
    text = "duplicate execution prevented" if kind == "replayed" else "the reconciler found that it had been executed"
    _write(_INFO, text, named, record.attempt_count)
    if config.on_event is not None:
        event = TransactionEvent(kind, named.key, record)
        with _reporting():
            config.on_event(event)


def warn(text: str, named: Named, attempts: int) -> None:
    """Write a warning that ends with the key."""
    _write(_WARNING, text, named, attempts)


def _write(level: int, text: str, named: Named, attempts: int) -> None:
    if level < _WARNING and "logging" not in sys.modules:
        return  # nobody would see it
    with _reporting():
        from logging import getLogger  # noqa: PLC0415 - dear, and often not needed

        extra: dict[str, Any] = {
            "idempotency_key": named.key,
            "signal_id": named.signal_id,
            "action_type": named.action_type,
            "target": named.target,
            "attempt_count": attempts,
        }
        getLogger("idempotency_manager").log(level, "%s: %s", text, named.key, extra=extra)


@contextmanager
def _reporting() -> Iterator[None]:
    """Report an exception as unraisable: what it was told of has happened all the same."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a listener raises
        _Unraisable(error)


class _Unraisable:
    """Raises where nobody can catch it, which is how Python code reaches `sys.unraisablehook`."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __del__(self) -> None:
        raise self._error
