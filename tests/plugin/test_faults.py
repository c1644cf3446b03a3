"""Each fault does to a record what the real one does, on every store and for every way to call."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from idempotency_manager import InDoubtError, LeaseLostError, ResultNotRecordedError, State
from idempotency_manager.testing import Idempotency, SimulatedCrash
from tests.plugin.helpers import (
    Board,
    acreate_card,
    cards,
    create_card,
    create_card_and_say,
    create_card_latched,
    create_card_or_find_it,
    say,
)

ACTION = {"signal_id": "evt_1", "action": "create_card", "target": "trello"}


def in_doubt(idempotency: Idempotency) -> list[str | None]:
    return [record.signal_id for record in idempotency.manager.get_in_doubt()]


def test_a_crash_after_the_effect_leaves_the_action_in_doubt_without_a_word(everywhere: Idempotency) -> None:
    with everywhere.crash_after_effect():
        create_card("evt_1")
    assert cards == ["evt_1"]
    record = create_card.record("evt_1")
    assert record is not None
    assert (record.state, record.executed_at) == (State.IN_DOUBT, None)
    assert in_doubt(everywhere) == ["evt_1"]
    with pytest.raises(InDoubtError):
        create_card("evt_1")
    assert cards == ["evt_1"]
    assert everywhere.executions[0].outcome == "crashed"


def test_a_crash_before_the_effect_leaves_the_action_in_doubt_without_the_effect(everywhere: Idempotency) -> None:
    with everywhere.crash_before_effect():
        create_card("evt_1")
    assert cards == []
    assert in_doubt(everywhere) == ["evt_1"]
    with pytest.raises(InDoubtError):
        create_card("evt_1")
    everywhere.assert_not_executed(create_card)


def test_a_lost_lease_gives_the_result_in_the_error(everywhere: Idempotency) -> None:
    with everywhere.lease_lost(), pytest.raises(LeaseLostError) as caught:
        create_card("evt_1")
    assert caught.value.result == "card-1"
    assert caught.value.record is not None
    assert everywhere.assert_executed_once(create_card).outcome == "lease_lost"
    assert in_doubt(everywhere) == ["evt_1"]


def test_a_store_that_is_down_after_the_effect_gives_the_result_in_the_error(everywhere: Idempotency) -> None:
    with everywhere.store_down_after_effect(), pytest.raises(ResultNotRecordedError) as caught:
        create_card("evt_1")
    assert caught.value.result == "card-1"
    assert everywhere.assert_executed_once(create_card).outcome == "not_recorded"
    assert in_doubt(everywhere) == ["evt_1"]


def test_the_clock_moves_records_on_every_store(everywhere: Idempotency) -> None:
    create_card("evt_1")
    everywhere.clock.advance("23h59m")
    create_card("evt_1")
    assert len(cards) == 1
    everywhere.clock.advance("1m")
    create_card("evt_1")
    assert len(cards) == 2


def test_a_reconciler_finds_the_effect_of_a_crash(idempotency: Idempotency) -> None:
    with idempotency.crash_after_effect():
        create_card_or_find_it("evt_1")
    assert create_card_or_find_it("evt_1") == "card-1"
    assert create_card_or_find_it("evt_1") == "card-1"
    assert idempotency.assert_executed_once(create_card_or_find_it, "evt_1").replays == 1


def test_what_retries_in_doubt_has_its_effect_twice_after_a_crash(idempotency: Idempotency) -> None:
    with idempotency.crash_after_effect():
        say("evt_1")
    say("evt_1")
    assert cards == ["evt_1", "evt_1"]
    with pytest.raises(AssertionError, match="executed 2 times"):
        idempotency.assert_executed_once(say)


def test_a_latch_that_was_not_released_says_that_a_crash_was_before_the_effect(idempotency: Idempotency) -> None:
    with idempotency.crash_before_effect():
        create_card_latched("evt_1")
    assert create_card_latched("evt_1") == "card-1"
    with idempotency.crash_after_effect():
        create_card_latched("evt_2")
    with pytest.raises(InDoubtError):
        create_card_latched("evt_2")


def test_a_crash_takes_the_execution_around_it_along(idempotency: Idempotency) -> None:
    with idempotency.crash_before_effect(say):
        create_card_and_say("evt_1")
    assert cards == ["evt_1"]
    assert sorted(record.action_type or "" for record in idempotency.manager.get_in_doubt()) == [
        "create_card_and_say",
        "say",
    ]
    assert [execution.outcome for execution in idempotency.executions] == ["crashed", "completed"]


async def test_coroutines_meet_the_same_faults(everywhere: Idempotency) -> None:
    with everywhere.crash_after_effect():
        await acreate_card("evt_1")
    with everywhere.crash_before_effect():
        await acreate_card("evt_2")
    with everywhere.lease_lost(), pytest.raises(LeaseLostError):
        await acreate_card("evt_3")
    with everywhere.store_down_after_effect(), pytest.raises(ResultNotRecordedError):
        await acreate_card("evt_4")
    assert cards == ["evt_1", "evt_3", "evt_4"]
    for signal in ("evt_1", "evt_2", "evt_3", "evt_4"):
        with pytest.raises(InDoubtError):
            await acreate_card(signal)
    outcomes = [execution.outcome for execution in everywhere.executions]
    assert outcomes == ["crashed", "lease_lost", "not_recorded"]


async def test_a_crash_in_a_task_ends_the_block_that_awaits_it(idempotency: Idempotency) -> None:
    with idempotency.crash_after_effect():
        async with asyncio.TaskGroup() as group:
            group.create_task(acreate_card("evt_1"))
    assert in_doubt(idempotency) == ["evt_1"]


def test_blocks_meet_the_same_faults(idempotency: Idempotency) -> None:
    manager = idempotency.manager
    with idempotency.crash_before_effect(), manager.claim(ACTION):
        pytest.fail("the block was entered")
    manager.clear_all()
    with idempotency.crash_after_effect(), manager.claim(ACTION) as attempt:
        attempt.complete("card-1")
    assert in_doubt(idempotency) == ["evt_1"]


async def test_asynchronous_blocks_meet_the_same_faults(idempotency: Idempotency) -> None:
    with idempotency.crash_after_effect():
        async with idempotency.manager.aclaim(ACTION) as attempt:
            attempt.complete("card-1")
    assert in_doubt(idempotency) == ["evt_1"]


def test_batches_meet_the_same_faults(idempotency: Idempotency) -> None:
    actions = [{**ACTION, "signal_id": f"evt_{number}"} for number in range(3)]
    with idempotency.crash_after_effect(signal_id="evt_1"):
        idempotency.manager.execute_many(actions, lambda action: cards.append(action["signal_id"]))
    assert cards == ["evt_0", "evt_1"]
    assert in_doubt(idempotency) == ["evt_1"]
    idempotency.assert_executed_once(signal_id="evt_0")


def test_a_fault_happens_to_the_one_that_is_named(idempotency: Idempotency) -> None:
    with idempotency.crash_after_effect(say) as fault:
        create_card("evt_1")
        say("evt_1")
    assert fault.struck is not None
    assert fault.struck.action == "say"
    with idempotency.crash_after_effect(Board().move):
        Board().move("evt_1")
    with idempotency.crash_after_effect(target="trello", signal_id="evt_3"):
        create_card("evt_2")
        create_card("evt_3")
    assert cards == ["evt_1", "evt_1", "evt_1", "evt_2", "evt_3"]


def test_a_fault_that_did_not_happen_fails_the_test(idempotency: Idempotency) -> None:
    create_card("evt_1")
    with pytest.raises(AssertionError, match="no execution of create_card came to that point"):  # noqa: SIM117
        with idempotency.crash_after_effect(create_card):
            create_card("evt_1")


def test_an_error_beside_the_fault_comes_out(idempotency: Idempotency) -> None:
    with pytest.raises(LookupError), idempotency.crash_after_effect():
        raise LookupError
    with pytest.raises(LookupError):  # noqa: SIM117
        with idempotency.crash_after_effect():
            with suppress(SimulatedCrash):
                create_card("evt_1")
            raise LookupError


def test_what_comes_of_a_crash_ends_with_it(idempotency: Idempotency) -> None:
    def answer() -> None:
        try:
            create_card("evt_1")
        finally:
            raise LookupError

    with idempotency.crash_after_effect():
        answer()
    assert in_doubt(idempotency) == ["evt_1"]


@pytest.mark.parametrize("path", ["/cards/evt_1", "/acards/evt_1"])
def test_a_web_application_dies_under_its_test_client(idempotency: Idempotency, path: str) -> None:
    app = FastAPI()
    app.add_api_route("/cards/{signal_id}", create_card, methods=["POST"])
    app.add_api_route("/acards/{signal_id}", acreate_card, methods=["POST"])
    with idempotency.crash_after_effect():
        TestClient(app).post(path)
    with pytest.raises(InDoubtError):
        TestClient(app).post(path)
    assert cards == ["evt_1"]


def test_a_fault_is_over_when_its_block_is(idempotency: Idempotency) -> None:
    with idempotency.crash_after_effect():
        create_card("evt_1")
    assert create_card("evt_2") == "card-2"


def test_of_two_threads_one_crashes(idempotency: Idempotency) -> None:
    crashes: list[BaseException] = []

    def call(signal_id: str) -> None:
        try:
            create_card(signal_id)
        except SimulatedCrash as crash:
            crashes.append(crash)

    with idempotency.crash_after_effect():
        threads = [threading.Thread(target=call, args=(f"evt_{number}",)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(crashes) == 1
    assert len(in_doubt(idempotency)) == 1


def test_without_a_store_a_crash_ends_the_block_too(idempotency: Idempotency) -> None:
    from idempotency_manager.testing import FaultPlan, inject

    plan = FaultPlan()
    idempotency.manager.configure(on_store_failure="execute")
    inject(idempotency.manager, plan)
    plan.fail_before("claim")
    with idempotency.crash_after_effect():
        create_card("evt_1")
    assert cards == ["evt_1"]
    assert create_card.record("evt_1") is None
