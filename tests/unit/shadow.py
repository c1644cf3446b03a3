"""What the tests of shadow mode share: an action, a watched manager, and an executor that is another each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idempotency_manager import Action

if TYPE_CHECKING:
    from tests.unit.flavours import Flavour

ACTION = Action("inv-1", "create_card", "trello", {"title": "Pay"})


@dataclass
class Watched:
    """A manager in shadow mode, and what it told."""

    manager: Any
    kinds: list[str]

    def counts(self, flavour: Flavour) -> tuple[int, int]:
        """What was prevented, and what would have been."""
        stats = flavour.get(self.manager.stats())
        return stats.duplicates_prevented, stats.would_have_prevented


class Numbers:
    """An executor that gives another number each time."""

    def __init__(self, *results: Any) -> None:
        self.results = results
        self.calls = 0

    def __call__(self, *_: object) -> Any:
        self.calls += 1
        result = self.results[self.calls - 1] if self.results else self.calls
        if isinstance(result, BaseException):
            raise result
        return result


def fields_of(action: Action) -> dict[str, Any]:
    """The fields of an action, to be changed."""
    return {
        "signal_id": action.signal_id,
        "action": action.action,
        "target": action.target,
        "params": dict(action.params),
    }
