"""`stamina` and `tenacity` around the decorator and under it: what is run, and which exception comes out."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import stamina
import tenacity

from idempotency_manager import (
    NOT_EXECUTED,
    AlreadyInProgressError,
    IdempotencyManager,
    InDoubtError,
    State,
    idempotent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 3
SENT_OR_REFUSED = (ConnectionError, TimeoutError)


def by_stamina(on: Any) -> Callable[[Any], Any]:
    return stamina.retry(on=on, attempts=ATTEMPTS, wait_initial=0, wait_max=0, wait_jitter=0)


def by_tenacity(on: Any) -> Callable[[Any], Any]:
    when, stop = tenacity.retry_if_exception_type(on), tenacity.stop_after_attempt(ATTEMPTS)
    return tenacity.retry(retry=when, stop=stop, reraise=True)


def by_tenacity_as_it_comes(on: Any) -> Callable[[Any], Any]:
    """What raises a RetryError in the end, unless told to raise the last error."""
    return tenacity.retry(retry=tenacity.retry_if_exception_type(on), stop=tenacity.stop_after_attempt(ATTEMPTS))


LIBRARIES = [by_stamina, by_tenacity]
both_libraries = pytest.mark.parametrize("retry", LIBRARIES, ids=["stamina", "tenacity"])


pytestmark = pytest.mark.usefixtures("manager")


class Board:
    """A service, whose answers are a script: "refused", "lost", or anything else for a good one."""

    def __init__(self, *script: str) -> None:
        self.cards: list[str] = []
        self.requests = 0
        self._script = list(script)

    def post(self, title: str) -> str:
        """Make a card, as far as the script goes."""
        answer = self._script.pop(0) if self._script else "good"
        self.requests += 1
        if answer == "refused":
            raise ConnectionRefusedError("nobody listens")
        self.cards.append(title)
        if answer == "lost":
            raise TimeoutError("no answer")
        return f"card {len(self.cards)}"


def outside(retry: Any, board: Board, on: Any = SENT_OR_REFUSED, **options: Any) -> Any:
    """The retry calls the decorated function."""

    @retry(on)
    @idempotent(target="trello", action="create_card", **options)
    def create_card(signal_id: str) -> str:
        return board.post(signal_id)

    return create_card


def inside(retry: Any, board: Board, on: Any = SENT_OR_REFUSED, **options: Any) -> Any:
    """The decorated function retries."""

    @idempotent(target="trello", action="create_card", **options)
    @retry(on)
    def create_card(signal_id: str) -> str:
        return board.post(signal_id)

    return create_card


def state(manager: IdempotencyManager) -> State | None:
    records = list(manager.iter_records())
    assert len(records) <= 1
    return records[0].state if records else None


# ---------------------------------------------------------------- outside: a claim for each attempt


@both_libraries
def test_outside_an_ordinary_failure_is_tried_again(retry: Any, manager: IdempotencyManager) -> None:
    board = Board("refused", "refused")
    create_card = outside(retry, board)
    assert create_card("evt_1") == create_card("evt_1") == "card 1"
    assert (board.requests, len(board.cards)) == (3, 1)


@both_libraries
def test_outside_a_lost_answer_is_not_sent_again_and_the_doubt_comes_out(
    retry: Any, manager: IdempotencyManager
) -> None:
    board = Board("lost")
    with pytest.raises(InDoubtError):
        outside(retry, board)("evt_1")
    assert board.requests == 1
    assert state(manager) is State.IN_DOUBT


@both_libraries
def test_outside_whoever_retries_on_everything_asks_in_vain_and_does_no_harm(
    retry: Any, manager: IdempotencyManager
) -> None:
    board = Board("lost")
    with pytest.raises(InDoubtError):
        outside(retry, board, on=Exception)("evt_1")
    assert board.requests == 1
    [record] = manager.iter_records()
    assert record.state is State.IN_DOUBT


@both_libraries
@pytest.mark.parametrize("found", [True, False])
def test_outside_the_next_attempt_meets_the_reconciler(retry: Any, *, found: bool) -> None:
    board = Board("lost")

    def find(_: object) -> object:
        return "card 1" if found else NOT_EXECUTED

    answer = outside(retry, board, on_in_doubt=find)("evt_1")
    assert (answer, board.requests) == (("card 1", 1) if found else ("card 2", 2))


@both_libraries
def test_outside_a_failed_attempt_frees_the_action_for_others(retry: Any) -> None:
    board = Board("refused")
    create_card = outside(retry, board, on=ZeroDivisionError)
    with pytest.raises(ConnectionRefusedError):
        create_card("evt_1")
    assert create_card("evt_1") == "card 1"


@both_libraries
def test_outside_an_action_in_progress_may_be_tried_again(retry: Any) -> None:
    inside_it, go_on = Event(), Event()
    asked = []

    @idempotent(target="trello", on_concurrent="raise")
    def slow(signal_id: str) -> str:
        inside_it.set()
        assert go_on.wait(10)
        return "done"

    def ask_again() -> str:
        asked.append(1)
        try:
            return str(slow("evt_1"))
        except AlreadyInProgressError:
            go_on.set()
            first.result(10)
            raise

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow, "evt_1")
        assert inside_it.wait(10)
        assert retry(AlreadyInProgressError)(ask_again)() == "done"
    assert len(asked) == 2


# ---------------------------------------------------------------- inside: one claim for all attempts


@both_libraries
def test_inside_all_attempts_are_one_execution(retry: Any, manager: IdempotencyManager) -> None:
    board = Board("refused", "refused")
    assert inside(retry, board)("evt_1") == "card 1"
    assert board.requests == 3
    [record] = manager.iter_records()
    assert (record.state, record.attempt_count) == (State.COMPLETED, 1)


@both_libraries
def test_inside_a_lost_answer_is_sent_again_and_no_claim_can_help(retry: Any) -> None:
    board = Board("lost")
    assert inside(retry, board)("evt_1") == "card 2"
    assert len(board.cards) == 2


@both_libraries
def test_inside_a_refusal_after_a_lost_answer_hides_the_doubt(retry: Any, manager: IdempotencyManager) -> None:
    board = Board("lost", "refused", "refused")
    create_card = inside(retry, board)
    with pytest.raises(ConnectionRefusedError):
        create_card("evt_1")
    assert state(manager) is None  # released: what comes out says that nothing was sent
    create_card("evt_1")
    assert len(board.cards) == 2


@pytest.mark.parametrize("retry", [*LIBRARIES, by_tenacity_as_it_comes])
def test_inside_what_ends_with_a_lost_answer_is_in_doubt(retry: Any, manager: IdempotencyManager) -> None:
    board = Board("refused", "refused", "lost")
    with pytest.raises((TimeoutError, tenacity.RetryError)):
        inside(retry, board)("evt_1")
    assert state(manager) is State.IN_DOUBT


@pytest.mark.parametrize("retry", [*LIBRARIES, by_tenacity_as_it_comes])
def test_inside_what_ends_with_a_refusal_is_free(retry: Any, manager: IdempotencyManager) -> None:
    board = Board("refused", "refused", "refused")
    with pytest.raises((ConnectionRefusedError, tenacity.RetryError)):
        inside(retry, board)("evt_1")
    assert state(manager) is None


@both_libraries
def test_inside_only_what_was_not_sent_may_be_tried_again(retry: Any, manager: IdempotencyManager) -> None:
    board = Board("refused", "lost")
    with pytest.raises(TimeoutError):
        inside(retry, board, on=ConnectionRefusedError)("evt_1")
    assert len(board.cards) == 1
    assert state(manager) is State.IN_DOUBT


@both_libraries
def test_inside_a_duplicate_waits_for_all_attempts(retry: Any) -> None:
    board = Board("refused")
    first_failed, go_on = Event(), Event()

    @idempotent(target="trello")
    @retry(ConnectionError)
    def create_card(signal_id: str) -> str:
        if board.requests:
            first_failed.set()
            assert go_on.wait(10)
        return board.post(signal_id)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(create_card, "evt_1")
        assert first_failed.wait(10)
        second = pool.submit(create_card, "evt_1")
        go_on.set()
        assert first.result(10) == second.result(10) == "card 1"
    assert len(board.cards) == 1


# ---------------------------------------------------------------- both kinds of function


@both_libraries
@pytest.mark.parametrize("order", ["outside", "inside"])
def test_coroutine_functions_may_be_wrapped_in_either_order(retry: Any, order: str) -> None:
    board = Board("refused")
    around = [retry(SENT_OR_REFUSED), idempotent(target="trello")]

    async def create_card(signal_id: str) -> str:
        await asyncio.sleep(0)
        return board.post(signal_id)

    wrapped: Any = create_card
    for wrap in reversed(around) if order == "outside" else around:
        wrapped = wrap(wrapped)
    assert inspect.iscoroutinefunction(wrapped)

    async def twice() -> list[str]:
        return [await wrapped("evt_1"), await wrapped("evt_1")]

    assert asyncio.run(twice()) == ["card 1", "card 1"]
    assert (board.requests, len(board.cards)) == (2, 1)


@both_libraries
def test_the_same_function_has_the_same_key_in_either_order(retry: Any, manager: IdempotencyManager) -> None:
    board = Board()
    assert outside(retry, board)("evt_1") == inside(retry, board)("evt_1") == "card 1"
    assert len(board.cards) == 1
