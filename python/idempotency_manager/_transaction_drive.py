"""Taking the steps of a call, in a thread or in an asyncio task.

The sequence of a call is written once, as a generator. It yields what is to be done, a callable at a time, and is sent
what came of it, or thrown what was raised. Whether that has to be awaited is known here alone.
"""

from __future__ import annotations

from functools import partial
from inspect import GEN_CLOSED, getgeneratorstate

from .exceptions import InvalidActionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    Step: TypeAlias = Callable[[], Any]
    Steps: TypeAlias = Generator[Step, Any, T]
    """Steps that end with a value."""


def drive(steps: Steps[T]) -> T:
    """Take all steps, each of which is done when it returns."""
    advance: Callable[[], Step] = partial(next, steps)
    while True:
        try:
            return _drive(steps, advance)
        except BaseException as error:
            if getgeneratorstate(steps) == GEN_CLOSED:  # it is what the sequence has ended with
                raise
            advance = partial(steps.throw, error)  # Ctrl-C between two steps


def _drive(steps: Steps[T], advance: Callable[[], Step]) -> T:
    stopped: StopIteration | None = None
    while True:
        try:
            step = advance()
        except StopIteration as end:
            ended: T = end.value
            return ended
        except RuntimeError as error:
            if stopped is not None and error.__cause__ is stopped:
                raise stopped from None  # no generator can end with this one, and the sequence is one
            raise
        try:
            advance = partial(steps.send, _at_hand(step()))
        except BaseException as error:  # noqa: BLE001 - judged by the sequence
            advance = partial(steps.throw, error)
            stopped = error if isinstance(error, StopIteration) else stopped


async def adrive(steps: Steps[T]) -> T:
    """Take all steps, awaiting those that give something to await."""
    try:
        step = next(steps)
        while True:
            try:
                came = step()
                if hasattr(type(came), "__await__"):
                    came = await came
            except GeneratorExit:  # nobody awaits this any more, so nothing can be awaited here
                _abandon(steps)
                raise
            except BaseException as error:  # noqa: BLE001 - judged by the sequence
                step = steps.throw(error)
            else:
                step = steps.send(came)
    except StopIteration as end:
        ended: T = end.value
        return ended


class _AbandonedError(BaseException):
    """No step can be taken any more. A GeneratorExit would say so only to a generator that has no other inside."""


def _abandon(steps: Steps[Any]) -> None:
    """End a sequence none of whose steps can be taken any more, those that clean up included."""
    try:
        while True:
            steps.throw(_AbandonedError)
    except (_AbandonedError, StopIteration):
        pass


def _at_hand(value: Any) -> Any:
    """Refuse what is still to come: it is no result, and what it will do belongs to no transaction.

    Raises:
        InvalidActionError: It is an awaitable.
    """
    if not hasattr(type(value), "__await__"):
        return value
    if hasattr(value, "close"):
        value.close()  # a coroutine: it has not run, so nothing has happened
    raise InvalidActionError(
        "the executor returned a coroutine or another awaitable, which no transaction can wait for; with an "
        "asynchronous connection use aexecute_in_transaction, or an AsyncIdempotencyManager"
    )
