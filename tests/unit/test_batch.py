"""`execute_many`: each action once, each for itself, in any number of batches."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import idempotency_manager as im
from idempotency_manager import Action, BatchOutcome, IdempotencyManager, State
from idempotency_manager.testing import FaultPlan, inject
from tests.unit.flavours import Async, Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from idempotency_manager.testing import ManualClock


def actions(*numbers: int) -> list[Action]:
    return [Action("inv-1", "create_card", "trello", {"number": number}) for number in numbers]


class Cards:
    """Makes cards, and counts them; does with some numbers what it is told to."""

    def __init__(self, **special: Any) -> None:
        self.made: list[int] = []
        self.special = {int(name.removeprefix("on_")): value for name, value in special.items()}

    def __call__(self, action: Action) -> Any:
        number = action.params["number"]
        self.made.append(number)
        special = self.special.get(number)
        if isinstance(special, BaseException):
            raise special
        return special(action) if callable(special) else f"card {number}"


def execute_many(flavour: Flavour, manager: Any, given: Any, cards: Any, **options: Any) -> list[BatchOutcome[Any]]:
    outcomes: list[BatchOutcome[Any]] = flavour.get(manager.execute_many(given, flavour.function(cards), **options))
    return outcomes


@pytest.fixture(params=["memory", "sqlite"])
def made(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Any]:
    """A manager of the test's flavour on either store."""
    flavour = request.getfixturevalue("flavour")
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/store.db?synchronous=normal"}[request.param]
    manager = flavour.manager_class(url, clock=clock, lease="30s")
    yield manager
    flavour.get(manager.close())


@both_flavours
@pytest.mark.parametrize("size", [1, 7, 100])
def test_each_action_runs_once_and_its_outcome_stands_at_its_place(flavour: Flavour, made: Any, size: int) -> None:
    cards = Cards()
    first = execute_many(flavour, made, actions(*range(40)), cards, batch_size=size)
    assert [outcome.unwrap() for outcome in first] == [f"card {number}" for number in range(40)]
    assert [outcome.action for outcome in first] == actions(*range(40))
    assert [outcome.key for outcome in first] == [made.generate_key(action) for action in actions(*range(40))]
    assert not any(outcome.replayed or outcome.error for outcome in first)
    again = execute_many(flavour, made, actions(*range(45)), cards, batch_size=size)
    assert [outcome.replayed for outcome in again] == [True] * 40 + [False] * 5
    assert [outcome.result for outcome in again] == [f"card {number}" for number in range(45)]
    assert sorted(cards.made) == list(range(45))
    stats = flavour.get(made.stats())
    assert (stats.total_cached, stats.in_progress, stats.in_doubt, stats.duplicates_prevented) == (45, 0, 0, 40)


@both_flavours
def test_what_fails_keeps_no_other_from_going_on(flavour: Flavour, made: Any) -> None:
    cards = Cards(on_1=ValueError("no such board"), on_3=TimeoutError("lost"))
    outcomes = execute_many(flavour, made, actions(0, 1, 2, 3, 4), cards)
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None), ValueError, type(None), TimeoutError, type(None)
    ]  # fmt: skip
    assert [outcome.result for outcome in outcomes] == ["card 0", None, "card 2", None, "card 4"]
    with pytest.raises(ValueError, match="no such board"):
        outcomes[1].unwrap()
    again = execute_many(flavour, made, actions(1, 3), Cards())
    assert again[0].unwrap() == "card 1"
    assert isinstance(again[1].error, im.InDoubtError)


@both_flavours
def test_an_action_that_can_t_have_a_key_is_its_own_failure(flavour: Flavour, made: Any) -> None:
    given = [{"signal_id": "", "action": "a", "target": "t"}, *actions(1), Action("s", "a", "t", {"p": object()})]
    bad, good, unhashable = execute_many(flavour, made, given, lambda _: "done")
    assert isinstance(bad.error, im.InvalidActionError)
    assert (bad.key, bad.action, good.result) == (None, given[0], "done")
    assert isinstance(unhashable.error, im.UnsupportedParamError)


@both_flavours
@pytest.mark.parametrize("size", [2, 100])
def test_an_action_that_comes_twice_is_replayed_the_second_time(flavour: Flavour, made: Any, size: int) -> None:
    cards = Cards()
    outcomes = execute_many(flavour, made, actions(1, 1, 2, 1, 2, 1), cards, batch_size=size)
    assert [outcome.result for outcome in outcomes] == [f"card {number}" for number in (1, 1, 2, 1, 2, 1)]
    assert [outcome.replayed for outcome in outcomes] == [False, True, False, True, True, True]
    assert sorted(cards.made) == [1, 2]


@both_flavours
def test_an_action_that_failed_runs_again_when_it_comes_again(flavour: Flavour, made: Any) -> None:
    cards = Cards(on_1=ValueError("no"))
    outcomes = execute_many(flavour, made, actions(1, 1, 1), cards)
    assert [str(outcome.error) for outcome in outcomes] == ["no"] * 3
    assert cards.made == [1, 1, 1]


