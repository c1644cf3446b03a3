"""Faults at the named points of an execution, so that a test proves what a helper makes of them."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, final

if TYPE_CHECKING:
    from types import TracebackType

    from ._executions import Executed, Journal
    from ._which import Which

Point: TypeAlias = Literal["crash_before_effect", "crash_after_effect", "store_down_after_effect", "lease_lost"]

_PLACES = {
    "crash_before_effect": "after the claim and before the effect",
    "crash_after_effect": "after the effect and before its record",
}


@final
class SimulatedCrash(BaseException):
    """The process dies here, as far as the record can tell: nothing more is written, and the owner is gone.

    Like the death that it stands for it is no `Exception`, so that nothing handles it by accident. The block of the
    fault that raised it ends with it.
    """


@final
class Fault:
    """A fault that happens once, to the first execution that it is meant for; a context manager.

    Attributes:
        point: Where it happens.
        struck: The execution that it happened to; None as long as it has not.
    """

    def __init__(self, journal: Journal, point: Point, which: Which) -> None:
        self.point = point
        self.which = which
        self.struck: Executed | None = None
        self._journal = journal

    def death(self) -> SimulatedCrash:
        """Make the exception that stands for the end of the process."""
        key = "" if self.struck is None else self.struck.key
        return SimulatedCrash(f"{self.point}: the process ends {_PLACES[self.point]}; key {key!r}")

    def __enter__(self) -> Self:
        self._journal.faults.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End the block; a crash ends here, and what came of it, for what follows stands for the next process.

        Raises:
            AssertionError: The fault has not happened, so that the test proves nothing.
        """
        __tracebackhide__ = True
        self._journal.faults.remove(self)
        if error is None and self.struck is None:
            meant = "" if not self.which.asked else f" of {self.which.text}"
            raise AssertionError(
                f"{self.point}: no execution{meant} came to that point in this block, so nothing was proved; was it "
                "answered from a record, or did it fail before?"
            )
        ended = self.struck is not None and self.point in _PLACES
        return error is not None and ended and _follows_from_crash(error)

    def __repr__(self) -> str:
        happened = "has not happened" if self.struck is None else f"happened to {self.struck.key!r}"
        return f"<{self.point}: {happened}>"


def _follows_from_crash(error: BaseException) -> bool:
    """Tell whether it is a crash, or what came of one in code that goes on where a process would have ended.

    Task groups wrap what their tasks raise; a test client whose event loop has died says that it was cancelled.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(_follows_from_crash, error.exceptions))
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, SimulatedCrash | CancelledError):
            return True
        chain = chain.__cause__ or chain.__context__
    return False
