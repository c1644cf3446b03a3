"""A call that is delivered twice comes to the same by one execution, or the test is told."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from idempotency_manager import idempotent, signal
from tests.plugin.helpers import acreate_card, cards, create_card, say

if TYPE_CHECKING:
    from idempotency_manager.testing import Idempotency


class Response:
    """Equal to itself only, as those of web frameworks are."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code

    @property
    def content(self) -> bytes:
        raise RuntimeError("it is streamed")


def handle(signal_id: str) -> Response:
    create_card(signal_id)
    return Response(200)


def test_a_second_delivery_gets_the_result_of_the_first(idempotency: Idempotency) -> None:
    assert idempotency.duplicate_delivery(create_card, "evt_1", title="Hi") == "card-1"
    assert isinstance(idempotency.duplicate_delivery(handle, "evt_2"), Response)
    assert [execution.replays for execution in idempotency.executions] == [1, 1]


def test_a_concurrent_delivery_waits_for_the_first(everywhere: Idempotency) -> None:
    assert everywhere.concurrent_delivery(create_card, "evt_1") == "card-1"
    with signal("evt_2"):
        assert isinstance(everywhere.concurrent_delivery(handle, "evt_2"), Response)
    assert cards == ["evt_1", "evt_2"]
    assert [execution.replays for execution in everywhere.executions] == [1, 1]


def test_a_concurrent_delivery_that_does_not_wait_is_right_too(idempotency: Idempotency) -> None:
    idempotency.manager.configure(on_concurrent="raise")
    assert idempotency.concurrent_delivery(create_card, "evt_1") == "card-1"
    assert idempotency.assert_executed_once().replays == 0


async def test_coroutines_are_delivered_twice(everywhere: Idempotency) -> None:
    assert await everywhere.duplicate_delivery(acreate_card, "evt_1") == "card-1"
    assert await everywhere.concurrent_delivery(acreate_card, "evt_2") == "card-2"
    assert [execution.replays for execution in everywhere.executions] == [1, 1]


def test_a_delivery_after_a_crash_is_the_tests_own(idempotency: Idempotency) -> None:
    for deliver in (idempotency.duplicate_delivery, idempotency.concurrent_delivery):
        with idempotency.crash_after_effect():
            deliver(create_card, f"evt_{deliver.__name__}")
    assert len(cards) == 2


@pytest.mark.parametrize("name", ["duplicate_delivery", "concurrent_delivery"])
def test_another_result_is_told(idempotency: Idempotency, name: str) -> None:
    numbers = count()
    with pytest.raises(AssertionError, match=r"came to different results\n  delivery 1: [01]\n  delivery 2: [01]"):
        getattr(idempotency, name)(lambda: next(numbers))


@pytest.mark.parametrize("name", ["duplicate_delivery", "concurrent_delivery"])
def test_another_answer_is_told(idempotency: Idempotency, name: str) -> None:
    statuses = count(200)
    with pytest.raises(AssertionError, match=r"different results\n.*'class': 'Response', 'status_code': 20[01]}\n"):
        getattr(idempotency, name)(lambda: Response(next(statuses)))


@pytest.mark.parametrize("name", ["duplicate_delivery", "concurrent_delivery"])
def test_a_delivery_that_raises_is_told(idempotency: Idempotency, name: str) -> None:
    numbers = count()

    def handle() -> int:
        number = next(numbers)
        if number:
            raise LookupError("no such delivery")
        return number

    with pytest.raises(AssertionError, match=r"returned 0, and delivery . raised LookupError"):
        getattr(idempotency, name)(handle)


@pytest.mark.parametrize("name", ["duplicate_delivery", "concurrent_delivery"])
def test_what_the_first_raises_comes_out(idempotency: Idempotency, name: str) -> None:
    def handle() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        getattr(idempotency, name)(handle)


def test_an_action_that_runs_twice_is_told(idempotency: Idempotency) -> None:
    def handle(signal_id: str) -> None:
        say(signal_id)
        say.clear(signal_id)

    with pytest.raises(AssertionError, match="executed an action twice\n  say on slack"):
        idempotency.duplicate_delivery(handle, "evt_1")


def test_an_action_with_another_param_each_time_is_told(idempotency: Idempotency) -> None:
    numbers = count()

    @idempotent(target="trello")
    def create(signal_id: str, at: int) -> int:
        return at

    def handle(signal_id: str) -> int:
        return create(signal_id, next(numbers))

    with pytest.raises(AssertionError, match="different results"):
        idempotency.duplicate_delivery(handle, "evt_1")


def test_an_awaitable_of_a_plain_function_is_refused(idempotency: Idempotency) -> None:
    with pytest.raises(TypeError, match="give the coroutine function itself"):
        idempotency.duplicate_delivery(lambda: acreate_card("evt_1"))
