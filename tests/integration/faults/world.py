"""A manager whose store waits, fails and loses answers as a plan says, and an effect that is counted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from idempotency_manager import (
    IdempotencyManager,
)
from idempotency_manager.testing import FaultPlan, ManualClock, inject

ACTION = {"signal_id": "s1", "action": "card", "target": "trello", "params": {"n": 1}}
OTHER = {**ACTION, "signal_id": "s2"}


class Effect:
    """Something in the outside world: it counts how often it happened."""

    def __init__(self, result: object = "done") -> None:
        self.count = 0
        self.result = result

    def __call__(self) -> Any:
        self.count += 1
        return self.result

    async def later(self) -> Any:
        await asyncio.sleep(0)
        return self()


class World:
    """A manager whose store does what a plan says."""

    def __init__(self, **config: Any) -> None:
        self.clock = ManualClock()
        self.manager = IdempotencyManager(clock=self.clock, wait_timeout="5s", **config)
        self.plan = FaultPlan()
        inject(self.manager, self.plan)
        self.key = self.manager.generate_key(ACTION)

    def record(self) -> Any:
        self.plan.heal()
        return self.manager.get_record(self.key)

    def run(self, effect: Callable[[], Any], *, awaited: bool, **options: Any) -> Any:
        if not awaited:
            return self.manager.execute(ACTION, effect, **options)

        async def call() -> Any:
            async def executor() -> Any:
                await asyncio.sleep(0)
                return effect()

            return await self.manager.aexecute(ACTION, executor, **options)

        return asyncio.run(call())


both = pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])


async def until(reached: Callable[[], bool]) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


def cause_of(error: BaseException | None, kind: type[BaseException]) -> Any:
    """The exception of a kind among an exception's causes and contexts."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    assert error is not None
    return error
