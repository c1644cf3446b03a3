"""A store that waits, fails, and loses answers: what a caller meets, and what is left behind."""

import asyncio
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from idempotency_manager import (
    NOT_EXECUTED,
    AlreadyInProgressError,
    AsyncIdempotencyManager,
    IdempotencyManager,
    InDoubtError,
    InvalidActionError,
    ResultNotRecordedError,
    ResultUnavailableError,
    State,
    StoreUnavailableError,
    current_execution,
)
from idempotency_manager.exceptions import ConfigurationError
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


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.plan.heal()
    world.manager.close()


both = pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])


async def until(reached: Callable[[], bool]) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


# -------------------------------------------------------------------------------------------- the plan


class TestThePlan:
    def test_an_unknown_verb_is_an_error_that_names_those_there_are(self) -> None:
        with pytest.raises(ConfigurationError, match=r'"finnish"; known are claim, claim_many, renew, dispatch, '):
            FaultPlan().fail_before("finnish")

    def test_a_plan_without_a_word_changes_nothing_but_that_answers_are_on_their_way(self, world: World) -> None:
        effect = Effect()
        assert world.run(effect, awaited=False) == world.run(effect, awaited=True) == "done"
        assert (effect.count, world.plan.calls("claim"), world.plan.calls("finish")) == (1, 2, 1)

    def test_outcomes_come_in_order_and_the_rest_goes_well(self, world: World) -> None:
        world.plan.succeed("get")
        world.plan.fail_before("get", times=2)
        outcomes = []
        for _ in range(4):
            try:
                world.manager.get_record(world.key)
                outcomes.append("ok")
            except StoreUnavailableError:
                outcomes.append("failed")
        assert outcomes == ["ok", "failed", "failed", "ok"]

    def test_a_plan_outlives_a_change_of_settings(self, world: World) -> None:
        world.manager.configure(default_ttl="1h")
        world.plan.fail_before("get")
        with pytest.raises(StoreUnavailableError):
            world.manager.get_record(world.key)

    @both
    def test_a_delayed_answer_arrives(self, world: World, *, awaited: bool) -> None:
        world.plan.delay("claim", "20ms")
        assert world.run(Effect(), awaited=awaited) == "done"

    @pytest.mark.parametrize(
        "look",
        [
            lambda manager: manager.get_record("a:b:c"),
            lambda manager: manager.check_executed("a:b:c"),
            lambda manager: manager.mark_executed("a:b:c", 1),
            lambda manager: manager.resolve_in_doubt("a:b:c", result=1),
            lambda manager: manager.get_keys(),
            lambda manager: manager.find_keys_by_target("c"),
            lambda manager: manager.get_expiring_soon("1h"),
            lambda manager: manager.get_in_doubt(),
            lambda manager: manager.cleanup_expired(),
            lambda manager: manager.cleanup_oldest_entries(1),
            lambda manager: manager.clear_key("a:b:c"),
            lambda manager: manager.clear_all(),
            lambda manager: manager.stats(),
            lambda manager: manager.reset_stats(),
            lambda manager: manager.cache_info(),
        ],
    )
    @both
    def test_every_operation_of_a_store_out_of_reach_says_so(
        self, look: Callable[[Any], Any], *, awaited: bool
    ) -> None:
        verbs = "mark resolve check get find scan cleanup_expired remove_oldest clear clear_all tally reset_tally"
        plan = FaultPlan()
        for verb in verbs.split():
            plan.fail_before(verb, times=None)
        manager = AsyncIdempotencyManager() if awaited else IdempotencyManager()
        inject(manager, plan)

        async def ask() -> None:
            await look(manager)

        with pytest.raises(StoreUnavailableError, match="the store is unavailable"):
            asyncio.run(ask()) if awaited else look(manager)


# -------------------------------------------------------------------------------------------- failures


