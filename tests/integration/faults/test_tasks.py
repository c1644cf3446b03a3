"""Tasks that are cancelled, coroutines that are not run to their end, and their loop, beside a store that waits."""

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from idempotency_manager import (
    NOT_EXECUTED,
    AlreadyInProgressError,
    AsyncIdempotencyManager,
    InDoubtError,
    ResultNotRecordedError,
    State,
    current_execution,
)
from idempotency_manager.testing import FaultPlan, inject
from tests.integration.faults.world import ACTION, Effect, World, cause_of, until


class TestCancellingATask:
    async def test_during_a_pending_claim_it_leaves_no_claim_behind(self, world: World) -> None:
        effect = Effect()
        world.plan.hold("claim")
        task = asyncio.ensure_future(world.manager.aexecute(ACTION, effect.later))
        await until(lambda: world.plan.calls("claim") == 1)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        world.plan.let_go("claim")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert effect.count == 0
        assert world.record() is None

    async def test_during_a_pending_claim_that_takes_a_doubt_over_it_leaves_the_doubt(self, world: World) -> None:
        with pytest.raises(TimeoutError):
            world.manager.execute(ACTION, _Raises(TimeoutError("lost")))
        world.plan.hold("claim")
        effect = Effect()
        task = asyncio.ensure_future(world.manager.aexecute(ACTION, effect.later, on_in_doubt="retry"))
        await until(lambda: world.plan.calls("claim") == 2)
        task.cancel()
        await asyncio.sleep(0)
        world.plan.let_go("claim")
        with pytest.raises(asyncio.CancelledError):
            await task
        record = await asyncio.to_thread(world.record)
        assert (record.state, effect.count) == (State.IN_DOUBT, 0)
        assert "lost" in record.error

    async def test_during_a_wait_it_disturbs_nobody(self, world: World) -> None:
        effect = Effect()
        go = asyncio.Event()

        async def slow() -> Any:
            await go.wait()
            return effect()

        first = asyncio.ensure_future(world.manager.aexecute(ACTION, slow))
        await until(lambda: world.plan.calls("claim") == 1)
        second = asyncio.ensure_future(world.manager.aexecute(ACTION, effect.later))
        await until(lambda: world.plan.calls("claim") == 2)
        await asyncio.sleep(0.02)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        assert await first == "done"
        assert effect.count == 1

    async def test_during_the_executor_it_leaves_the_action_in_doubt(self, world: World) -> None:
        began = asyncio.Event()

        async def executor() -> None:
            began.set()
            await asyncio.sleep(60)

        task = asyncio.ensure_future(world.manager.aexecute(ACTION, executor))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        record = await asyncio.to_thread(world.record)
        assert record.state is State.IN_DOUBT
        assert "CancelledError" in record.error
        with pytest.raises(InDoubtError):
            await world.manager.aexecute(ACTION, Effect().later)

    async def test_an_executor_that_swallows_it_has_its_result_recorded(self, world: World) -> None:
        began = asyncio.Event()

        async def executor() -> str:
            began.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return "cleaned up"
            return "slept"

        task = asyncio.ensure_future(world.manager.aexecute(ACTION, executor))
        await began.wait()
        task.cancel()
        assert await task == "cleaned up"

    async def test_during_the_final_write_the_result_is_recorded_and_the_task_cancelled(self, world: World) -> None:
        effect = Effect("kept")
        world.plan.hold("finish")
        task = asyncio.ensure_future(world.manager.aexecute(ACTION, effect.later))
        await until(lambda: world.plan.calls("finish") == 1)
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0.002)
        assert not task.done()
        world.plan.let_go("finish")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert await world.manager.aexecute(ACTION, effect.later) == "kept"
        assert effect.count == 1

    async def test_during_the_retries_of_the_final_write_too(self, world: World) -> None:
        effect = Effect("kept")
        world.plan.fail_before("finish", times=2)
        task = asyncio.ensure_future(world.manager.aexecute(ACTION, effect.later))
        await until(lambda: world.plan.calls("finish") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await world.manager.aexecute(ACTION, effect.later) == "kept"

    async def test_with_a_result_that_can_not_be_recorded_the_cancellation_carries_it(self, world: World) -> None:
        world.plan.fail_before("finish", times=None)
        task = asyncio.ensure_future(world.manager.aexecute(ACTION, Effect("card 7").later))
        await until(lambda: world.plan.calls("finish") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert cause_of(caught.value, ResultNotRecordedError).result == "card 7"

    async def test_a_timeout_around_the_call_is_a_timeout(self, world: World) -> None:
        effect = Effect("kept")
        world.plan.hold("finish")

        async def let_go() -> None:
            await until(lambda: world.plan.calls("finish") == 1)
            await asyncio.sleep(0.05)
            world.plan.let_go("finish")

        helper = asyncio.ensure_future(let_go())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await world.manager.aexecute(ACTION, effect.later)
        await helper
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert await world.manager.aexecute(ACTION, effect.later) == "kept"

    async def test_a_wait_that_takes_too_long_for_a_timeout_around_it_is_one(self, world: World) -> None:
        go = asyncio.Event()

        async def slow() -> str:
            await go.wait()
            return "done"

        first = asyncio.ensure_future(world.manager.aexecute(ACTION, slow))
        await until(lambda: world.plan.calls("claim") == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await world.manager.aexecute(ACTION, Effect().later)
        with pytest.raises(AlreadyInProgressError):
            await world.manager.aexecute(ACTION, Effect().later, on_concurrent="raise")
        go.set()
        assert await first == "done"

    async def test_the_operations_by_hand_can_be_cancelled(self) -> None:
        manager = AsyncIdempotencyManager()
        plan = FaultPlan()
        inject(manager, plan)
        plan.hold("get")
        task = asyncio.ensure_future(manager.get_record("a:b:c"))
        await until(lambda: plan.calls("get") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        plan.heal()
        assert await manager.get_record("a:b:c") is None

    async def test_a_reconciler_that_is_cancelled_leaves_the_doubt_as_it_was(self, world: World) -> None:
        with pytest.raises(TimeoutError):
            world.manager.execute(ACTION, _Raises(TimeoutError("lost")))
        began = asyncio.Event()

        async def look(_record: object) -> Any:
            began.set()
            await asyncio.sleep(60)
            return NOT_EXECUTED

        effect = Effect()
        task = asyncio.ensure_future(world.manager.aexecute(ACTION, effect.later, on_in_doubt=look))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        record = await asyncio.to_thread(world.record)
        assert (record.state, effect.count) == (State.IN_DOUBT, 0)
        assert "lost" in record.error


class _Raises:
    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.count = 0
        self.result = None

    def __call__(self) -> Any:
        raise self.error


class TestACoroutineThatIsNotRunToItsEnd:
    def test_one_that_is_never_awaited_says_so_and_claims_nothing(self, world: World) -> None:
        @world.manager.idempotent(target="trello")
        async def send(signal_id: str) -> str:
            return signal_id

        coroutine = send("s1")
        with pytest.warns(RuntimeWarning, match=r"coroutine '.*send' was never awaited"):
            del coroutine
        assert world.plan.calls("claim") == 0

    def test_one_that_is_closed_before_it_begins_says_nothing(self, world: World) -> None:
        @world.manager.idempotent(target="trello")
        async def send(signal_id: str) -> str:
            return signal_id

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            send("s1").close()
        assert world.plan.calls("claim") == 0

    async def test_one_that_is_closed_while_it_claims_leaves_no_claim_behind(self, world: World) -> None:
        world.plan.hold("claim")
        effect = Effect()
        coroutine: Any = world.manager.aexecute(ACTION, effect.later)
        await _drive_until(coroutine, lambda: world.plan.calls("claim") == 1)
        coroutine.close()
        world.plan.let_go("claim")
        await until(lambda: world.plan.calls("finish") == 1)
        assert await asyncio.to_thread(world.record) is None
        assert effect.count == 0

    async def test_one_that_is_closed_while_it_executes_is_in_doubt(self, world: World) -> None:
        closed = []

        async def executor() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                closed.append(True)

        coroutine: Any = world.manager.aexecute(ACTION, executor)
        await _drive_until(coroutine, lambda: world.plan.calls("claim") == 1 and current_execution() is not None)
        coroutine.close()
        await until(lambda: world.plan.calls("finish") == 1)
        assert closed
        assert current_execution() is None
        assert (await asyncio.to_thread(world.record)).state is State.IN_DOUBT

    async def test_one_that_is_closed_while_it_writes_has_its_result_recorded(self, world: World) -> None:
        world.plan.fail_before("finish", times=1)
        effect = Effect("kept")
        coroutine: Any = world.manager.aexecute(ACTION, effect.later)
        await _drive_until(coroutine, lambda: world.plan.calls("finish") == 1)
        coroutine.close()
        await until(lambda: world.plan.calls("finish") == 2)
        assert await world.manager.aexecute(ACTION, effect.later) == "kept"
        assert effect.count == 1


async def _drive_until(coroutine: Any, reached: Callable[[], bool]) -> None:
    """Step a coroutine by hand inside this task, awaiting what it yields, until something holds."""
    while True:
        yielded = coroutine.send(None)
        if reached():
            return
        if yielded is not None:
            # What a future's own `__await__` does: the loop must know that somebody awaits it.
            yielded._asyncio_future_blocking = False
            await yielded
        else:
            await asyncio.sleep(0)


class TestTheEventLoop:
    async def test_it_goes_on_while_the_store_takes_its_time(self, world: World) -> None:
        for verb in ("claim", "finish", "get", "mark"):
            world.plan.delay(verb, "60ms")
        loop = asyncio.get_running_loop()
        gaps = []

        async def heartbeat() -> None:
            last = loop.time()
            while True:
                await asyncio.sleep(0.002)
                gaps.append(loop.time() - last)
                last = loop.time()

        heart = asyncio.ensure_future(heartbeat())
        asynchronous = AsyncIdempotencyManager()
        inject(asynchronous, world.plan)
        await asyncio.gather(
            *(world.manager.aexecute({**ACTION, "signal_id": str(n)}, Effect().later) for n in range(20)),
            *(world.manager.aexecute(ACTION, Effect().later) for _ in range(20)),
            asynchronous.mark_executed("a:b:c", 1),
            asynchronous.get_record("a:b:c"),
        )
        heart.cancel()
        # Had one of the 60 ms been waited for in the loop, 42 callers would have waited for it.
        assert len(gaps) >= 10
        assert sum(gap > 0.055 for gap in gaps) <= len(gaps) // 4
