"""What the engines are made to do: many tasks in one event loop, or one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from benchmarks._durable import scattered
from benchmarks.workload import CardArguments
from idempotency_manager import Action, IdempotencyManager

Later = Callable[..., Awaitable[dict[str, str]]]
TARGET, ACTION = "trello", "create_card"


LONG_LEASE = timedelta(hours=1)
"""It is not renewed while something is measured."""


def open_manager(url: str, lease: timedelta = LONG_LEASE, **config: Any) -> IdempotencyManager:
    """A manager that removes nothing on its own."""
    return IdempotencyManager(url, max_cache_size=None, enable_auto_cleanup=False, lease=lease, **config)


def guarded(manager: IdempotencyManager, body: str = "", **options: Any) -> Later:
    """The action of the other benchmarks, guarded; its result has a body of that length besides."""

    async def create_card(*, signal_id: str, board: str, title: str, position: int) -> dict[str, str]:  # noqa: ARG001 - a real one would send them
        return {"id": signal_id, "url": title, **({"body": body} if body else {})}

    wrapped: Later = manager.idempotent(create_card, target=TARGET, **options)
    return wrapped


async def call_all(later: Later, numbers: range, tasks: int) -> None:
    """A call of each action, by so many tasks."""

    async def each(share: Sequence[int]) -> None:
        for number in share:
            await later(**scattered(number))

    await asyncio.gather(*(each(numbers[start::tasks]) for start in range(tasks)))


class Claims:
    """Claims that are all held at once, and then all completed."""

    def __init__(self, manager: IdempotencyManager, tasks: int) -> None:
        """Holds none."""
        self._manager, self._tasks = manager, tasks
        self._held: list[tuple[AsyncExitStack, list[Any]]] = []

    async def claim(self, numbers: range) -> None:
        """Claims each action, by so many tasks."""
        self._held = [(AsyncExitStack(), []) for _ in range(self._tasks)]
        shares = [numbers[start :: self._tasks] for start in range(self._tasks)]
        await asyncio.gather(*map(self._claim_each, self._held, shares))

    async def complete(self) -> None:
        """Completes each."""
        await asyncio.gather(*map(self._complete_each, self._held))

    async def _claim_each(self, held: tuple[AsyncExitStack, list[Any]], share: Sequence[int]) -> None:
        stack, attempts = held
        for number in share:
            attempts.append(await stack.enter_async_context(self._manager.aclaim(action(scattered(number)))))

    async def _complete_each(self, held: tuple[AsyncExitStack, list[Any]]) -> None:
        stack, attempts = held
        for attempt in attempts:
            attempt.complete({"id": attempt.key[:12], "url": "Invoice 00004711 is overdue"})
        await stack.aclose()


def action(arguments: CardArguments) -> Action:
    """The action as `claim` takes it."""
    params: dict[str, object] = dict(arguments)
    return Action(str(params.pop("signal_id")), ACTION, TARGET, params)
