"""When nobody knows whether the effect happened: who is in doubt, who is told, and the ways out."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import NOT_EXECUTED, IdempotencyManager, IdempotencyRecord, State, current_execution
from tests.unit.cards import CARD, execute, leave_in_doubt, raiser, state_of
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


# ---------------------------------------------------------------- who is in doubt


class Stop(BaseException):
    """No `Exception`, like those that end a program."""


def wrapped(error: BaseException) -> RuntimeError:
    outer = RuntimeError("the client gave up")
    outer.__cause__ = error
    return outer


@both_flavours
@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        Stop(),
        GeneratorExit(),
        TimeoutError("read"),
        http.client.RemoteDisconnected("gone"),
        http.client.IncompleteRead(b""),
        ConnectionResetError(),
        BrokenPipeError(),
        wrapped(ConnectionResetError()),
        RuntimeError(TimeoutError("in its args")),
    ],
    ids=repr,
)
def test_an_exception_that_leaves_it_open_leaves_the_record_in_doubt(
    flavour: Flavour, made: Any, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        execute(flavour, made, CARD, raiser(error))
    assert state_of(flavour, made) is State.IN_DOUBT


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2)], ids=repr)
def test_ctrl_c_and_exit_leave_the_record_in_doubt(manager: IdempotencyManager, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        manager.execute(CARD, raiser(error))
    assert caught.value is error
    assert manager.get_record(manager.generate_key(CARD)).error.startswith(type(error).__name__)


@both_flavours
@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        ConnectionRefusedError(),
        socket.gaierror(-2, "name not known"),
        wrapped(ConnectionRefusedError()),
        OSError(113, os.strerror(113)),
    ],
    ids=repr,
)
def test_an_ordinary_failure_releases_the_claim(flavour: Flavour, made: Any, error: Exception) -> None:
    with pytest.raises(type(error)):
        execute(flavour, made, CARD, raiser(error))
    assert state_of(flavour, made) is None


@both_flavours
def test_in_doubt_on_adds_to_what_is_recognised(flavour: Flavour, made: Any) -> None:
    with pytest.raises(LookupError):
        execute(flavour, made, CARD, raiser(KeyError("k")), in_doubt_on=(LookupError,))
    assert state_of(flavour, made) is State.IN_DOUBT
    flavour.get(made.clear_all())
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError()), in_doubt_on=(LookupError,))
    assert state_of(flavour, made) is State.IN_DOUBT


@both_flavours
@pytest.mark.parametrize("error", [TimeoutError(), KeyError("k"), Stop()], ids=repr)
def test_not_executed_on_takes_precedence_over_all(flavour: Flavour, made: Any, error: BaseException) -> None:
    options = {"in_doubt_on": (KeyError,), "replay_errors": (KeyError,), "not_executed_on": (type(error),)}
    with pytest.raises(type(error)):
        execute(flavour, made, CARD, raiser(error), **options)
    assert state_of(flavour, made) is None


def test_the_policies_of_a_manager_hold_for_its_calls_and_a_call_s_own_replace_them(
    manager: IdempotencyManager,
) -> None:
    manager.configure(in_doubt_on=LookupError, not_executed_on=[TimeoutError])
    with pytest.raises(TimeoutError):
        manager.execute(CARD, raiser(TimeoutError()))
    assert manager.get_in_doubt() == []
    with pytest.raises(KeyError):
        manager.execute(CARD, raiser(KeyError()), in_doubt_on=())
    assert manager.get_in_doubt() == []
    with pytest.raises(KeyError):
        manager.execute(CARD, raiser(KeyError()))
    assert len(manager.get_in_doubt()) == 1


# ---------------------------------------------------------------- on_in_doubt


@both_flavours
def test_the_next_caller_is_told_and_nothing_runs(flavour: Flavour, made: Any) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError("no answer")))
    for _ in range(2):
        with pytest.raises(im.InDoubtError):
            execute(flavour, made, CARD, raiser(AssertionError("ran")))
    record = flavour.get(made.get_in_doubt())[0]
    assert record.attempt_count == 3
    assert record.error == "TimeoutError: no answer"


def test_the_error_says_what_ran_when_where_and_the_two_ways_out(manager: IdempotencyManager) -> None:
    key = leave_in_doubt(manager)
    with pytest.raises(im.InDoubtError) as caught:
        manager.execute(CARD, lambda: None)
    text = str(caught.value)
    for told in ("create_card", "trello", "inv-1", "2026-01-01 00:00:00 UTC", str(os.getpid()), "no answer"):
        assert told in text
    assert f"resolve_in_doubt({key!r}, result=…)" in text
    assert f"resolve_in_doubt({key!r}, not_executed=True)" in text
    assert "Pay" not in text
    assert caught.value.record.state is State.IN_DOUBT


@both_flavours
def test_retry_runs_again(flavour: Flavour, made: Any) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError()))
    assert execute(flavour, made, CARD, lambda: "second", on_in_doubt="retry") == "second"
    record = flavour.get(made.get_record(made.generate_key(CARD)))
    assert (record.state, record.attempt_count, record.error) == (State.COMPLETED, 2, None)


@both_flavours
@pytest.mark.parametrize("found", [{"id": 7}, None, False, 0, ""], ids=repr)
def test_a_reconciler_s_result_is_the_result(flavour: Flavour, made: Any, found: Any) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError("no answer")))
    seen: list[IdempotencyRecord] = []

    def look(record: IdempotencyRecord) -> Any:
        seen.append(record)
        return found

    reconciler = flavour.function(look)
    assert execute(flavour, made, CARD, raiser(AssertionError("ran")), on_in_doubt=reconciler) == found
    assert execute(flavour, made, CARD, raiser(AssertionError("ran")), on_in_doubt=reconciler) == found
    assert [(record.state, record.error) for record in seen] == [(State.IN_DOUBT, "TimeoutError: no answer")]


@both_flavours
def test_a_reconciler_that_finds_nothing_has_the_action_run(flavour: Flavour, made: Any) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError()))
    assert execute(flavour, made, CARD, lambda: "ran", on_in_doubt=flavour.function(lambda _: NOT_EXECUTED)) == "ran"
    assert state_of(flavour, made) is State.COMPLETED


@both_flavours
@pytest.mark.parametrize("error", [LookupError("the board is down"), Stop()], ids=repr)
def test_what_a_reconciler_raises_propagates_and_the_record_stays_in_doubt(
    flavour: Flavour, made: Any, error: BaseException
) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError("no answer")))

    def look(_: IdempotencyRecord) -> Any:
        raise error

    with pytest.raises(type(error)):
        execute(flavour, made, CARD, raiser(AssertionError("ran")), on_in_doubt=flavour.function(look))
    record = flavour.get(made.get_record(made.generate_key(CARD)))
    assert (record.state, record.error) == (State.IN_DOUBT, "TimeoutError: no answer")


@both_flavours
def test_a_reconciler_runs_under_a_claim(flavour: Flavour, made: Any) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError()))
    inside: list[Any] = []

    def look(_: IdempotencyRecord) -> str:
        inside.append(current_execution())
        return "found"

    execute(flavour, made, CARD, raiser(AssertionError("ran")), on_in_doubt=flavour.function(look))
    assert inside[0].key == made.generate_key(CARD)


def test_no_second_caller_reconciles_while_the_first_one_does(manager: IdempotencyManager) -> None:
    leave_in_doubt(manager)

    def look(_: IdempotencyRecord) -> str:
        assert manager.stats().in_progress == 1
        with pytest.raises(im.ReentrantCallError):
            manager.execute(CARD, raiser(AssertionError("ran")), on_in_doubt=look)
        return "found"

    assert manager.execute(CARD, raiser(AssertionError("ran")), on_in_doubt=look) == "found"


def test_an_async_reconciler_for_a_synchronous_call_is_refused_and_the_doubt_stays(manager: IdempotencyManager) -> None:
    leave_in_doubt(manager)

    async def look(_: IdempotencyRecord) -> str:
        return "found"

    with pytest.raises(im.IdempotencyError):
        manager.execute(CARD, raiser(AssertionError("ran")), on_in_doubt=look)
    assert len(manager.get_in_doubt()) == 1


# ---------------------------------------------------------------- a person's word


@both_flavours
@pytest.mark.parametrize("result", [{"id": 7}, None, False], ids=repr)
def test_a_doubt_is_resolved_with_a_result(flavour: Flavour, made: Any, result: Any) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError()))
    flavour.get(made.resolve_in_doubt(made.generate_key(CARD), result=result))
    assert execute(flavour, made, CARD, raiser(AssertionError("ran"))) == result
    assert flavour.get(made.stats()).in_doubt == 0


@both_flavours
def test_a_doubt_is_resolved_as_not_executed(flavour: Flavour, made: Any) -> None:
    with pytest.raises(TimeoutError):
        execute(flavour, made, CARD, raiser(TimeoutError()))
    flavour.get(made.resolve_in_doubt(made.generate_key(CARD), not_executed=True))
    assert state_of(flavour, made) is None
    assert execute(flavour, made, CARD, lambda: "ran") == "ran"


@both_flavours
@pytest.mark.parametrize("word", [{}, {"result": 1, "not_executed": True}, {"result": None, "not_executed": True}])
def test_a_word_that_says_both_or_neither_is_refused(flavour: Flavour, made: Any, word: dict[str, Any]) -> None:
    with pytest.raises(im.InvalidActionError, match="result and not_executed"):
        flavour.get(made.resolve_in_doubt("key", **word))


@both_flavours
def test_what_is_not_in_doubt_can_t_be_resolved(flavour: Flavour, made: Any) -> None:
    key = made.generate_key(CARD)
    with pytest.raises(im.NotInDoubtError, match="has no record") as caught:
        flavour.get(made.resolve_in_doubt(key, not_executed=True))
    assert (caught.value.key, caught.value.state) == (key, None)
    execute(flavour, made, CARD, lambda: 1)
    for word in ({"result": 2}, {"not_executed": True}):
        with pytest.raises(im.NotInDoubtError, match="is completed"):
            flavour.get(made.resolve_in_doubt(key, **word))
    assert execute(flavour, made, CARD, raiser(AssertionError("ran"))) == 1


def test_an_action_in_progress_can_t_be_resolved(manager: IdempotencyManager) -> None:
    def body() -> str:
        with pytest.raises(im.NotInDoubtError, match="is in progress"):
            manager.resolve_in_doubt(manager.generate_key(CARD), result=1)
        return "ran"

    assert manager.execute(CARD, body) == "ran"
