"""Many actions in one call: claimed a batch at a time, executed each once, completed without waiting for one another.

A process that is killed leaves at most a *window* of actions in doubt: claims of a batch say that nothing has happened
yet (an armed latch), and only the next few are dispatched right before their executors run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._action import Action
from .exceptions import ConfigurationError, InvalidActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ._action import ActionLike
    from ._core import Batch, BatchedCall, Core

T = TypeVar("T")

WINDOW = 16
"""Actions that are dispatched together: so many may be in doubt when a process is killed."""


@dataclass(frozen=True, slots=True)
class BatchOutcome(Generic[T]):
    """What became of one action of `execute_many`.

    Attributes:
        action: The action as it was given.
        key: Its key; None where the action can't have one, and `error` says why.
        result: The executor's own return value, or an equal one of the same type that an earlier call had.
        error: What `execute` would have raised for it; None where there is a result.
        replayed: Whether it was answered from a record, so that the executor was not called.
    """

    action: ActionLike
    key: str | None
    result: T | None
    error: Exception | None
    replayed: bool

    def unwrap(self) -> T:
        """Give the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # None is a result where the executor may return it


@dataclass(slots=True, eq=False)
class Item:
    """An action on its way to its outcome, at its place among those of the call."""

    place: int
    action: ActionLike
    call: BatchedCall


class Plan:
    """What comes next, and what has been: the part of `execute_many` that waits for nothing."""

    def __init__(
        self,
        core: Core,
        actions: Iterable[ActionLike],
        options: dict[str, Any] | None,
        on_progress: Callable[[int, int | None], object] | None,
        batch_size: int,
    ) -> None:
        if isinstance(actions, Mapping | Action | str):
            raise InvalidActionError(f"actions is of type {type(actions).__name__}: give a list of actions")
        self.batch: Batch = core.batch(options)
        self.busy: list[Item] = []
        self._again: list[Item] = []
        self._actions = enumerate(actions)
        self._total = len(actions) if isinstance(actions, Sized) else None
        self._size = positive("batch_size", batch_size)
        self._on_progress = on_progress
        self._told = 0
        self._outcomes: dict[int, BatchOutcome[Any]] = {}

    def parts(self) -> Iterator[list[Item]]:
        """Give what to claim together, until nothing is left."""
        while part := self._next_part():
            yield part

    def _next_part(self) -> list[Item]:
        """Name the next actions. One that repeats another of its part comes again when that has had its turn."""
        part: list[Item] = []
        while not part:
            part, self._again = self._again, []
            fresh = [action for _, action in zip(range(self._size - len(part)), self._actions, strict=False)]
            if not fresh and not part:
                break
            seen: set[str] = set()
            for (place, action), call in zip(fresh, self.batch.name([action for _, action in fresh]), strict=True):
                if isinstance(call, Exception):
                    self._end(place, BatchOutcome(action, None, None, call, replayed=False))
                    continue
                item = Item(place, action, call)
                (self._again if call.key in seen else part).append(item)
                seen.add(call.key)
            self.report()
        return part

    def put_off(self, items: Sequence[Item]) -> None:
        """Set aside what others are at: it is waited for when all else is done."""
        self.busy += [item for item in items if item.call.stage == "busy"]

    def ended(self, item: Item, result: Any, error: Exception | None) -> None:
        """Keep what became of an action."""
        call = item.call
        self._end(item.place, BatchOutcome(item.action, call.key, result, error, replayed=call.replayed))

    def _end(self, place: int, outcome: BatchOutcome[Any]) -> None:
        self._outcomes[place] = outcome

    def report(self, executed: int = 0) -> None:
        """Tell how many are done by now, with those that were executed and are still to be recorded."""
        done = len(self._outcomes) + executed
        if done > self._told:
            self._told = done
            if self._on_progress is not None:
                self._on_progress(done, self._total)

    def outcomes(self) -> list[BatchOutcome[Any]]:
        """Give all outcomes in the order of the actions."""
        return [self._outcomes[place] for place in sorted(self._outcomes)]


def positive(name: str, number: object) -> int:
    """Check a number of things.

    Raises:
        ConfigurationError: It is none.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigurationError(f"{name}={number!r}: give a whole number, 1 or more")
    return number


def windows(items: list[Item], size: int) -> Iterator[list[Item]]:
    """Cut into parts that are dispatched together."""
    return (items[start : start + size] for start in range(0, len(items), size))


def granted(items: Sequence[Item]) -> list[Item]:
    """Give those that have the right to execute, unused."""
    return [item for item in items if item.call.stage == "granted"]


def calls_of(items: Sequence[Item]) -> list[BatchedCall]:
    """Give the calls."""
    return [item.call for item in items]


def execute_many(plan: Plan, executor: Callable[[Any], Any]) -> list[BatchOutcome[Any]]:
    """Execute all, in this thread."""
    for part in plan.parts():
        try:
            _execute_part(plan, part, executor)
        except BaseException:
            _undo(plan.batch, calls_of(part))
            raise
    for item in plan.busy:
        _conclude(plan, item, partial(executor, item.action))
        plan.report()
    return plan.outcomes()


def _execute_part(plan: Plan, part: list[Item], executor: Callable[[Any], Any]) -> None:
    batch, calls = plan.batch, calls_of(part)
    batch.claim(calls).wait_out()
    batch.take(calls)
    batch.settle(calls)
    plan.put_off(part)
    _conclude_what_is_over(plan, part)
    while to_execute := granted(part):
        for window in windows(to_execute, WINDOW):
            _execute_window(plan, window, executor)


def _execute_window(plan: Plan, window: list[Item], executor: Callable[[Any], Any]) -> None:
    batch, calls = plan.batch, calls_of(window)
    batch.dispatch(calls).wait_out()
    batch.take(calls)
    for executed, item in enumerate(granted(window), 1):
        if not item.call.send(partial(executor, item.action)):
            break  # what ended it comes out below
        plan.report(executed)
    batch.settle(calls)
    _conclude_what_is_over(plan, window)


def _conclude_what_is_over(plan: Plan, items: list[Item]) -> None:
    for item in items:
        if item.call.stage == "over":
            _conclude(plan, item, nothing)
    plan.report()


def _conclude(plan: Plan, item: Item, executor: Callable[[], Any]) -> None:
    """Take what a call comes to; what is more than a failure is raised."""
    try:
        result = item.call.run(executor)
    except Exception as error:  # noqa: BLE001 - it is this action's, and the others go on
        plan.ended(item, None, error)
    else:
        plan.ended(item, result, None)


def _undo(batch: Batch, calls: list[BatchedCall]) -> None:
    """Give the rights to execute back that were not used, and wait for the ends of those that were."""
    batch.take(calls)
    for call in calls:
        call.release()
    batch.settle(calls)


def nothing() -> None:
    """Stand for an executor where none is called any more."""
