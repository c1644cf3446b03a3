"""The small words that everything else is written in: states, policies, the sentinel, what a user may hand in."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "NOT_EXECUTED",
    "Clock",
    "Codec",
    "NotExecuted",
    "OnConcurrent",
    "OnInDoubt",
    "State",
    "final",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias, final

    from ._core import IdempotencyRecord

    OnConcurrent: TypeAlias = Literal["wait", "raise"]
    """What a second caller does while the first is at it: wait for its result, or raise `AlreadyInProgressError`."""
    OnInDoubt: TypeAlias = Literal["raise", "retry"] | Callable[[IdempotencyRecord], Any]
    """What the next caller of an action in doubt meets: `InDoubtError`, another run, or a reconciler.

    A reconciler is given the record, and returns the result or `NOT_EXECUTED`.
    """
else:
    # `typing` costs as much to import as all modules of this package's rules together, and checks nothing
    # at run time. Structural types need no base class to be matched.
    Protocol = object

    def final(cls: type) -> type:
        """Mark nothing: only a type checker reads it."""
        return cls


class State(StrEnum):
    """Where a record stands."""

    IN_PROGRESS = "in_progress"
    """Claimed, its owner believed alive."""
    COMPLETED = "completed"
    """Done, with its result."""
    FAILED = "failed"
    """Finished with an exception listed in `replay_errors`."""
    IN_DOUBT = "in_doubt"
    """Started, never finished: nobody knows whether the effect happened."""


class Codec(Protocol):
    """Turns results into bytes and back, in place of the package's own typed JSON."""

    def encode(self, result: Any, /) -> bytes:
        """Encode a result; an exception says that it has no encoding."""

    def decode(self, data: bytes, /) -> Any:
        """Give back a value equal to the one that was encoded."""


class Clock(Protocol):
    """Tells the time in place of the store; tests give `testing.ManualClock`."""

    def now(self) -> datetime:
        """Return the present as an aware `datetime`."""


@final
class NotExecuted:
    """The type of `NOT_EXECUTED`; there is one instance, and copies and pickles are it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name it is imported by."""
        return "NOT_EXECUTED"

    def __reduce__(self) -> str:
        """Copy and pickle by name, so that identity survives."""
        return "NOT_EXECUTED"

    def __bool__(self) -> NoReturn:
        """Refuse: `find_card() or NOT_EXECUTED` would take an empty result for one that is missing.

        Raises:
            TypeError: Always.
        """
        message = "NOT_EXECUTED is neither true nor false: compare with `is NOT_EXECUTED`"
        raise TypeError(message)


NOT_EXECUTED: Final[Any] = NotExecuted()
"""What a reconciler returns when it found that the effect did not happen."""


if not TYPE_CHECKING:  # or a checker would take every name that anybody writes for one of these

    def __getattr__(name: str) -> Any:
        """Make the aliases that need `typing` when somebody first asks for them."""
        if name not in ("OnConcurrent", "OnInDoubt"):
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from collections.abc import Callable  # noqa: PLC0415 - only here, see above
        from typing import Any, Literal  # noqa: PLC0415 - only here, see above

        aliases = {
            "OnConcurrent": Literal["wait", "raise"],
            "OnInDoubt": Literal["raise", "retry"] | Callable[[Any], Any],
        }
        globals().update(aliases)
        return aliases[name]
