"""What `execute` gives back: objects of nobody else, failures, classes, codecs; and what it can not run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State
from tests.unit.cards import CARD, Counted, execute
from tests.unit.flavours import Flavour, Sync, both_flavours

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


# ---------------------------------------------------------------- results are nobody's to change


@both_flavours
def test_the_first_caller_gets_the_executor_s_own_object(flavour: Flavour, made: Any) -> None:
    result = {"ids": [1]}
    assert execute(flavour, made, CARD, lambda: result) is result


@both_flavours
def test_no_caller_can_change_what_the_next_one_sees(flavour: Flavour, made: Any) -> None:
    for _ in range(3):
        seen = execute(flavour, made, CARD, lambda: {"b": [1], "a": {"x": 2}})
        assert seen == {"b": [1], "a": {"x": 2}}
        assert list(seen) == ["b", "a"]
        seen["b"].append(2)
        seen["a"].clear()


def test_a_record_shows_its_result_afresh_too(manager: IdempotencyManager) -> None:
    manager.execute(CARD, lambda: {"ids": [1]})
    key = manager.generate_key(CARD)
    for look in (lambda: manager.get_record(key).result, lambda: manager.check_executed(key).cached_result):
        look()["ids"].append(2)
        assert look() == {"ids": [1]}


class Live:
    """Has no encoding."""


@both_flavours
def test_memory_keeps_the_object_itself_where_it_has_no_encoding(flavour: Flavour, made: Any) -> None:
    connection = Live()
    body = Counted(connection)
    assert execute(flavour, made, CARD, body) is connection
    assert execute(flavour, made, CARD, body) is connection
    assert body.runs == 1


# ---------------------------------------------------------------- failures


@both_flavours
def test_a_failure_releases_the_claim_and_the_next_call_runs_again(flavour: Flavour, made: Any) -> None:
    error = LookupError("no such board")
    with pytest.raises(LookupError) as caught:
        execute(flavour, made, CARD, Counted(error))
    assert caught.value is error
    assert flavour.get(made.get_record(made.generate_key(CARD))) is None
    assert execute(flavour, made, CARD, Counted("fine")) == "fine"


@both_flavours
def test_an_exception_in_replay_errors_is_a_final_answer(flavour: Flavour, made: Any) -> None:
    body = Counted(KeyError("board", 7))
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            execute(flavour, made, CARD, body, replay_errors=(LookupError,))
        assert caught.value.args == ("board", 7)
        assert type(caught.value) is KeyError
    assert body.runs == 1
    record = flavour.get(made.get_record(made.generate_key(CARD)))
    assert record.state is State.FAILED
    assert record.error == "KeyError: ('board', 7)"
    assert record.result is None
    assert record.attempt_count == 2


def test_a_failure_that_is_replayed_expires_like_a_result(manager: IdempotencyManager, clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="no"):
        manager.execute(CARD, Counted(ValueError("no")), replay_errors=(ValueError,), ttl="1h")
    clock.advance("1h")
    assert manager.execute(CARD, Counted()) == "done"


class PickyError(Exception):
    """Can't be made of its args."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code


@both_flavours
def test_a_failure_that_can_t_be_rebuilt_is_told_of(flavour: Flavour, made: Any) -> None:
    made.configure(replay_errors=(PickyError,))
    with pytest.raises(PickyError):
        execute(flavour, made, CARD, Counted(PickyError(404, "gone")))
    with pytest.raises(im.PreviousFailureError, match="404 gone") as caught:
        execute(flavour, made, CARD, Counted())
    assert caught.value.record.state is State.FAILED


def test_a_failure_is_rebuilt_only_as_a_class_that_the_caller_lists(manager: IdempotencyManager) -> None:
    with pytest.raises(KeyError):
        manager.execute(CARD, Counted(KeyError("x")), replay_errors=(KeyError,))
    with pytest.raises(im.PreviousFailureError):
        manager.execute(CARD, Counted())


# ---------------------------------------------------------------- types and codecs of results


@dataclass
class Line:
    """What a result type brings back."""

    amount: int


@both_flavours
def test_a_result_type_brings_the_result_back_as_its_class(flavour: Flavour, made: Any) -> None:
    body = Counted(Line(3))
    assert execute(flavour, made, CARD, body, result_type=Line) is body.result
    again = execute(flavour, made, CARD, body, result_type=Line)
    assert again == Line(3)
    assert again is not body.result
    assert body.runs == 1


def test_a_typed_result_without_its_type_is_an_error_that_asks_for_it(manager: IdempotencyManager) -> None:
    manager.execute(CARD, Counted(Line(3)), result_type=Line)
    body = Counted()
    with pytest.raises(im.ConfigurationError, match="result_type"):
        manager.execute(CARD, body)
    assert body.runs == 0