@both_flavours
def test_mappings_are_actions_too_and_the_executor_gets_them_as_they_are(flavour: Flavour, made: Any) -> None:
    given = [{"signal_id": f"s{number}", "action": "a", "target": "t"} for number in range(3)]
    outcomes = execute_many(flavour, made, given, lambda action: action["signal_id"])
    assert [outcome.result for outcome in outcomes] == ["s0", "s1", "s2"]
    assert all(outcome.action is action for outcome, action in zip(outcomes, given, strict=True))


@both_flavours
def test_actions_are_taken_a_batch_at_a_time(flavour: Flavour, made: Any) -> None:
    cards = Cards()
    seen: list[int] = []

    def source() -> Iterator[Action]:
        for action in actions(*range(10)):
            seen.append(len(cards.made))
            yield action

    execute_many(flavour, made, source(), cards, batch_size=4)
    assert seen == [0] * 4 + [4] * 4 + [8] * 2


@both_flavours
def test_no_actions_have_no_outcomes(flavour: Flavour, made: Any) -> None:
    assert execute_many(flavour, made, [], Cards()) == []
    assert execute_many(flavour, made, iter([]), Cards()) == []


@both_flavours
def test_progress_is_told_to_the_end(flavour: Flavour, made: Any) -> None:
    told: list[tuple[int, int | None]] = []
    given = [*actions(*range(40), 3, 3), {"no": "action"}]
    execute_many(flavour, made, given, Cards(), batch_size=25, on_progress=lambda *progress: told.append(progress))
    done = [number for number, _ in told]
    assert done == sorted(set(done))
    assert told[-1] == (43, 43)
    assert len(told) > 3
    told.clear()
    execute_many(flavour, made, iter(given), Cards(), on_progress=lambda *progress: told.append(progress))
    assert told[-1] == (43, None)


@both_flavours
def test_progress_that_raises_ends_the_call_and_leaves_nothing_in_doubt(flavour: Flavour, made: Any) -> None:
    def broken(done: int, _total: int | None) -> None:
        if done >= 3:
            raise LookupError("the bar is gone")

    cards = Cards()
    with pytest.raises(LookupError, match="the bar is gone"):
        execute_many(flavour, made, actions(*range(40)), cards, on_progress=broken)
    stats = flavour.get(made.stats())
    assert (stats.in_progress, stats.in_doubt) == (0, 0)
    assert stats.total_cached == len(cards.made) < 40


KINDS: dict[str, Any] = {
    "done": "done",
    "nothing": None,
    "failed": ValueError("no"),
    "final": KeyError("never"),
    "doubtful": TimeoutError("lost"),
}


def come_to(call: Callable[[], Any]) -> tuple[type, str]:
    """What a call returned or raised, to compare it by: the times that an error names are its own."""
    try:
        value = call()
    except Exception as error:  # noqa: BLE001 - it is what the call came to
        value = error
    return type(value), str(value)[:20]


@both_flavours
@settings(max_examples=40)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(sorted(KINDS))), max_size=40),
    size=st.integers(1, 45),
    on_in_doubt=st.sampled_from(["raise", "retry"]),
    is_local=st.booleans(),
)
def test_a_batch_comes_to_what_calls_one_after_the_other_come_to(
    flavour: Flavour, numbers: list[tuple[int, str]], size: int, on_in_doubt: Any, is_local: bool
) -> None:
    together, alone = flavour.manager_class(), IdempotencyManager()
    if not is_local:
        inject(together, FaultPlan())
    kinds = dict(numbers)

    def executor(action: Action) -> Any:
        found = KINDS[kinds[action.params["number"]]]
        if isinstance(found, Exception):
            raise found
        return found

    options: dict[str, Any] = {"on_in_doubt": on_in_doubt, "replay_errors": (KeyError,)}
    outcomes = execute_many(
        flavour, together, actions(*(number for number, _ in numbers)), executor, batch_size=size, **options
    )
    for outcome in outcomes:
        single = come_to(partial(alone.execute, outcome.action, partial(executor, outcome.action), **options))
        assert come_to(outcome.unwrap) == single
    ours, theirs = flavour.get(together.stats()), alone.stats()
    assert (ours.total_cached, ours.in_doubt, ours.in_progress) == (theirs.total_cached, theirs.in_doubt, 0)


# ---------------------------------------------------------------- policies


