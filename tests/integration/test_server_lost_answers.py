"""Answers that are lost after the server has done the work: each verb is asked again, and says the same twice."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from idempotency_manager import (
    IdempotencyManager,
    ResultNotRecordedError,
    StoreUnavailableError,
    current_execution,
)
from tests.integration.servers_world import (
    HASTY,
    HASTY_SECONDS,
    NOT_RECORDED_SECONDS,
    PATIENT,
    Effect,
    Wire,
    World,
    action,
    at_most,
    both,
    leave_in_doubt,
    run,
    until,
    works,
)


class TestAnAnswerThatIsLostAfterTheServerHasDoneTheWork:
    @pytest.fixture
    def wire(self, world: World) -> Wire:
        return world.wire()

    @pytest.fixture
    def manager(self, world: World, wire: Wire) -> IdempotencyManager:
        manager = world.manager(world.url(wire, **PATIENT))
        works(manager, "warm")
        return manager

    @both
    def test_a_claim_is_the_calls_own(
        self, world: World, manager: IdempotencyManager, wire: Wire, *, awaited: bool
    ) -> None:
        effect = Effect()
        wire.lose_answer_to("signal-1")
        assert run(manager, effect, awaited=awaited, name="signal-1") == "done"
        wire.wait_for_the_loss()
        other = world.manager()
        assert run(other, effect, awaited=awaited, name="signal-1") == "done"
        assert effect.count == 1
        record = other.get_record(manager.generate_key(action("signal-1")))
        assert record is not None
        assert record.attempt_count == 2

    @both
    def test_a_claim_over_an_action_in_doubt_is_the_calls_own(
        self, manager: IdempotencyManager, wire: Wire, *, awaited: bool
    ) -> None:
        leave_in_doubt(manager, "signal-1")
        effect = Effect("again")
        wire.lose_answer_to("signal-1")
        assert run(manager, effect, awaited=awaited, name="signal-1", on_in_doubt="retry") == "again"
        wire.wait_for_the_loss()
        assert effect.count == 1

    @both
    def test_a_result_is_kept(self, world: World, manager: IdempotencyManager, wire: Wire, *, awaited: bool) -> None:
        effect = Effect("kept", lambda: wire.lose_answer_to("signal-1"))
        assert run(manager, effect, awaited=awaited, name="signal-1") == "kept"
        wire.wait_for_the_loss()
        assert run(world.manager(), effect, awaited=awaited, name="signal-1") == "kept"
        assert effect.count == 1

    @both
    def test_a_release_is_one(self, world: World, manager: IdempotencyManager, wire: Wire, *, awaited: bool) -> None:
        def fail() -> None:
            wire.lose_answer_to("signal-1")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(manager, Effect(meanwhile=fail), awaited=awaited, name="signal-1")
        wire.wait_for_the_loss()
        assert manager.get_record(manager.generate_key(action("signal-1"))) is None
        assert run(world.manager(), Effect("done"), awaited=awaited, name="signal-1") == "done"

    @both
    def test_a_doubt_is_one(self, manager: IdempotencyManager, wire: Wire, *, awaited: bool) -> None:
        def fail() -> None:
            wire.lose_answer_to("signal-1")
            raise TimeoutError("nobody knows")

        with pytest.raises(TimeoutError):
            run(manager, Effect(meanwhile=fail), awaited=awaited, name="signal-1")
        wire.wait_for_the_loss()
        (doubt,) = manager.get_in_doubt()
        assert "nobody knows" in str(doubt.error)

    @both
    def test_a_latch_is_passed(self, manager: IdempotencyManager, wire: Wire, *, awaited: bool) -> None:
        def meanwhile() -> None:
            execution = current_execution()
            assert execution is not None
            wire.lose_answer_to("signal-1")
            execution.dispatched()
            wire.wait_for_the_loss()

        effect = Effect(meanwhile=meanwhile)
        assert run(manager, effect, awaited=awaited, name="signal-1", latch=True) == "done"
        assert run(manager, effect, awaited=awaited, name="signal-1") == "done"
        assert effect.count == 1

    def test_a_mark_is_one(self, manager: IdempotencyManager, wire: Wire) -> None:
        key = manager.generate_key(action("signal-1"))
        wire.lose_answer_to("signal-1")
        manager.mark_executed(key, "by hand")
        wire.wait_for_the_loss()
        assert run(manager, Effect(), awaited=False, name="signal-1") == "by hand"

    @pytest.mark.parametrize("way", [{"result": "found"}, {"not_executed": True}])
    def test_a_doubt_is_resolved(self, manager: IdempotencyManager, wire: Wire, way: dict[str, Any]) -> None:
        key = leave_in_doubt(manager, "signal-1")
        wire.lose_answer_to("signal-1")
        manager.resolve_in_doubt(key, **way)
        wire.wait_for_the_loss()
        record = manager.get_record(key)
        assert (record and record.result) == way.get("result")

    def test_a_key_is_cleared(self, manager: IdempotencyManager, wire: Wire) -> None:
        key = manager.generate_key(action("signal-1"))
        works(manager, "signal-1")
        wire.lose_answer_to("signal-1")
        manager.clear_key(key)
        wire.wait_for_the_loss()
        assert manager.get_record(key) is None

    def test_everything_is_cleared(self, world: World, manager: IdempotencyManager, wire: Wire) -> None:
        works(manager, "signal-1")
        wire.lose_answer_to(world.namespace)
        manager.clear_all()
        wire.wait_for_the_loss()
        assert manager.get_keys() == []

    def test_a_look_is_taken_again(self, world: World, manager: IdempotencyManager, wire: Wire) -> None:
        works(manager, "signal-1")
        key = manager.generate_key(action("signal-1"))
        for look, marker in (
            (lambda: manager.get_record(key), "signal-1"),
            (lambda: manager.check_executed(key), "signal-1"),
            (manager.get_keys, world.namespace),
            (manager.stats, world.namespace),
            (manager.get_in_doubt, world.namespace),
        ):
            before = look()
            wire.lose_answer_to(marker)
            assert type(look()) is type(before)
            wire.wait_for_the_loss()

    def test_a_lease_is_renewed(self, world: World, wire: Wire) -> None:
        manager = world.manager(world.url(wire, **PATIENT), lease="1s")

        def meanwhile() -> None:
            wire.lose_answer_to("signal-1")
            wire.wait_for_the_loss()
            time.sleep(1.2)

        effect = Effect("kept", meanwhile)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(run, manager, effect, awaited=False, name="signal-1")
            until(lambda: effect.count)
            assert run(world.manager(), effect, awaited=False, name="signal-1") == "kept"
            assert first.result() == "kept"
        assert effect.count == 1


class TestABatchOfManyActions:
    @pytest.mark.parametrize("lost", ["claims", "latches", "results"])
    @both
    def test_each_runs_once_whatever_answer_is_lost(self, world: World, lost: str, *, awaited: bool) -> None:
        wire = world.wire()
        manager = world.manager(world.url(wire, **PATIENT))
        works(manager, "warm")
        effects: list[str] = []
        lose_at = {"claims": None, "latches": "signal-0", "results": "signal-7"}[lost]

        def effect(one: dict[str, Any]) -> str:
            effects.append(one["signal_id"])
            if one["signal_id"] == lose_at:
                wire.lose_answer_to("signal-")
            if lost == "latches":
                execution = current_execution()
                assert execution is not None
                execution.dispatched()
            return one["signal_id"].upper()

        async def later(one: dict[str, Any]) -> str:
            return await asyncio.to_thread(effect, one)

        actions = [action(f"signal-{number}") for number in range(40)]
        if lost == "claims":
            wire.lose_answer_to("signal-")
        latch = lost == "latches"
        for _ in range(2):
            outcomes = (
                asyncio.run(manager.aexecute_many(actions, later, latch=latch))
                if awaited
                else manager.execute_many(actions, effect, latch=latch)
            )
            assert [outcome.result for outcome in outcomes] == [f"SIGNAL-{number}" for number in range(40)]
        wire.wait_for_the_loss()
        assert sorted(effects) == sorted(one["signal_id"] for one in actions)

    def test_keys_are_looked_up_again(self, world: World) -> None:
        wire = world.wire()
        manager = world.manager(world.url(wire, **PATIENT))
        works(manager, "signal-1")
        wire.lose_answer_to("signal-1")
        found, missing = manager.check_many([manager.generate_key(action(f"signal-{n}")) for n in (1, 2)])
        wire.wait_for_the_loss()
        assert (found.executed, found.cached_result, missing.executed) == (True, "signal-1", False)


class TestABatchWhoseServerIsGone:
    def test_nothing_runs_where_it_is_gone_before(self, world: World) -> None:
        manager = world.manager(world.url(**HASTY))
        works(manager, "warm")
        effects: list[Any] = []
        world.server.kill()
        with at_most(HASTY_SECONDS):
            outcomes = manager.execute_many([action(n) for n in range(5)], effects.append)
        assert {type(outcome.error) for outcome in outcomes} == {StoreUnavailableError}
        assert effects == []

    def test_results_come_with_the_errors_where_it_goes_away_meanwhile(self, world: World) -> None:
        manager = world.manager(world.url(**HASTY))
        effects: list[str] = []

        def effect(one: dict[str, Any]) -> str:
            if not effects:
                world.server.kill()
            effects.append(one["signal_id"])
            return f"card {one['signal_id']}"

        with at_most(NOT_RECORDED_SECONDS + 1):
            outcomes = manager.execute_many([action(n) for n in range(5)], effect)
        assert {type(outcome.error) for outcome in outcomes} <= {ResultNotRecordedError, StoreUnavailableError}
        carried = [f"card {name}" for name in effects]
        assert [o.error.result for o in outcomes if isinstance(o.error, ResultNotRecordedError)] == carried
