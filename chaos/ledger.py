"""What really happened, whatever anybody was told: pure bookkeeping, no I/O."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

DONE = frozenset({"executed", "replayed", "found"})
"""How a call may end that leaves nothing to do."""
REPORTED = frozenset({"lease_lost", "not_recorded"})
"""How a call may end that tells its worker: the effect happened, and the store does not say so."""


@dataclass(slots=True)
class Call:
    """One delivery of an action to one worker, from the delivery until the worker can no longer send.

    Attributes:
        id: Its number.
        action: The action's name.
        sent: Whether the worker has asked for the effect.
        overtaken: Whether somebody took the action over after that.
    """

    id: int
    action: str
    sent: bool = False
    overtaken: bool = False


@dataclass(slots=True)
class History:
    """What became of one action.

    Attributes:
        effects: The number of each effect, in order. One is right.
        calls: How often it was delivered.
        acknowledged: The effect's number that a worker was given and has passed on.
        looks: How often a reconciler asked for it: the action was in doubt then.
        reports: How often a worker was told that its effect is not what the store says.
        left: How often a worker went away (killed, or its answer lost) after it had asked for the effect.
        events: What happened in order, each after the number of the call that it belongs to.
    """

    effects: list[int] = field(default_factory=list)
    calls: int = 0
    acknowledged: int | None = None
    looks: int = 0
    reports: int = 0
    left: int = 0
    events: list[str] = field(default_factory=list)


class Ledger:
    """Effects, open calls, and how calls ended."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._histories: defaultdict[str, History] = defaultdict(History)
        self._open: dict[int, Call] = {}
        self._calls = itertools.count(1)
        self._effects = itertools.count(1)
        self._outcomes: Counter[str] = Counter()
        self._unexpected: Counter[str] = Counter()
        self._not_told: list[str] = []
        self._wrong: list[str] = []

    def open(self, action: str) -> Call:
        """Open a call: from here on its worker may send."""
        call = Call(next(self._calls), action)
        self._open[call.id] = call
        history = self._histories[action]
        history.calls += 1
        history.events.append(f"{call.id} begins")
        return call

    def effect(self, call: Call) -> int:
        """Write an effect down, whether it is the first or not; return its number."""
        number = next(self._effects)
        history = self._histories[call.action]
        history.effects.append(number)
        history.events.append(f"{call.id} EFFECT {number}")
        return number

    def look(self, call: Call) -> dict[str, Any]:
        """Tell a reconciler whether the effect happened, and how many others may still send.

        Whoever looks holds the action's newest claim, so the others have lost theirs.
        """
        history = self._histories[call.action]
        history.looks += 1
        others = [other for other in self._open.values() if other.action == call.action and other is not call]
        for other in others:
            other.overtaken = other.overtaken or other.sent
        history.events.append(f"{call.id} looks, beside {[other.id for other in others]}")
        return {"number": history.effects[0] if history.effects else None, "others": len(others)}

    def close(self, call_id: int, outcome: str, number: int | None, detail: str) -> str | None:
        """Take down how a call ended; return its action if it must be delivered again."""
        self._outcomes[outcome] += 1
        if outcome == "unexpected":
            self._unexpected[detail] += 1
        call = self._open.pop(call_id, None)
        if call is None:  # its connection ended before, and so did the call
            return None
        history = self._histories[call.action]
        history.events.append(f"{call.id} ends: {outcome}")
        history.reports += outcome in REPORTED
        if outcome not in DONE:
            return call.action
        if outcome == "executed" and call.overtaken:
            self._not_told.append(call.action)
        history.acknowledged = number
        if number not in history.effects:
            self._wrong.append(call.action)
        return None

    def abandon(self, call: Call) -> str | None:
        """Close a call whose connection has ended; return its action if it was open."""
        if self._open.pop(call.id, None) is None:
            return None
        history = self._histories[call.action]
        history.left += call.sent
        history.events.append(f"{call.id} is gone")
        return call.action

    def report(self) -> Mapping[str, Any]:
        """Return everything, as JSON has it."""
        return {
            "actions": {action: asdict(history) for action, history in self._histories.items()},
            "open": len(self._open),
            "outcomes": self._outcomes,
            "unexpected": self._unexpected,
            "not_told": self._not_told,
            "wrong": self._wrong,
        }
