"""What a test has seen: each run of a function's body, as the native half tells of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

from ._faults import SimulatedCrash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._faults import Fault

Outcome: TypeAlias = Literal[
    "running",
    "completed",
    "failed",
    "failure_kept",
    "released",
    "in_doubt",
    "crashed",
    "lease_lost",
    "not_recorded",
]
# The effect has not happened, and the next caller runs.
_WITHOUT_EFFECT = ("failed", "released")


@final
@dataclass(slots=True, eq=False)
class Executed:
    """One run of a function's body: not a replay, of which it counts how many were answered from it.

    Attributes:
        key: The action's key.
        signal_id: The event that asked for it.
        action: Its type.
        target: The platform it acted on.
        params: Its params as plain data; None where `store_params` was turned off, and for what ran in a transaction.
        outcome: What came of it. `completed`: its result is kept. `failed`: it raised, so the next caller runs again.
            `failure_kept`: it raised one of `replay_errors`. `released`: given back unused. `in_doubt`: nobody knows.
            `crashed`, `lease_lost`, `not_recorded`: it was cut off after the effect. `running`: it has not ended yet.
        result: What it returned.
        error: The type and text of what it raised; None where it returned.
        replays: How many later calls were answered with what it came to.
    """

    key: str
    signal_id: str
    action: str
    target: str
    params: Mapping[str, Any] | None
    outcome: Outcome = "running"
    result: Any = None
    error: str | None = None
    replays: int = 0

    @property
    def counts(self) -> bool:
        """Whether the effect has happened, or may have."""
        return self.outcome not in _WITHOUT_EFFECT

    def __str__(self) -> str:
        """Tell it in one line."""
        params = "" if self.params is None else f" with {self.params!r}"
        came_to = f": {self.error}" if self.error else f": {self.result!r}" if self.outcome != "running" else ""
        replays = f", {self.replays} replay{'s'[: self.replays != 1]}" if self.replays else ""
        return f"{self.action} on {self.target} for {self.signal_id!r}{params}: {self.outcome}{came_to}{replays}"


@final
class Journal:
    """What the native half tells of executions, in the order in which they began; faults happen through it."""

    def __init__(self) -> None:
        self.executions: list[Executed] = []
        self.faults: list[Fault] = []
        self.on_busy: Callable[[str], object] | None = None
        self.on_begin: Callable[[Executed], object] | None = None
        self.on_end: Callable[[Executed], object] | None = None
        self._turn = threading.Lock()

    def strike(self, points: tuple[str, ...], execution: Executed) -> Fault | None:
        """Have the fault happen that is planned for an execution at one of these points, the innermost one first."""
        with self._turn:
            for fault in reversed(self.faults):
                if fault.struck is None and fault.point in points and fault.which.fits(execution):
                    fault.struck = execution
                    return fault
        return None

    # ---------------------------------------------------------------- told by the native half

    def begins(self, names: tuple[str, str, str, str], params: Mapping[str, Any] | None) -> _Seen:
        """Hear that an executor is about to run.

        Raises:
            SimulatedCrash: It is not: the process dies here.
        """
        execution = Executed(*names, params)
        fault = self.strike(("crash_before_effect",), execution)
        if fault is not None:
            execution.outcome = "crashed"
            raise fault.death()
        self.executions.append(execution)
        if self.on_begin is not None:
            self.on_begin(execution)
        return _Seen(self, execution)

    def replayed(self, key: str) -> None:
        """Hear of a call that was answered from a record."""
        for execution in reversed(self.executions):
            if execution.key == key:
                execution.replays += 1
                return

    def busy(self, key: str) -> None:
        """Hear of a call that met another which executes."""
        if self.on_busy is not None:
            self.on_busy(key)

    def told(self, kind: str, names: tuple[str, str, str, str]) -> None:
        """Hear of a call in a transaction, which the native half does not run."""
        if kind == "replayed":
            self.replayed(names[0])
        elif kind != "resolved":
            outcome: Outcome = "completed" if kind == "executed" else kind  # type: ignore[assignment]  # the others are
            self.executions.append(Executed(*names, None, outcome))


@final
class _Seen:
    """What the native half knows an execution by."""

    __slots__ = ("_execution", "_journal")

    def __init__(self, journal: Journal, execution: Executed) -> None:
        self._journal = journal
        self._execution = execution

    def returned(self, result: object) -> str | None:
        """Hear of the end, and name the fault that happens to it.

        Raises:
            SimulatedCrash: The process dies here.
        """
        # Until the books are closed; what is never said to be recorded is not.
        self._execution.outcome, self._execution.result = "not_recorded", result
        if self._journal.on_end is not None:
            self._journal.on_end(self._execution)
        fault = self._journal.strike(("crash_after_effect", "store_down_after_effect", "lease_lost"), self._execution)
        if fault is None:
            return None
        if fault.point == "crash_after_effect":
            self._execution.outcome = "crashed"
            raise fault.death()
        return "store_down" if fault.point == "store_down_after_effect" else "lease_lost"

    def raised(self, error: BaseException) -> None:
        """Hear of the end by an exception.

        Raises:
            SimulatedCrash: The process has died in a call inside this one, and takes this one with it.
        """
        text = str(error)
        self._execution.error = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if isinstance(error, SimulatedCrash):
            self._execution.outcome = "crashed"
            raise error
        self._execution.outcome = "failed"
        if self._journal.on_end is not None:
            self._journal.on_end(self._execution)

    def settled(self, kind: str) -> None:
        """Hear how the books were closed."""
        self._execution.outcome = "completed" if kind == "executed" else kind  # type: ignore[assignment]  # the others are
