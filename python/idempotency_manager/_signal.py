"""The surrounding signal, for calls that name none of their own."""

from __future__ import annotations

from ._binding import signal_text
from ._core import enter_signal, leave_signal
from ._types import final
from .exceptions import InvalidActionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal


@final
class signal:  # noqa: N801 - a context manager that reads as a verb
    """Every idempotent call inside the block that names no signal of its own belongs to this one.

    Follows asyncio tasks, and threads started with a copied context. Blocks nest; the innermost counts.

    Raises:
        InvalidActionError: The signal is empty, or neither text, an integer nor a UUID.
    """

    __slots__ = ("_signal_id", "_tokens")

    def __init__(self, signal_id: str) -> None:
        self._signal_id = signal_text(signal_id)
        if not self._signal_id:
            raise InvalidActionError("signal_id is empty: give the signal_id of the event that asks for the actions")
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        self._tokens.append(enter_signal(self._signal_id))

    def __exit__(self, *_: object) -> Literal[False]:
        leave_signal(self._tokens.pop())
        return False
