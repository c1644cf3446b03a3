"""In shadow mode nothing that the package or its store has to say disturbs a call: it is logged."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from idempotency_manager import (
    IdempotencyManager,
    current_execution,
)
from idempotency_manager.testing import FaultPlan, inject
from tests.unit.batches import Cards, actions, execute_many
from tests.unit.flavours import Flavour, both_flavours
from tests.unit.shadow import ACTION, Numbers, Watched, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable


@both_flavours
@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
@pytest.mark.parametrize("verb", ["claim", "finish"])
def test_a_store_that_fails_never_disturbs_the_call(
    flavour: Flavour, fault: str, verb: str, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    plan = FaultPlan()
    inject(watched.manager, plan)
    getattr(plan, fault)(verb, times=None)
    with caplog.at_level(logging.WARNING, "idempotency_manager"):
        assert flavour.get(watched.manager.execute(ACTION, flavour.function(Numbers("card")))) == "card"
    assert "shadow: executed" in caplog.text
    assert watched.manager.generate_key(ACTION) in caplog.text


def test_a_full_cache_never_disturbs_the_call(caplog: pytest.LogCaptureFixture) -> None:
    with IdempotencyManager(shadow=True, max_cache_size=1, on_full="raise") as manager:
        assert [manager.execute({**fields_of(ACTION), "signal_id": name}, lambda name=name: name) for name in "ab"] == [
            "a",
            "b",
        ]
    assert "full" in caplog.text


def test_a_lost_lease_never_disturbs_the_call(kinds: list[str], shadowed: IdempotencyManager) -> None:
    key = shadowed.generate_key(ACTION)

    def taken_over() -> str:
        shadowed.clear_key(key)
        return "card"

    assert shadowed.execute(ACTION, taken_over) == "card"
    assert kinds == ["lease_lost"]


def test_dispatched_never_raises(shadowed: IdempotencyManager, caplog: pytest.LogCaptureFixture) -> None:
    plan = FaultPlan()
    inject(shadowed, plan)
    plan.fail_before("dispatch", times=None)

    @shadowed.idempotent(target="bank", latch=True)
    def pay(signal_id: str) -> str:
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        return signal_id

    assert [pay("inv-1"), pay("inv-1")] == ["inv-1", "inv-1"]
    assert "dispatched() can't be kept" in caplog.text


@both_flavours
def test_params_without_a_canonical_form_run_and_are_warned_of(
    flavour: Flavour, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    executor = flavour.function(Numbers())
    action = {**fields_of(ACTION), "params": {"stream": object()}}
    with caplog.at_level(logging.WARNING, "idempotency_manager"):
        assert [flavour.get(watched.manager.execute(action, executor)) for _ in range(2)] == [1, 2]
    assert caplog.text.count("params.stream") == 2
    assert watched.counts(flavour) == (0, 0)
    assert flavour.get(watched.manager.get_keys()) == []


def _decorated(manager: Any, flavour: Flavour) -> tuple[Callable[..., Any], list[Any]]:
    seen: list[Any] = []

    def body(title: object) -> int:
        execution = current_execution()
        assert execution is not None
        seen.append(execution.uuid)
        return len(seen)

    if isinstance(manager, IdempotencyManager):
        return manager.idempotent(body, target="trello"), seen

    async def coroutine_function(title: object) -> int:
        return body(title)

    return manager.idempotent(coroutine_function, target="trello"), seen


@both_flavours
def test_a_decorated_call_that_has_no_key_runs(
    flavour: Flavour, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    create_card, seen = _decorated(watched.manager, flavour)
    with caplog.at_level(logging.WARNING, "idempotency_manager"):
        assert [flavour.get(create_card("Pay")), flavour.get(create_card(title=object()))] == [1, 2]
    assert "has no signal_id" in caplog.text
    assert len(set(seen)) == 2, "no service takes one for the other"


def test_arguments_that_the_function_refuses_are_refused_by_itself(shadowed: IdempotencyManager) -> None:
    @shadowed.idempotent(target="trello")
    def create_card(signal_id: str) -> str:
        return signal_id

    with pytest.raises(TypeError, match="unexpected keyword argument 'board'"):
        create_card("inv-1", board="b")  # type: ignore[call-arg]


def test_a_plain_function_may_return_an_awaitable(
    shadowed: IdempotencyManager, caplog: pytest.LogCaptureFixture
) -> None:
    async def result() -> str:
        return "card"

    awaitable: Any = shadowed.execute(ACTION, lambda: result())  # noqa: PLW0108 - a coroutine function is known as one
    assert asyncio.run(_awaited(awaitable)) == "card"
    assert "returned an awaitable" in caplog.text
    assert shadowed.get_keys() == []


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


@both_flavours
def test_a_claim_block_that_is_left_without_a_word_is_warned_of(
    flavour: Flavour, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        flavour.run_block(watched.manager.claim(ACTION), lambda _: None)
    assert caplog.text.count("ended without attempt.complete") == 2
    assert watched.kinds == ["in_doubt", "would_raise_in_doubt"]


@both_flavours
def test_a_batch_runs_what_has_no_key(flavour: Flavour, watched: Watched) -> None:
    unnamed = {**fields_of(ACTION), "params": {"number": 7, "stream": object()}}

    def card(action: Any) -> int:
        return int(action["params"]["number"])

    outcomes = flavour.get(watched.manager.execute_many([unnamed, unnamed], flavour.function(card)))
    assert [outcome.unwrap() for outcome in outcomes] == [7, 7]
    assert outcomes[0].key != outcomes[1].key


@both_flavours
@pytest.mark.parametrize("verb", ["claim_many", "dispatch_many", "finish"])
def test_a_store_that_fails_never_disturbs_a_batch(flavour: Flavour, verb: str, watched: Watched) -> None:
    plan = FaultPlan()
    inject(watched.manager, plan)
    plan.fail_before(verb, times=None)
    outcomes = execute_many(flavour, watched.manager, actions(1, 2), Cards())
    assert [outcome.unwrap() for outcome in outcomes] == ["card 1", "card 2"]
