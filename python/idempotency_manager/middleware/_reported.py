"""Exceptions that a framework turns into a response before they come by here."""

from __future__ import annotations

import sys
from contextvars import ContextVar

from idempotency_manager._types import final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token


@final
class Reported:
    """The exception that a request ended with, if anybody has said so."""

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: BaseException | None = None


_current: ContextVar[Reported | None] = ContextVar("idempotency_manager.reported", default=None)


def enter(reported: Reported) -> Token[Reported | None]:
    """Make a request the one that exceptions are reported for."""
    return _current.set(reported)


def leave(token: Token[Reported | None]) -> None:
    """End what `enter` began, in the same context.

    Raises:
        ValueError: It is another.
    """
    _current.reset(token)


def report_exception(_sender: object = None, *, exception: BaseException | None = None, **_: object) -> None:
    """Say which exception a response with a 5xx status stands for, so that it is judged like one that came out.

    Django and Flask make a response of every exception. Whether the action may have happened shows only in the
    exception: connected to their signal `got_request_exception`, this function passes it on.

    Args:
        exception: The exception; the one that is being handled if None.
    """
    reported = _current.get()
    error = exception if exception is not None else sys.exception()
    if reported is not None and error is not None:
        reported.error = error
