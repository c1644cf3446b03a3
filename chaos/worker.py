"""A worker process: threads and asyncio tasks that do what the queue hands them, until they are killed.

    python -m chaos.worker '{"port": 1234, "store": "sqlite:///records.db", "lease": 1.0, "threads": 3, "tasks": 4}'

Without a store it is the control: the same work without this package.
"""

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from chaos.lines import Line, RefusedError, TaskLine
from idempotency_manager import (
    NOT_EXECUTED,
    Action,
    AlreadyInProgressError,
    IdempotencyError,
    IdempotencyManager,
    IdempotencyRecord,
    LeaseLostError,
    ResultNotRecordedError,
    StoreUnavailableError,
    current_execution,
)

_WAIT_SECONDS = 3.0
_PREPARATION_SECONDS = 0.005
_TRY_AGAIN_SECONDS = 0.1

Answer = Mapping[str, Any]


class MayStillArriveError(Exception):
    """There is no effect, but an earlier holder may still send."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is started with."""

    port: int
    store: str | None
    lease: float
    threads: int
    tasks: int

    def open_store(self) -> IdempotencyManager | None:
        """Open the store, where there is one."""
        return open_store(self.store, self.lease) if self.store else None


def open_store(url: str, lease: float) -> IdempotencyManager:
    """Open a store with the settings that everybody uses here, as soon as its server is there."""
    while True:
        try:
            return IdempotencyManager(url, namespace="chaos", lease=lease, wait_timeout=_WAIT_SECONDS)
        except StoreUnavailableError:
            time.sleep(_TRY_AGAIN_SECONDS)


def action_of(name: str) -> Action:
    """Return the action that a delivery names."""
    return Action(name, "charge", "ledger", {"order": name})


def has_latch(name: str) -> bool:
    """Every other action says when its effect may begin."""
    return int(name[1:]) % 2 == 0


def settled(seen: Answer) -> Any:
    """Judge what a look at the ledger saw, by the rule of this package's docstring.

    Raises:
        MayStillArriveError: That nothing is there proves nothing yet.
    """
    if seen["number"] is not None:
        return {"number": seen["number"]}
    if seen["others"]:
        raise MayStillArriveError
    return NOT_EXECUTED


_OUTCOMES: tuple[tuple[str, tuple[type[Exception], ...]], ...] = (
    ("lease_lost", (LeaseLostError,)),
    ("may_still_arrive", (MayStillArriveError,)),
    ("still_running", (AlreadyInProgressError,)),
    ("refused", (RefusedError,)),
    ("not_recorded", (ResultNotRecordedError,)),
    ("store_unavailable", (StoreUnavailableError,)),
    ("unexpected", (IdempotencyError,)),  # some of them are OSErrors too
    ("answer_lost", (OSError, HTTPException, EOFError)),
)


class _Steps:
    """Which of the two ways of making a result a call has gone."""

    def __init__(self) -> None:
        self.looked = self.sent = False

    def outcome_of(self, error: Exception) -> dict[str, Any]:
        """Say how a call ended that raised."""
        outcome = next((word for word, kinds in _OUTCOMES if isinstance(error, kinds)), "unexpected")
        if outcome == "store_unavailable" and self.sent:  # that error says that nothing was done
            outcome = "unexpected"
        return {"outcome": outcome, "detail": f"{type(error).__name__}: {error}"}

    def outcome(self, result: Answer) -> dict[str, Any]:
        word = "executed" if self.sent else "found" if self.looked else "replayed"
        return {"outcome": word, "number": result["number"]}


def _preparation() -> float:
    """How long an executor prepares, in seconds, so that some are stopped between their claim and the effect."""
    return random.uniform(0, _PREPARATION_SECONDS)


def _send_now(name: str, steps: _Steps, manager: IdempotencyManager | None) -> None:
    """What every executor does right before it sends."""
    execution = current_execution()
    if manager and has_latch(name) and execution:
        execution.dispatched()
    steps.sent = True


def perform(line: Line, manager: IdempotencyManager | None, name: str) -> dict[str, Any]:
    """Do one action in this thread; return how that ended."""
    steps = _Steps()

    def send() -> Answer:
        time.sleep(_preparation())
        _send_now(name, steps, manager)
        time.sleep(_preparation())
        return line.ask("effects")

    def reconcile(_record: IdempotencyRecord) -> Any:
        steps.looked = True
        return settled(line.ask("looks"))

    try:
        if manager is None:
            return steps.outcome(send())
        return steps.outcome(manager.execute(action_of(name), send, latch=has_latch(name), on_in_doubt=reconcile))
    except Exception as error:  # noqa: BLE001 - every outcome is told
        return steps.outcome_of(error)


async def perform_in_task(line: TaskLine, manager: IdempotencyManager | None, name: str) -> dict[str, Any]:
    """Do one action in this task; return how that ended."""
    steps = _Steps()

    async def send() -> Answer:
        await asyncio.sleep(_preparation())
        _send_now(name, steps, manager)
        await asyncio.sleep(_preparation())
        return await line.ask("effects")

    async def reconcile(_record: IdempotencyRecord) -> Any:
        steps.looked = True
        return settled(await line.ask("looks"))

    try:
        if manager is None:
            return steps.outcome(await send())
        return steps.outcome(
            await manager.aexecute(action_of(name), send, latch=has_latch(name), on_in_doubt=reconcile)
        )
    except Exception as error:  # noqa: BLE001 - every outcome is told
        return steps.outcome_of(error)


def _work(port: int, manager: IdempotencyManager | None) -> None:
    line = Line(port)
    while True:
        call = line.ask("deliveries")
        outcome = perform(line, manager, call["action"])
        line.renewed()
        line.ask("outcomes", call=call["call"], **outcome)


async def _work_in_task(port: int, manager: IdempotencyManager | None) -> None:
    line = TaskLine(port)
    while True:
        await line.renewed()
        call = await line.ask("deliveries")
        outcome = await perform_in_task(line, manager, call["action"])
        await line.renewed()
        await line.ask("outcomes", call=call["call"], **outcome)


async def _work_in_tasks(orders: Orders, manager: IdempotencyManager | None) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(orders.tasks):
            group.create_task(_work_in_task(orders.port, manager))


def main(orders: Orders) -> None:
    """Work until killed; where the ledger has ended, end."""
    manager = orders.open_store()
    for _ in range(orders.threads):
        threading.Thread(target=_work, args=(orders.port, manager), daemon=True).start()
    asyncio.run(_work_in_tasks(orders, manager))


if __name__ == "__main__":
    main(Orders(**json.loads(sys.argv[1])))
