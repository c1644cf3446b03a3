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
        self._broken: BaseException | None = None
        self._stops = False

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
        claim = batch.claim(calls)
        await _to_the_end(claim, claim.give_up)
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
        async with asyncio.TaskGroup() as group:
            for item in items:
                await limit.acquire()
                if self._stops:
                    break
                tasks.append(group.create_task(self._one(item, _Slot(limit, self._stop))))
        if self._broken is not None:
            raise self._broken
        if any(task.cancelled() for task in tasks):
            raise asyncio.CancelledError("an executor was cancelled")

    async def _one(self, item: Item, slot: _Slot) -> None:
        try:
            await self._conclude(item, slot)
            self._plan.report()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised when the others that run have ended: they are no part of it
            self._broken = error
            self._stop()
        finally:
            slot.free()

    def _stop(self) -> None:
        """Start no other."""
        self._stops = True

    async def _conclude(self, item: Item, slot: _Slot) -> None:
        try:
            result = await self._result(item, slot)
        except Exception as error:  # noqa: BLE001 - it is this action's, and the others go on
            self._plan.ended(item, None, error)
        else:
            self._plan.ended(item, result, None)

    async def _result(self, item: Item, slot: _Slot) -> Any:
        if item.call.stage == "over":
            return item.call.run(nothing)
        return await item.call.coroutine(partial(slot.run, partial(self._executor, item.action)))


class _Slot:
    """A place among the executors that run at once; free again when the executor is through, recorded or not."""

    def __init__(self, limit: asyncio.Semaphore, stop: Callable[[], None]) -> None:
        self._limit: asyncio.Semaphore | None = limit
        self._stop = stop

    def free(self) -> None:
        """Let the next one in; once."""
        limit, self._limit = self._limit, None
        if limit is not None:
            limit.release()

    async def run(self, executor: Callable[[], Any]) -> Any:
        """Run an executor, plain or awaited, and free the place at its end."""
        try:
            result = executor()
            return await result if hasattr(result, "__await__") else result
        except BaseException as error:
            if not isinstance(error, Exception):
                self._stop()
            raise
        finally:
            self.free()


async def _to_the_end(awaitable: Awaitable[Any], give_up: Callable[[], bool] = bool) -> None:
    """Await what must not be cut off, unless it can be given up; a cancellation comes out when it is over."""

    async def awaited() -> None:
        await awaitable

    task, cancelled = asyncio.ensure_future(awaited()), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            if give_up():
                task.cancel()
    if cancelled is not None:
        if not task.cancelled():
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
