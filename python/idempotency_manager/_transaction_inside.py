"""What a context is inside of: an executor that asks for its own key would wait for itself."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from contextvars import ContextVar

from .exceptions import ReentrantCallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator


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
        with suppress(ValueError):  # a coroutine may be closed in another context, where there is nothing to leave
            _RUNNING.reset(token)