@both_flavours
def test_what_is_in_doubt_is_reconciled_or_run_again(flavour: Flavour, made: Any) -> None:
    execute_many(flavour, made, actions(1, 2, 3), Cards(on_1=TimeoutError("a"), on_2=TimeoutError("b")))
    found = {1: "found", 2: im.NOT_EXECUTED}
    asked: list[State] = []

    def look(record: im.IdempotencyRecord) -> Any:
        asked.append(record.state)
        return found[1 if str(record.error).endswith(": a") else 2]

    cards = Cards()
    outcomes = execute_many(flavour, made, actions(1, 2, 3), cards, on_in_doubt=flavour.function(look))
    assert [outcome.result for outcome in outcomes] == ["found", "card 2", "card 3"]
    assert cards.made == [2]
    assert asked == [State.IN_DOUBT] * 2
    execute_many(flavour, made, actions(4), Cards(on_4=TimeoutError("c")))
    (again,) = execute_many(flavour, made, actions(4), cards, on_in_doubt="retry")
    assert (again.result, cards.made) == ("card 4", [2, 4])


@both_flavours
def test_an_error_that_is_an_answer_is_replayed(flavour: Flavour, made: Any) -> None:
    options = {"replay_errors": (KeyError,)}
    execute_many(flavour, made, actions(1), Cards(on_1=KeyError("no such channel")), **options)
    cards = Cards()
    (outcome,) = execute_many(flavour, made, actions(1), cards, **options)
    assert isinstance(outcome.error, KeyError)
    assert (outcome.replayed, cards.made) == (True, [])


@both_flavours
def test_results_come_back_as_their_type(flavour: Flavour, made: Any) -> None:
    cards = Cards(on_1=lambda _: (1, "a"))
    for _ in range(2):
        (outcome,) = execute_many(flavour, made, actions(1), cards, result_type=tuple[int, str])
        assert (outcome.result, type(outcome.result)) == ((1, "a"), tuple)


@both_flavours
def test_a_ttl_holds_for_each(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    cards = Cards()
    execute_many(flavour, made, actions(1, 2), cards, ttl="1h")
    clock.advance("2h")
    execute_many(flavour, made, actions(1, 2), cards, ttl="1h")
    assert sorted(cards.made) == [1, 1, 2, 2]


@both_flavours
def test_an_executor_finds_its_own_execution(flavour: Flavour, made: Any) -> None:
    def key(_action: Action) -> str:
        execution = im.current_execution()
        assert execution is not None
        return execution.key

    outcomes = execute_many(flavour, made, actions(1, 2, 3), key)
    assert [outcome.result for outcome in outcomes] == [outcome.key for outcome in outcomes]
    assert im.current_execution() is None


@both_flavours
def test_a_latch_is_each_executor_s_own(flavour: Flavour, made: Any) -> None:
    def dispatching(action: Action) -> Any:
        if action.params["number"]:
            execution = im.current_execution()
            assert execution is not None
            execution.dispatched()
        raise ValueError("broken")

    outcomes = execute_many(flavour, made, actions(0, 1), dispatching, latch=True)
    assert [str(outcome.error) for outcome in outcomes] == ["broken"] * 2
    records = {flavour.get(made.get_record(outcome.key)) and outcome.key for outcome in outcomes}
    assert records == {None, outcomes[1].key}
    assert [record.key for record in flavour.get(made.get_in_doubt())] == [outcomes[1].key]


@both_flavours
def test_an_ordinary_exception_is_judged_as_in_a_call_of_its_own(flavour: Flavour, made: Any) -> None:
    """The batch has a latch of its own, which must not make a failure a doubt."""
    execute_many(flavour, made, actions(1), Cards(on_1=ValueError("no")))
    assert flavour.get(made.stats()).in_doubt == 0
    execute_many(flavour, made, actions(2), Cards(on_2=ConnectionResetError("lost")))
    assert flavour.get(made.stats()).in_doubt == 1


@both_flavours
def test_events_are_those_of_single_calls(flavour: Flavour, clock: ManualClock) -> None:
    told: list[str] = []
    manager = flavour.manager_class(clock=clock, on_event=lambda event: told.append(event.kind))
    execute_many(flavour, manager, actions(1, 2), Cards(on_2=ValueError("no")))
    execute_many(flavour, manager, actions(1), Cards())
    assert told == ["executed", "failed", "replayed"]


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


# ---------------------------------------------------------------- check_many


@both_flavours
def test_many_results_are_looked_up_at_once(flavour: Flavour, made: Any) -> None:
    execute_many(flavour, made, actions(1, 2), Cards())
    keys = [made.generate_key(action) for action in actions(2, 3, 1, 2)]
    found = flavour.get(made.check_many(iter(keys)))
    assert [result.idempotency_key for result in found] == keys
    assert [result.executed for result in found] == [True, False, True, True]
    assert [result.cached_result for result in found] == ["card 2", None, "card 1", "card 2"]
    stats = flavour.get(made.stats())
    assert (stats.cache_hits, stats.cache_misses) == (3, 3)
    assert flavour.get(made.check_many([])) == []


@both_flavours
def test_one_key_is_no_list_of_keys(flavour: Flavour, made: Any) -> None:
    with pytest.raises(im.InvalidActionError, match="list of keys"):
        flavour.get(made.check_many("a:b:c"))
