"""Answers that are lost after the server has done the work: each verb is asked again, and says the same twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from idempotency_manager import (
    IdempotencyManager,
    current_execution,
)
from tests.integration.servers_world import (
    PATIENT,
    Effect,
    Wire,
    World,
    action,
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
