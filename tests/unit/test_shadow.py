"""Shadow mode: every call executes and gets its own result; what would have been prevented is told and counted."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import (
    NOT_EXECUTED,
    AsyncIdempotencyManager,
    ConfigurationError,
    IdempotencyConfig,
    IdempotencyManager,
    InvalidActionError,
    current_execution,
    idempotent,
)
from tests.unit.batches import Cards, actions, execute_many
from tests.unit.flavours import Flavour, both_flavours
from tests.unit.shadow import ACTION, Numbers, Watched, fields_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.shop import Shop


@both_flavours
def test_every_call_runs_and_gets_its_own_result(flavour: Flavour, watched: Watched) -> None:
    executor = Numbers()
    results = [flavour.get(watched.manager.execute(ACTION, flavour.function(executor))) for _ in range(3)]
    assert results == [1, 2, 3]
    assert watched.kinds == ["executed", "would_replay", "differs", "would_replay", "differs"]
    assert watched.counts(flavour) == (0, 2)


def test_a_decorated_function_runs_each_time(kinds: list[str], shadowed: IdempotencyManager) -> None:
    executor = Numbers()

    @shadowed.idempotent(target="trello")
    def create_card(signal_id: str, title: str) -> int:
        return int(executor())

    assert [create_card("inv-1", "Pay") for _ in range(3)] == [1, 2, 3]
    assert kinds == ["executed", "would_replay", "differs", "would_replay", "differs"]


@both_flavours
def test_the_store_remembers_as_usual(flavour: Flavour, watched: Watched) -> None:
    for _ in range(3):
        flavour.get(watched.manager.execute(ACTION, flavour.function(Numbers("card"))))
    key = watched.manager.generate_key(ACTION)
    record = flavour.get(watched.manager.get_record(key))
    assert (record.state, record.result, record.attempt_count) == ("completed", "card", 3)
    watched.manager.configure(shadow=False)
    assert flavour.get(watched.manager.execute(ACTION, flavour.function(Numbers("another")))) == "card"
    assert watched.counts(flavour) == (1, 2)
    assert "differs" not in watched.kinds


@both_flavours
def test_one_function_is_enforced_while_the_others_are_watched(flavour: Flavour, watched: Watched) -> None:
    enforced, seen = Numbers(), Numbers()
    for _ in range(2):
        flavour.get(watched.manager.execute(ACTION, flavour.function(enforced), shadow=False))
    other = {**fields_of(ACTION), "signal_id": "inv-2"}
    watched.manager.configure(shadow=False)
    for _ in range(2):
        flavour.get(watched.manager.execute(other, flavour.function(seen), shadow=True))
    assert (enforced.calls, seen.calls) == (1, 2)
    assert watched.counts(flavour) == (1, 1)


@both_flavours
def test_counters_are_reset_with_the_others(flavour: Flavour, watched: Watched) -> None:
    for _ in range(2):
        flavour.get(watched.manager.execute(ACTION, flavour.function(Numbers())))
    flavour.get(watched.manager.reset_stats())
    assert watched.counts(flavour) == (0, 0)


@both_flavours
def test_a_result_is_the_same_if_it_is_equal(flavour: Flavour, watched: Watched) -> None:
    for results in [({"a": 1, "b": 2}, {"b": 2, "a": 1}), (float("nan"), float("nan")), ((1, 2), (1, 2))]:
        executor = Numbers(*results)
        for _ in range(2):
            flavour.get(watched.manager.execute(ACTION, flavour.function(executor)))
        flavour.get(watched.manager.clear_all())
    assert "differs" not in watched.kinds
    executor = Numbers((1, 2), [1, 2])
    for _ in range(2):
        flavour.get(watched.manager.execute(ACTION, flavour.function(executor)))
    assert watched.kinds[-1] == "differs"


@both_flavours
def test_a_result_that_could_not_be_stored_is_no_fault_of_a_duplicate(flavour: Flavour, tmp_path: Path) -> None:
    kinds: list[str] = []
    manager = flavour.manager_class(
        f"sqlite:///{tmp_path}/own.db", shadow=True, on_event=lambda event: kinds.append(event.kind)
    )
    results = [flavour.get(manager.execute(ACTION, flavour.function(object))) for _ in range(2)]
    flavour.get(manager.close())
    assert results[0] is not results[1]
    assert kinds == ["executed", "would_raise_result_unavailable"]


def test_objects_that_have_no_equality_do_not_differ(kinds: list[str], shadowed: IdempotencyManager) -> None:
    class Handle:
        """Something that no store can encode."""

    handles = [shadowed.execute(ACTION, Handle) for _ in range(2)]
    assert handles[0] is not handles[1]
    assert kinds == ["executed", "would_replay"]


@both_flavours
def test_an_exception_where_there_was_a_result_differs(flavour: Flavour, watched: Watched) -> None:
    executor = flavour.function(Numbers("card", ValueError("no such board")))
    assert flavour.get(watched.manager.execute(ACTION, executor)) == "card"
    with pytest.raises(ValueError, match="no such board"):
        flavour.get(watched.manager.execute(ACTION, executor))
    assert watched.kinds == ["executed", "would_replay", "differs"]


@both_flavours
def test_an_exception_that_would_be_replayed_is_raised_by_each_call_itself(flavour: Flavour, watched: Watched) -> None:
    errors = [KeyError("a"), KeyError("a"), KeyError("b")]
    executor = flavour.function(Numbers(*errors))
    for error in errors:
        with pytest.raises(KeyError) as raised:
            flavour.get(watched.manager.execute(ACTION, executor, replay_errors=(KeyError,)))
        assert raised.value is error
    assert watched.kinds == ["failed", "would_replay", "would_replay", "differs"]


@both_flavours
def test_a_key_in_doubt_never_raises(flavour: Flavour, watched: Watched) -> None:
    executor = flavour.function(Numbers(TimeoutError("lost"), "card"))
    with pytest.raises(TimeoutError):
        flavour.get(watched.manager.execute(ACTION, executor))
    assert flavour.get(watched.manager.execute(ACTION, executor)) == "card"
    assert watched.kinds == ["in_doubt", "would_raise_in_doubt"]
    assert flavour.get(watched.manager.stats()).in_doubt == 1


@both_flavours
def test_a_reconciler_is_not_asked(flavour: Flavour, watched: Watched) -> None:
    executor = flavour.function(Numbers(TimeoutError("lost"), "card"))

    def reconcile(_record: object) -> object:
        raise AssertionError

    with pytest.raises(TimeoutError):
        flavour.get(watched.manager.execute(ACTION, executor))
    assert flavour.get(watched.manager.execute(ACTION, executor, on_in_doubt=reconcile)) == "card"
    assert watched.kinds == ["in_doubt", "would_reconcile"]
    assert NOT_EXECUTED is not None


@both_flavours
def test_what_runs_again_anyway_runs_as_usual(flavour: Flavour, watched: Watched) -> None:
    executor = flavour.function(Numbers(TimeoutError("lost"), "card"))
    with pytest.raises(TimeoutError):
        flavour.get(watched.manager.execute(ACTION, executor))
    assert flavour.get(watched.manager.execute(ACTION, executor, on_in_doubt="retry")) == "card"
    assert watched.kinds == ["in_doubt", "executed"]


@both_flavours
def test_a_mismatch_never_raises(flavour: Flavour, watched: Watched) -> None:
    watched.manager.configure(include_params_in_key=False, verify_params=True)
    other = {**fields_of(ACTION), "params": {"title": "Pay twice"}}
    executor = flavour.function(Numbers())
    assert flavour.get(watched.manager.execute(ACTION, executor)) == 1
    assert flavour.get(watched.manager.execute(other, executor)) == 2
    assert watched.kinds == ["executed", "would_raise_mismatch"]


@pytest.mark.parametrize(("on_concurrent", "kind"), [("wait", "would_wait"), ("raise", "would_raise_in_progress")])
def test_a_concurrent_duplicate_never_waits(
    on_concurrent: Any, kind: str, kinds: list[str], shadowed: IdempotencyManager
) -> None:
    shadowed.configure(on_concurrent=on_concurrent)
    begun, goes_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert goes_on.wait(20)
        return "slow"

    holder = threading.Thread(target=shadowed.execute, args=(ACTION, slow))
    holder.start()
    assert begun.wait(20)
    assert shadowed.execute(ACTION, lambda: "quick") == "quick"
    goes_on.set()
    holder.join()
    assert kinds == [kind, "executed"]
    assert shadowed.stats().would_have_prevented == 1


def test_a_concurrent_duplicate_that_ends_last_is_held_against_the_first(
    kinds: list[str], shadowed: IdempotencyManager
) -> None:
    async def both() -> list[str]:
        first_ends, second_begins = asyncio.Event(), asyncio.Event()

        async def first() -> str:
            await second_begins.wait()
            return "first"

        async def second() -> str:
            second_begins.set()
            await first_ends.wait()
            return "second"

        holder = asyncio.create_task(shadowed.aexecute(ACTION, first))
        holder.add_done_callback(lambda _: first_ends.set())
        await asyncio.sleep(0)
        return [await shadowed.aexecute(ACTION, second), await holder]

    assert asyncio.run(both()) == ["second", "first"]
    assert kinds == ["would_wait", "executed", "differs"]


def test_a_call_inside_its_own_execution_runs(kinds: list[str], shadowed: IdempotencyManager) -> None:
    assert shadowed.execute(ACTION, lambda: shadowed.execute(ACTION, lambda: "inner") + "+outer") == "inner+outer"
    assert kinds[0] == "would_raise_reentrant"


@both_flavours
def test_a_duplicate_knows_its_execution(flavour: Flavour, watched: Watched) -> None:
    seen = []

    def executor() -> None:
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        assert execution.remaining() > timedelta(seconds=20)
        seen.append((execution.key, execution.uuid, execution.attempt_count))

    for _ in range(2):
        flavour.get(watched.manager.execute(ACTION, flavour.function(executor)))
    (key, uuid, first), (again, same, second) = seen
    assert (key, uuid) == (again, same)
    assert (first, second) == (1, 2)
    assert current_execution() is None


@both_flavours
def test_a_claim_block_runs_each_time(flavour: Flavour, watched: Watched) -> None:
    def complete(attempt: Any) -> bool:
        attempt.complete("card")
        return bool(attempt.executed)

    assert [flavour.run_block(watched.manager.claim(ACTION), complete) for _ in range(2)] == [False, False]
    assert watched.kinds == ["executed", "would_replay"]
    flavour.run_block(watched.manager.claim(ACTION), lambda attempt: attempt.release())
    with pytest.raises(ValueError, match="no board"):
        flavour.run_block(watched.manager.claim(ACTION), Numbers(ValueError("no board")))


@both_flavours
def test_a_batch_runs_every_action(flavour: Flavour, watched: Watched) -> None:
    cards = Cards()
    for _ in range(2):
        outcomes = execute_many(flavour, watched.manager, actions(1, 2, 2), cards)
        assert [(outcome.unwrap(), outcome.replayed) for outcome in outcomes] == [
            ("card 1", False),
            ("card 2", False),
            ("card 2", False),
        ]
    assert sorted(cards.made) == [1, 1, 2, 2, 2, 2]
    assert watched.counts(flavour) == (0, 4)


def test_a_retry_runs_as_it_did_before(kinds: list[str], shadowed: IdempotencyManager) -> None:
    executor = Numbers(ConnectionRefusedError(), "card", "card")
    with pytest.raises(ConnectionRefusedError):
        shadowed.execute(ACTION, executor)
    assert [shadowed.execute(ACTION, executor) for _ in range(2)] == ["card", "card"]
    assert kinds == ["failed", "executed", "would_replay"]


def test_a_cancelled_duplicate_ends_as_cancelled(kinds: list[str], shadowed: IdempotencyManager) -> None:
    async def cancelled() -> None:
        async def forever() -> None:
            task.cancel()
            await asyncio.sleep(60)

        task = asyncio.ensure_future(shadowed.aexecute(ACTION, forever))
        with pytest.raises(asyncio.CancelledError):
            await task

    shadowed.execute(ACTION, lambda: "card")
    asyncio.run(cancelled())
    assert kinds == ["executed", "would_replay"]


def test_the_log_names_the_key(shadowed: IdempotencyManager, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "idempotency_manager"):
        for _ in range(2):
            shadowed.execute(ACTION, lambda: "card")
    (record,) = caplog.records
    key = shadowed.generate_key(ACTION)
    assert record.levelname == "INFO"
    assert record.getMessage() == f"shadow: a duplicate, executed all the same: {key}"
    assert record.attempt_count == 2  # type: ignore[attr-defined]


def test_a_transaction_has_no_shadow(shop: Shop, shadowed: IdempotencyManager) -> None:
    with closing(shop.connect()) as connection:
        with pytest.raises(ConfigurationError, match="shadow=False"):
            shadowed.execute_in_transaction(connection, ACTION, lambda: "card")
        assert shadowed.execute_in_transaction(connection, ACTION, lambda: "card", shadow=False) == "card"


def test_shadow_is_true_or_false() -> None:
    with pytest.raises(ConfigurationError, match="shadow="):
        IdempotencyConfig(shadow=1)
    with pytest.raises(ConfigurationError, match="shadow="):
        idempotent(lambda signal_id: signal_id, target="trello", action="a", shadow="yes")  # type: ignore[call-overload]


def test_a_coroutine_function_is_refused_as_ever(shadowed: IdempotencyManager) -> None:
    async def executor() -> None:
        """Nothing."""

    with pytest.raises(InvalidActionError):
        shadowed.execute(ACTION, executor)


def test_a_coroutine_function_runs_each_time() -> None:
    manager = AsyncIdempotencyManager(shadow=True)
    executor = Numbers()

    @manager.idempotent(target="trello")
    async def create_card(signal_id: str) -> int:
        return int(executor())

    async def both() -> tuple[list[int], int]:
        results = [await create_card("inv-1"), await create_card("inv-1")]
        return results, (await manager.stats()).would_have_prevented

    assert asyncio.run(both()) == ([1, 2], 1)
