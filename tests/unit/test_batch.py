"""`execute_many`: each action once, each for itself, in any number of batches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import idempotency_manager as im
from idempotency_manager import Action, IdempotencyManager, State
from idempotency_manager.testing import FaultPlan, inject
from tests.unit.batches import Cards, actions, execute_many
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from idempotency_manager.testing import ManualClock


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
