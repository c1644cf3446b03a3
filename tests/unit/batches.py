"""What the tests of batches share: actions by number, and an executor that counts what it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idempotency_manager import Action

if TYPE_CHECKING:
    from idempotency_manager import BatchOutcome
    from tests.unit.flavours import Flavour


def actions(*numbers: int) -> list[Action]:
    return [Action("inv-1", "create_card", "trello", {"number": number}) for number in numbers]


class Cards:
    """Makes cards, and counts them; does with some numbers what it is told to."""

    def __init__(self, **special: Any) -> None:
        self.made: list[int] = []
        self.special = {int(name.removeprefix("on_")): value for name, value in special.items()}

    def __call__(self, action: Action) -> Any:
        number = action.params["number"]
        self.made.append(number)
        special = self.special.get(number)
        if isinstance(special, BaseException):
            raise special
        return special(action) if callable(special) else f"card {number}"


def execute_many(flavour: Flavour, manager: Any, given: Any, cards: Any, **options: Any) -> list[BatchOutcome[Any]]:
    outcomes: list[BatchOutcome[Any]] = flavour.get(manager.execute_many(given, flavour.function(cards), **options))
    return outcomes
