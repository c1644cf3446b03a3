"""Many actions in one call, in an asyncio task: the same as in a thread, with some executors at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ._batch import WINDOW, BatchOutcome, Item, Plan, calls_of, granted, nothing, windows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ._core import Batch, BatchedCall


class Runner:
    """Executes a plan, at most `concurrency` executors at a time."""

    def __init__(self, plan: Plan, executor: Callable[[Any], Any], concurrency: int) -> None:
        self._plan = plan
        self._executor = executor
        self._concurrency = concurrency
        self._broken: Exception | None = None

    async def run(self) -> list[BatchOutcome[Any]]:
        """Execute all."""
        plan = self._plan
        for part in plan.parts():
            try:
                await self._execute_part(part)
            except BaseException:
                await _undo(plan.batch, calls_of(part))
                raise
        await self._execute(plan.busy)
        return plan.outcomes()

    async def _execute_part(self, part: list[Item]) -> None:
        plan, batch, calls = self._plan, self._plan.batch, calls_of(part)
        await _to_the_end(batch.claim(calls))
        batch.take(calls)
        plan.put_off(part)
        to_execute = granted(part)
        await self._execute([item for item in part if item.call.stage in ("going", "over")])
        for window in windows(to_execute, max(WINDOW, self._concurrency)):
            dispatched = calls_of(window)
            await _to_the_end(batch.dispatch(dispatched))
            batch.take(dispatched)
            await self._execute(window)

    async def _execute(self, items: Sequence[Item]) -> None:
        """Bring these to their ends."""
        limit = asyncio.Semaphore(self._concurrency)
        tasks = []
        try:
            async with asyncio.TaskGroup() as group:
                for item in items:
                    await limit.acquire()
                    if self._broken is not None:
                        break
                    tasks.append(group.create_task(self._one(item, _Slot(limit))))
        except BaseExceptionGroup as failed:  # what is neither a failure, nor a cancellation, nor Ctrl-C
            raise failed.exceptions[0] from None
        if self._broken is not None:
            raise self._broken
        if any(task.cancelled() for task in tasks):
            raise asyncio.CancelledError("an executor was cancelled")

    async def _one(self, item: Item, slot: _Slot) -> None:
        try:
            result = await self._result(item, slot)
        except Exception as error:  # noqa: BLE001 - it is this action's, and the others go on
            self._plan.ended(item, None, error)
        else:
            self._plan.ended(item, result, None)
        finally:
            slot.free()
        try:
            self._plan.report()
        except Exception as error:  # noqa: BLE001 - raised when the others that run have ended: they are no part of it
            self._broken = error

    async def _result(self, item: Item, slot: _Slot) -> Any:
        if item.call.stage == "over":
            return item.call.run(nothing)
        return await item.call.coroutine(slot.around(partial(self._executor, item.action)))


class _Slot:
    """A place among the executors that run at once; free again when the executor is through, recorded or not."""

    def __init__(self, limit: asyncio.Semaphore) -> None:
        self._limit: asyncio.Semaphore | None = limit

    def free(self) -> None:
        """Let the next one in; once."""
        limit, self._limit = self._limit, None
        if limit is not None:
            limit.release()

    def around(self, executor: Callable[[], Any]) -> Callable[[], Any]:
        """Give the executor, plain or awaited, that frees the place at its end."""

        def call() -> Any:
            result = executor()
            if hasattr(result, "__await__"):
                return self._awaited(result)
            self.free()
            return result

        return call

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        try:
            return await result
        finally:
            self.free()


async def _to_the_end(awaitable: Awaitable[Any]) -> None:
    """Await what must not be cut off; a cancellation comes out when it is over."""

    async def awaited() -> None:
        await awaitable

    task, cancelled = asyncio.ensure_future(awaited()), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    task.result()


async def _undo(batch: Batch, calls: list[BatchedCall]) -> None:
    """Give the rights to execute back that were not used, and wait for the ends of those."""
    batch.take(calls)
    for call in calls:
        call.release()
    ends = [call.coroutine(nothing) for call in calls if call.stage == "going"]
    await _to_the_end(asyncio.gather(*(_end(end) for end in ends)))


async def _end(end: Awaitable[Any]) -> None:
    with suppress(Exception):  # what its store can't be told lapses with its lease
        await end
