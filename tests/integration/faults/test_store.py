"""A store that waits, fails, and loses answers: what a caller meets, and what is left behind."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from idempotency_manager import (
    AsyncIdempotencyManager,
    IdempotencyManager,
    InvalidActionError,
    ResultNotRecordedError,
    ResultUnavailableError,
    State,
    StoreUnavailableError,
    current_execution,
)
from idempotency_manager.exceptions import ConfigurationError
from idempotency_manager.testing import FaultPlan, inject
from tests.integration.faults.world import ACTION, OTHER, Effect, World, both


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
