"""One action, and what tests do with it, in either flavour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager import IdempotencyManager, State
    from tests.unit.flavours import Flavour

CARD = {"signal_id": "inv-1", "action": "create_card", "target": "trello", "params": {"title": "Pay"}}


class Counted:
    """A body that counts its runs."""

    def __init__(self, result: Any = "done") -> None:
        self.result = result
        self.runs = 0

    def __call__(self) -> Any:
        self.runs += 1
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def raiser(error: BaseException) -> Callable[[], Any]:
    """Make a body that raises."""

    def body() -> Any:
        raise error

    return body


def execute(flavour: Flavour, manager: Any, action: Any, body: Any, **options: Any) -> Any:
    """Execute it by a manager of either flavour."""
    return flavour.get(manager.execute(action, flavour.function(body), **options))


def state_of(flavour: Flavour, manager: Any) -> State | None:
    """Tell in what state the card's record is."""
    record = flavour.get(manager.get_record(manager.generate_key(CARD)))
    return None if record is None else record.state


def leave_in_doubt(manager: IdempotencyManager) -> str:
    """Leave the card in doubt; gives its key."""
    with pytest.raises(TimeoutError):
        manager.execute(CARD, raiser(TimeoutError("no answer")))
    return manager.generate_key(CARD)


def numbered(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Name one of many actions."""
    return {"signal_id": f"s{number}", "action": "create", "target": "trello", **fields}


def key_of(number: int = 1, **fields: Any) -> str:
    """Give the key of one of many actions."""
    return im.generate_idempotency_key(numbered(number, **fields))


def run_numbered(flavour: Flavour, manager: Any, number: int = 1, result: Any = "done", **fields: Any) -> Any:
    """Execute one of many actions."""
    return execute(flavour, manager, numbered(number, **fields), Counted(result))
