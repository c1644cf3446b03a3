"""Decorated functions and methods of every kind, for the tests of the decorator."""

from __future__ import annotations

import asyncio
from typing import Any

from idempotency_manager import idempotent

runs: list[Any] = []
"""What has run; a test begins with none."""


@idempotent(target="ledger")
def post(signal_id: str, amount: int = 1) -> dict[str, int]:
    """Post an amount."""
    runs.append((signal_id, amount))
    return {"amount": amount}


@idempotent(target="ledger")
async def apost(signal_id: str, amount: int = 1) -> dict[str, int]:
    """Post an amount, in a task."""
    await asyncio.sleep(0)
    runs.append((signal_id, amount))
    return {"amount": amount}


class Board:
    """Has methods of every kind."""

    def __init__(self, name: str = "board") -> None:
        self.name = name

    @idempotent(target="trello")
    def add(self, signal_id: str, title: str = "Pay") -> str:
        """Add a card."""
        runs.append(title)
        return f"{self.name}:{title}"

    @idempotent(target="trello")
    async def aadd(self, signal_id: str, title: str = "Pay") -> str:
        """Add a card, in a task."""
        runs.append(title)
        return f"{self.name}:{title}"

    @classmethod
    @idempotent(target="trello")
    def class_inside(cls, signal_id: str) -> str:
        """The decorator below."""
        runs.append(cls)
        return cls.__name__

    @idempotent(target="trello")
    @classmethod
    def class_outside(klass, signal_id: str) -> str:  # noqa: N804 - any name will do
        """The decorator above."""
        runs.append(klass)
        return klass.__name__

    @staticmethod
    @idempotent(target="trello")
    def static_inside(signal_id: str, n: int = 1) -> int:
        """The decorator below."""
        runs.append(n)
        return n

    @idempotent(target="trello")
    @staticmethod
    def static_outside(signal_id: str, n: int = 1) -> int:
        """The decorator above."""
        runs.append(n)
        return n


class Wide(Board):
    """Overrides a method, and calls the one it overrides."""

    @idempotent(target="trello", action="add_wide")
    def add(self, signal_id: str, title: str = "Pay") -> str:
        """Add a wide card."""
        return "wide " + super().add(signal_id, title)