class Json:
    """A codec of the user's."""

    def __init__(self) -> None:
        self.broken = False

    def encode(self, result: Any, /) -> bytes:
        """Refuse when broken."""
        if self.broken:
            raise TypeError("not today")
        return json.dumps(result).encode()

    def decode(self, data: bytes, /) -> Any:
        """Show that it was asked."""
        return ["decoded", json.loads(data)]


@both_flavours
@pytest.mark.parametrize("everywhere", [True, False], ids=["of the manager", "of the call"])
def test_a_codec_encodes_and_decodes_in_place_of_the_package(flavour: Flavour, made: Any, everywhere: bool) -> None:
    options: dict[str, Any] = {} if everywhere else {"codec": Json()}
    if everywhere:
        made.configure(codec=Json())
    assert execute(flavour, made, CARD, lambda: (1, 2), **options) == (1, 2)
    assert execute(flavour, made, CARD, Counted(), **options) == ["decoded", [1, 2]]


@both_flavours
def test_a_codec_that_fails_does_not_undo_the_effect(flavour: Flavour, made: Any) -> None:
    codec = Json()
    codec.broken = True
    made.configure(codec=codec)
    body = Counted({"a": 1})
    assert execute(flavour, made, CARD, body) == execute(flavour, made, CARD, body) == {"a": 1}
    assert body.runs == 1


def test_a_codec_and_a_result_type_exclude_each_other(manager: IdempotencyManager) -> None:
    with pytest.raises(im.ConfigurationError, match="codec and result_type"):
        manager.execute(CARD, Counted(), codec=Json(), result_type=Line)


# ---------------------------------------------------------------- coroutines where they can't be awaited


async def post_card() -> str:
    raise AssertionError("nothing may run")


class Poster:
    """Called, gives a coroutine."""

    async def __call__(self) -> str:
        return await post_card()


@pytest.mark.parametrize("executor", [post_card, partial(post_card), Poster(), Poster().__call__], ids=repr)
@pytest.mark.parametrize("module_level", [True, False])
def test_a_coroutine_function_is_refused_before_anything_is_claimed(
    manager: IdempotencyManager, executor: Any, module_level: bool
) -> None:
    execute = im.execute_with_idempotency if module_level else manager.execute
    with pytest.raises(im.InvalidActionError, match="aexecute"):
        execute(CARD, executor)
    stats = manager.stats()
    assert stats.in_progress == stats.in_doubt == stats.cache_misses == 0


def test_a_coroutine_that_comes_out_of_a_plain_executor_is_closed_and_refused(manager: IdempotencyManager) -> None:
    with pytest.raises(im.InvalidActionError, match="coroutine"):
        manager.execute(CARD, lambda: post_card())  # noqa: PLW0108 - a plain function that returns a coroutine
    assert manager.get_record(manager.generate_key(CARD)) is None


def test_an_asynchronous_call_takes_a_plain_executor_too(clock: ManualClock) -> None:
    manager = im.AsyncIdempotencyManager(clock=clock)
    assert asyncio.run(manager.execute(CARD, lambda: 5)) == 5
    assert asyncio.run(manager.aexecute(CARD, lambda: 6)) == 5


def test_the_coroutine_of_a_call_can_t_be_awaited_twice(manager: IdempotencyManager) -> None:
    call = manager.aexecute(CARD, Counted())  # type: ignore[arg-type]
    assert Sync().get(asyncio.run(_awaited(call))) == "done"
    with pytest.raises(RuntimeError, match="already awaited"):
        asyncio.run(_awaited(call))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def test_the_module_s_functions_execute_on_the_default_manager(manager: IdempotencyManager, clock: ManualClock) -> None:
    async def body() -> int:
        return 2

    assert im.execute_with_idempotency(CARD, lambda: 1, "1h") == 1
    assert asyncio.run(im.aexecute_with_idempotency(CARD, body)) == 1
    clock.advance("1h")
    assert asyncio.run(im.aexecute_with_idempotency(CARD, body, "2h")) == 2
    assert manager.check_executed(manager.generate_key(CARD)).ttl == timedelta(hours=2)


def one_by_one() -> Any:
    yield 1


async def one_by_one_in_a_task() -> Any:
    yield 1


@both_flavours
@pytest.mark.parametrize("executor", [one_by_one, one_by_one_in_a_task, partial(one_by_one)], ids=repr)
def test_a_generator_is_refused_for_it_would_be_done_before_it_ran(flavour: Flavour, made: Any, executor: Any) -> None:
    with pytest.raises(im.InvalidActionError, match="generator"):
        flavour.get(made.execute(CARD, executor))
    assert flavour.get(made.get_keys()) == []