class TestAStoreThatFailsBeforeTheEffect:
    @both
    def test_the_effect_does_not_run(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_before("claim")
        effect = Effect()
        with pytest.raises(StoreUnavailableError):
            world.run(effect, awaited=awaited)
        assert effect.count == 0
        assert world.record() is None
        assert world.run(effect, awaited=awaited) == "done"

    @both
    def test_it_runs_without_protection_where_that_is_asked_for_and_says_so(
        self, caplog: pytest.LogCaptureFixture, *, awaited: bool
    ) -> None:
        world = World(on_store_failure="execute")
        world.plan.fail_before("claim", times=None)
        effect = Effect()
        with caplog.at_level(logging.WARNING, "idempotency_manager"):
            assert world.run(effect, awaited=awaited) == "done"
            assert world.run(effect, awaited=awaited) == "done"
        assert effect.count == 2
        assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
        assert "without protection" in caplog.text
        assert world.plan.calls("finish") == 0
        assert world.record() is None

    @both
    def test_an_exception_without_protection_is_the_executors_own(self, *, awaited: bool) -> None:
        world = World(on_store_failure="execute")
        world.plan.fail_before("claim", times=None)

        def fail() -> None:
            assert current_execution() is not None
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            world.run(fail, awaited=awaited)
        assert current_execution() is None

    @both
    def test_a_claim_block_is_not_entered(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_before("claim")
        entered = []

        def block() -> None:
            with world.manager.claim(ACTION) as attempt:
                entered.append(attempt)

        async def ablock() -> None:
            async with world.manager.aclaim(ACTION) as attempt:
                entered.append(attempt)

        with pytest.raises(StoreUnavailableError):
            asyncio.run(ablock()) if awaited else block()
        assert not entered

    @both
    def test_a_claim_whose_answer_is_lost_leaves_nothing_that_looks_done(self, world: World, *, awaited: bool) -> None:
        # The store has granted a claim that nobody knows of: it stays until its lease lapses, and is in doubt then.
        world.plan.fail_after("claim")
        effect = Effect()
        with pytest.raises(StoreUnavailableError):
            world.run(effect, awaited=awaited)
        assert effect.count == 0
        world.clock.advance("1m")
        assert world.record().state is State.IN_DOUBT


class TestAStoreThatFailsAfterTheEffect:
    @both
    def test_a_hiccup_is_outlasted(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_before("finish", times=2)
        effect = Effect({"card": 7})
        assert world.run(effect, awaited=awaited) == {"card": 7}
        assert world.run(effect, awaited=awaited) == {"card": 7}
        assert (effect.count, world.plan.calls("finish")) == (1, 3)

    @both
    def test_a_store_that_stays_away_costs_bounded_retries_and_no_result(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_before("finish", times=None)
        result = object()
        effect = Effect(result)
        with pytest.raises(ResultNotRecordedError) as caught:
            world.run(effect, awaited=awaited)
        assert caught.value.result is result
        assert caught.value.key == world.key
        assert 2 <= world.plan.calls("finish") <= 10
        assert effect.count == 1
        assert current_execution() is None
        world.clock.advance("1m")
        assert world.record().state is State.IN_DOUBT

    @both
    def test_a_result_whose_acknowledgement_was_lost_is_recorded(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_after("finish")
        effect = Effect("kept")
        assert world.run(effect, awaited=awaited) == "kept"
        assert world.run(effect, awaited=awaited) == "kept"
        assert effect.count == 1

    @both
    def test_a_release_whose_acknowledgement_was_lost_is_no_lost_lease(self, *, awaited: bool) -> None:
        events: list[str] = []
        world = World(on_event=lambda event: events.append(event.kind))
        world.plan.fail_after("finish")

        def fail() -> None:
            raise LookupError("no such board")

        with pytest.raises(LookupError, match="no such board"):
            world.run(fail, awaited=awaited)
        assert events == ["failed"]
        assert world.record() is None

    @both
    def test_an_exception_stays_what_it_is_where_the_store_is_not_told(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_before("finish", times=None)

        def fail() -> None:
            raise LookupError("no such board")

        with pytest.raises(LookupError, match="no such board"):
            world.run(fail, awaited=awaited)

    @both
    def test_completing_a_claim_block_carries_the_result_in_the_error(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_before("finish", times=None)

        def block() -> None:
            with world.manager.claim(ACTION) as attempt:
                attempt.complete("card 7")

        async def ablock() -> None:
            async with world.manager.aclaim(ACTION) as attempt:
                attempt.complete("card 7")

        with pytest.raises(ResultNotRecordedError) as caught:
            asyncio.run(ablock()) if awaited else block()
        assert caught.value.result == "card 7"


class TestAResultThatHasNoEncoding:
    @both
    def test_the_first_caller_gets_it_with_a_warning_and_a_duplicate_is_refused(
        self, world: World, caplog: pytest.LogCaptureFixture, *, awaited: bool
    ) -> None:
        effect = Effect(threading.Lock())
        with caplog.at_level(logging.WARNING, "idempotency_manager"):
            assert world.run(effect, awaited=awaited) is effect.result
        assert "result could not be stored" in caplog.text
        with pytest.raises(ResultUnavailableError) as caught:
            world.run(effect, awaited=awaited)
        assert caught.value.record.state is State.COMPLETED
        assert effect.count == 1

    @both
    def test_a_codec_that_fails_does_not_undo_the_effect(
        self, caplog: pytest.LogCaptureFixture, *, awaited: bool
    ) -> None:
        class Broken:
            def encode(self, result: object) -> bytes:
                raise TypeError(f"can't encode {result}")

            def decode(self, data: bytes) -> object:
                return data

        world = World(codec=Broken())
        effect = Effect("x")
        with caplog.at_level(logging.WARNING, "idempotency_manager"):
            assert world.run(effect, awaited=awaited) == "x"
        assert "its codec raised TypeError: can't encode x" in caplog.text
        with pytest.raises(ResultUnavailableError):
            world.run(effect, awaited=awaited)
        assert effect.count == 1

    def test_marking_it_by_hand_is_refused(self, world: World) -> None:
        with pytest.raises(ConfigurationError, match="result"):
            world.manager.mark_executed(world.key, threading.Lock())
        assert world.record() is None

    def test_an_awaitable_that_nobody_awaited_is_no_result(self, world: World) -> None:
        async def inner() -> str:
            return "never"

        class Awaitable:
            def __await__(self) -> Iterator[None]:
                yield None

        @world.manager.idempotent(target="trello")
        async def nested(signal_id: str) -> str:
            return signal_id

        with pytest.raises(InvalidActionError, match="coroutine"):
            world.manager.execute(ACTION, lambda: inner())  # noqa: PLW0108 - a coroutine function would be refused early
        assert world.record() is None
        with pytest.raises(InvalidActionError, match="await"):
            world.manager.execute(ACTION, lambda: nested("s"))
        assert world.record() is None
        # Something that may have begun already, as a task has.
        with pytest.raises(InvalidActionError, match="await"):
            world.manager.execute(ACTION, Awaitable)
        assert world.record().state is State.IN_DOUBT


class TestDispatched:
    @both
    def test_a_store_that_can_not_keep_it_stops_the_effect(self, world: World, *, awaited: bool) -> None:
        world.plan.fail_before("dispatch")
        effect = Effect()

        def executor() -> Any:
            execution = current_execution()
            assert execution is not None
            execution.dispatched()
            return effect()

        with pytest.raises(StoreUnavailableError):
            world.run(executor, awaited=awaited, latch=True)
        assert effect.count == 0
        assert world.record() is None
        assert world.run(executor, awaited=awaited, latch=True) == "done"

    @both
    def test_once_kept_any_exception_leaves_it_in_doubt(self, world: World, *, awaited: bool) -> None:
        def executor() -> None:
            execution = current_execution()
            assert execution is not None
            execution.dispatched()
            raise LookupError("after the effect")

        with pytest.raises(LookupError):
            world.run(executor, awaited=awaited, latch=True)
        assert world.record().state is State.IN_DOUBT


class TestRenewal:
    def test_a_lease_outlasts_a_store_that_is_away_for_a_while(self) -> None:
        manager = IdempotencyManager(lease="90ms")
        plan = FaultPlan()
        inject(manager, plan)
        plan.fail_before("renew", times=1)

        def executor() -> str:
            assert plan.wait_for("renew", calls=8)
            record = manager.get_record(manager.generate_key(ACTION))
            assert record is not None
            assert record.state is State.IN_PROGRESS
            return "done"

        assert manager.execute(ACTION, executor) == "done"

    def test_renewals_that_all_fail_are_tried_to_the_end_and_the_result_is_kept_all_the_same(self) -> None:
        manager = IdempotencyManager(lease="60ms")
        plan = FaultPlan()
        inject(manager, plan)
        plan.fail_before("renew", times=None)
        lefts = []

        def executor() -> str:
            execution = current_execution()
            assert execution is not None
            assert plan.wait_for("renew", calls=5)
            lefts.append(execution.remaining().total_seconds())
            return "done"

        assert manager.execute(ACTION, executor) == "done"
        assert lefts == [0.0]
        assert manager.execute(ACTION, executor) == "done"

    def test_a_renewal_that_hangs_stops_no_call(self) -> None:
        manager = IdempotencyManager(lease="60ms")
        plan = FaultPlan()
        inject(manager, plan)
        plan.hold("renew")

        def executor() -> str:
            assert plan.wait_for("renew")
            return manager.execute(OTHER, lambda: "inner")

        assert manager.execute(ACTION, executor) == "inner"
        plan.heal()
        manager.close()

    def test_a_call_under_way_keeps_its_lease_after_the_manager_is_closed(self) -> None:
        manager = IdempotencyManager(lease="60ms")
        plan = FaultPlan()
        inject(manager, plan)

        def executor() -> float:
            execution = current_execution()
            assert execution is not None
            assert plan.wait_for("renew")
            manager.close()
            assert plan.wait_for("renew", calls=plan.calls("renew") + 5)
            return execution.remaining().total_seconds()

        assert manager.execute(ACTION, executor) > 0


# -------------------------------------------------------------------------------------------- cancellation


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
        assert _chain(caught.value, ResultNotRecordedError).result == "card 7"

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


def _chain(error: BaseException | None, kind: type[BaseException]) -> Any:
    """The exception of a kind among an exception's causes and contexts."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    assert error is not None
    return error


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


# -------------------------------------------------------------------------------------------- Ctrl-C


def _interrupt_when(reached: Callable[[], object], then: Callable[[], object] = lambda: None) -> threading.Thread:
    """Send this process the signal of Ctrl-C once something holds; then do another thing."""

    def run() -> None:
        reached()
        os.kill(os.getpid(), signal.SIGINT)
        then()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as POSIX has them")
class TestCtrlC:
    def test_during_a_pending_claim_it_leaves_no_claim_behind(self, world: World) -> None:
        world.plan.hold("claim")
        effect = Effect()

        def then() -> None:
            threading.Event().wait(0.1)
            world.plan.let_go("claim")

        thread = _interrupt_when(lambda: world.plan.wait_for("claim"), then)
        with pytest.raises(KeyboardInterrupt):
            world.manager.execute(ACTION, effect)
        thread.join()
        assert effect.count == 0
        assert world.record() is None

    def test_during_a_wait_it_ends_the_wait(self, world: World) -> None:
        go, effect = threading.Event(), Effect()

        def slow() -> Any:
            go.wait()
            return effect()

        holder = threading.Thread(target=world.manager.execute, args=(ACTION, slow))
        holder.start()
        assert world.plan.wait_for("claim")
        thread = _interrupt_when(lambda: world.plan.wait_for("claim", calls=2))
        with pytest.raises(KeyboardInterrupt):
            world.manager.execute(ACTION, effect)
        go.set()
        holder.join()
        thread.join()
        assert effect.count == 1
        assert world.record().state is State.COMPLETED

    def test_during_the_executor_it_leaves_the_action_in_doubt(self, world: World) -> None:
        began = threading.Event()

        def executor() -> None:
            began.set()
            threading.Event().wait(10)

        thread = _interrupt_when(began.wait)
        with pytest.raises(KeyboardInterrupt):
            world.manager.execute(ACTION, executor)
        thread.join()
        record = world.record()
        assert record.state is State.IN_DOUBT
        assert "KeyboardInterrupt" in record.error

    def test_during_the_final_write_the_result_is_recorded(self, world: World) -> None:
        world.plan.hold("finish")
        effect = Effect("kept")

        def then() -> None:
            threading.Event().wait(0.1)
            world.plan.let_go("finish")

        thread = _interrupt_when(lambda: world.plan.wait_for("finish"), then)
        with pytest.raises(KeyboardInterrupt):
            world.manager.execute(ACTION, effect)
        thread.join()
        assert world.manager.execute(ACTION, effect) == "kept"
        assert effect.count == 1

    def test_with_a_result_that_can_not_be_recorded_it_carries_the_result(self, world: World) -> None:
        world.plan.fail_before("finish", times=None)
        thread = _interrupt_when(lambda: world.plan.wait_for("finish"))
        with pytest.raises(KeyboardInterrupt) as caught:
            world.manager.execute(ACTION, Effect("card 7"))
        thread.join()
        assert _chain(caught.value, ResultNotRecordedError).result == "card 7"

    def test_during_an_operation_by_hand_it_ends_the_wait(self, world: World) -> None:
        world.plan.hold("get")
        thread = _interrupt_when(lambda: world.plan.wait_for("get"))
        with pytest.raises(KeyboardInterrupt):
            world.manager.get_record(world.key)
        thread.join()

    def test_during_dispatched_it_stops_the_effect(self, world: World) -> None:
        world.plan.hold("dispatch")
        effect = Effect()

        def executor() -> Any:
            execution = current_execution()
            assert execution is not None
            execution.dispatched()
            return effect()

        thread = _interrupt_when(lambda: world.plan.wait_for("dispatch"))
        with pytest.raises(KeyboardInterrupt):
            world.manager.execute(ACTION, executor, latch=True)
        thread.join()
        assert effect.count == 0
        assert world.record() is None
