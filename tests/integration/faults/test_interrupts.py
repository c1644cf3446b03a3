"""Ctrl-C while a store keeps its caller waiting."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from idempotency_manager import (
    ResultNotRecordedError,
    State,
    current_execution,
)
from tests.integration.faults.world import ACTION, Effect, World, cause_of


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
        assert cause_of(caught.value, ResultNotRecordedError).result == "card 7"

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
