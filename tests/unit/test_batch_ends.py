"""`execute_many` where others are at it, where it is broken off, and where the store fails."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import Action, IdempotencyManager
from idempotency_manager.testing import FaultPlan, inject
from tests.unit.batches import Cards, actions, execute_many
from tests.unit.flavours import Async, Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from idempotency_manager.testing import ManualClock


# ---------------------------------------------------------------- others


def test_an_action_that_another_is_at_is_refused_where_nobody_waits(tmp_path: Path) -> None:
    held, free = actions(1, 2)
    with IdempotencyManager(f"sqlite:///{tmp_path}/store.db") as manager, manager.claim(held) as attempt:
        for executing in (manager.execute_many, run_in_loop(manager.aexecute_many)):
            ran = in_a_thread(executing, [held, free], Cards(), on_concurrent="raise")
            assert isinstance(ran[0].error, im.AlreadyInProgressError)
            assert ran[1].result == "card 2"
        attempt.release()


def run_in_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return lambda *args, **kwargs: asyncio.run(awaited(*args, **kwargs))


def in_a_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call it as somebody else: whoever is inside an execution would wait for itself."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args, **kwargs).result()


def test_an_action_that_another_is_at_is_waited_for_when_all_else_is_done(tmp_path: Path) -> None:
    cards = Cards()
    with IdempotencyManager(f"sqlite:///{tmp_path}/store.db", wait_timeout="20s") as manager:
        block = manager.claim(actions(1)[0])
        attempt = block.__enter__()

        def at_the_end(done: int, _total: int | None) -> None:
            if done == 2:
                attempt.complete("by another")
                block.__exit__(None, None, None)

        outcomes = manager.execute_many(actions(1, 2, 3), cards, on_progress=at_the_end)
    assert [outcome.result for outcome in outcomes] == ["by another", "card 2", "card 3"]
    assert [outcome.replayed for outcome in outcomes] == [True, False, False]
    assert cards.made == [2, 3]


def test_a_wait_for_another_ends_after_its_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with IdempotencyManager(url, wait_timeout="50ms") as manager, manager.claim(actions(1)[0]) as attempt:
        for executing in (manager.execute_many, run_in_loop(manager.aexecute_many)):
            ran = in_a_thread(executing, actions(1, 2), Cards())
            assert isinstance(ran[0].error, im.AlreadyInProgressError)
            assert ran[1].result == "card 2"
        attempt.release()


def test_an_action_inside_its_own_execution_is_told_so(manager: IdempotencyManager) -> None:
    def inside() -> list[str]:
        return [type(outcome.error).__name__ for outcome in manager.execute_many(actions(1, 2), Cards())]

    assert manager.execute(actions(1)[0], inside) == ["ReentrantCallError", "NoneType"]


# ---------------------------------------------------------------- broken off


@both_flavours
def test_what_ends_the_caller_leaves_one_in_doubt_and_gives_the_rest_back(flavour: Flavour, made: Any) -> None:
    cards = Cards(on_5=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        execute_many(flavour, made, actions(*range(40)), cards, **options_of(flavour))
    stats = flavour.get(made.stats())
    assert (stats.total_cached, stats.in_progress, stats.in_doubt) == (5, 0, 1)
    assert cards.made == list(range(6))
    again = execute_many(flavour, made, actions(*range(40)), Cards())
    assert [type(outcome.error) for outcome in again].count(im.InDoubtError) == 1
    assert sum(outcome.error is None for outcome in again) == 39


def options_of(flavour: Flavour) -> dict[str, int]:
    """One at a time, so that none other is interrupted."""
    return {"concurrency": 1} if isinstance(flavour, Async) else {}


def test_a_cancelled_task_leaves_what_it_interrupted_in_doubt_and_gives_the_rest_back(tmp_path: Path) -> None:
    started: list[int] = []
    all_stuck = asyncio.Event()

    async def slow(action: Action) -> str:
        started.append(action.params["number"])
        if len(started) > 4:
            if len(started) == 7:
                all_stuck.set()
            await asyncio.Event().wait()
        return "done"

    async def cancelled(manager: im.AsyncIdempotencyManager) -> None:
        task = asyncio.ensure_future(manager.execute_many(actions(*range(50)), slow, concurrency=3))
        await all_stuck.wait()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        stats = await manager.stats()
        assert (stats.total_cached, stats.in_progress, stats.in_doubt) == (4, 0, 3)

    async def main() -> None:
        async with im.AsyncIdempotencyManager(f"sqlite:///{tmp_path}/store.db") as manager:
            await cancelled(manager)

    asyncio.run(main())


def test_a_task_cancelled_while_it_claims_leaves_no_claim_behind(clock: ManualClock) -> None:
    async def main() -> None:
        manager = im.AsyncIdempotencyManager(clock=clock)
        plan = FaultPlan()
        inject(manager, plan)
        plan.hold("claim_many")
        task = asyncio.ensure_future(manager.execute_many(actions(1, 2), Cards()))
        await asyncio.to_thread(plan.wait_for, "claim_many")
        task.cancel()
        await asyncio.sleep(0)
        plan.let_go("claim_many")
        with pytest.raises(asyncio.CancelledError):
            await task
        stats = await manager.stats()
        assert (stats.in_progress, stats.in_doubt, stats.total_cached) == (0, 0, 0)

    asyncio.run(main())


def test_an_executor_that_is_cancelled_ends_the_call(clock: ManualClock) -> None:
    async def executor(action: Action) -> str:
        if action.params["number"] == 2:
            raise asyncio.CancelledError
        return "done"

    async def main() -> None:
        manager = im.AsyncIdempotencyManager(clock=clock)
        with pytest.raises(asyncio.CancelledError):
            await manager.execute_many(actions(*range(40)), executor, concurrency=1)
        stats = await manager.stats()
        assert (stats.in_doubt, stats.in_progress) == (1, 0)

    asyncio.run(main())


def test_no_more_executors_run_at_once_than_allowed(clock: ManualClock) -> None:
    running, most = 0, 0

    async def executor(_action: Action) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    async def main() -> None:
        manager = im.AsyncIdempotencyManager(clock=clock)
        await manager.execute_many(actions(*range(60)), executor, concurrency=20)

    asyncio.run(main())
    assert most == 20


# ---------------------------------------------------------------- stores that fail


@both_flavours
@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
def test_a_store_that_can_t_be_reached_fails_each_and_executes_none(flavour: Flavour, fault: str) -> None:
    manager, plan, cards = flavour.manager_class(), FaultPlan(), Cards()
    inject(manager, plan)
    getattr(plan, fault)("claim_many")
    outcomes = execute_many(flavour, manager, actions(1, 2), cards)
    assert [type(outcome.error) for outcome in outcomes] == [im.StoreUnavailableError] * 2
    assert cards.made == []


@both_flavours
def test_without_a_store_each_is_executed_where_that_is_wanted(flavour: Flavour) -> None:
    manager, plan, cards = flavour.manager_class(on_store_failure="execute"), FaultPlan(), Cards()
    inject(manager, plan)
    plan.fail_before("claim_many")
    outcomes = execute_many(flavour, manager, actions(1, 2), cards)
    assert [outcome.unwrap() for outcome in outcomes] == ["card 1", "card 2"]
    assert flavour.get(manager.stats()).total_cached == 0


@both_flavours
@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
def test_what_could_not_be_dispatched_is_not_executed_and_given_back(flavour: Flavour, fault: str) -> None:
    manager, plan, cards = flavour.manager_class(), FaultPlan(), Cards()
    inject(manager, plan)
    getattr(plan, fault)("dispatch_many")
    outcomes = execute_many(flavour, manager, actions(*range(20)), cards)
    assert [type(outcome.error) for outcome in outcomes[:16]] == [im.StoreUnavailableError] * 16
    assert [outcome.result for outcome in outcomes[16:]] == [f"card {number}" for number in range(16, 20)]
    assert cards.made == [16, 17, 18, 19]
    stats = flavour.get(manager.stats())
    assert (stats.in_progress, stats.in_doubt, stats.total_cached) == (0, 0, 4)


@both_flavours
def test_what_was_taken_away_before_it_ran_is_not_executed(flavour: Flavour, tmp_path: Path) -> None:
    url, given = f"sqlite:///{tmp_path}/store.db", actions(*range(20))
    with IdempotencyManager(url) as other:

        def taking(action: Action) -> int:
            if action.params["number"] == 0:
                other.mark_executed(other.generate_key(given[18]), "by hand")
            return action.params["number"]

        outcomes = execute_many(flavour, flavour.manager_class(url), given, taking)
        lost = outcomes.pop(18)
        assert isinstance(lost.error, im.LeaseLostError)
        assert lost.key is not None
        assert other.check_executed(lost.key).cached_result == "by hand"
        assert all(outcome.error is None for outcome in outcomes)


def test_a_result_that_the_store_can_t_be_told_comes_out_in_its_error() -> None:
    manager, plan = IdempotencyManager(), FaultPlan()
    inject(manager, plan)
    plan.fail_before("finish", 10)
    outcomes = manager.execute_many(actions(1, 2), Cards())
    for number, outcome in enumerate(outcomes, 1):
        assert isinstance(outcome.error, im.ResultNotRecordedError)
        assert outcome.error.result == f"card {number}"


# ---------------------------------------------------------------- refusals


def test_what_can_t_be_is_refused_before_anything_runs() -> None:
    manager, cards = IdempotencyManager(), Cards()

    async def coroutine_function(_action: object) -> None: ...

    def generator(_action: object) -> Any:
        yield

    with pytest.raises(im.InvalidActionError, match="aexecute_many"):
        manager.execute_many(actions(1), coroutine_function)
    for refusing in (manager.execute_many, manager.aexecute_many):
        with pytest.raises(im.InvalidActionError, match="generator"):
            refusing(actions(1), generator)
        for one in (actions(1)[0], {"signal_id": "s"}, "text"):
            with pytest.raises(im.InvalidActionError, match="list of actions"):
                refusing(one, cards)  # type: ignore[arg-type]
        for size in (0, -1, True, 1.5, "5"):
            with pytest.raises(im.ConfigurationError, match="batch_size"):
                refusing(actions(1), cards, batch_size=size)  # type: ignore[arg-type]
        with pytest.raises(im.ConfigurationError, match="no option 'tll'"):
            refusing(actions(1), cards, tll=5)  # type: ignore[call-arg]
    with pytest.raises(im.ConfigurationError, match="concurrency"):
        manager.aexecute_many(actions(1), cards, concurrency=0)
    assert cards.made == []


def test_an_outcome_does_not_change() -> None:
    (outcome,) = IdempotencyManager().execute_many(actions(1), Cards())
    with pytest.raises(AttributeError):
        outcome.result = "other"  # type: ignore[misc]
