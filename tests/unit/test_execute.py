"""`execute`: one execution for each key, and what its duplicates get."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import Action, IdempotencyManager, State
from tests.unit.flavours import Flavour, Sync, both_flavours

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock

CARD = {"signal_id": "inv-1", "action": "create_card", "target": "trello", "params": {"title": "Pay"}}


class Counted:
    """A body that counts its runs."""

    def __init__(self, result: Any = "done") -> None:
        self.result = result
        self.runs = 0

    def __call__(self) -> Any:
        self.runs += 1
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def execute(flavour: Flavour, manager: Any, action: Any, body: Any, **options: Any) -> Any:
    return flavour.get(manager.execute(action, flavour.function(body), **options))


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


@both_flavours
def test_an_action_runs_once_and_its_duplicate_gets_its_result(flavour: Flavour, made: Any) -> None:
    body = Counted({"id": 7})
    assert execute(flavour, made, CARD, body) == {"id": 7}
    assert execute(flavour, made, CARD, body) == {"id": 7}
    assert body.runs == 1


@both_flavours
@pytest.mark.parametrize("result", [None, False, 0, "", {}, [], 0.0, b"", ()], ids=repr)
def test_a_result_that_is_false_is_a_result(flavour: Flavour, made: Any, result: Any) -> None:
    body = Counted(result)
    first, second = (execute(flavour, made, CARD, body) for _ in range(2))
    assert (first, type(first)) == (second, type(second)) == (result, type(result))
    assert body.runs == 1


def test_a_mapping_an_action_and_keywords_name_the_same_action(manager: IdempotencyManager) -> None:
    action = Action("inv-1", "create_card", "trello", {"title": "Pay"})
    body = Counted()
    manager.execute(action, body)
    manager.execute(CARD, body)
    manager.execute(OrderedDict(reversed(CARD.items())), body)
    assert body.runs == 1
    assert manager.generate_key(action) == manager.generate_key(**CARD)


@pytest.mark.parametrize(
    "changed", [{"signal_id": "inv-2"}, {"action": "x"}, {"target": "x"}, {"params": {"title": "x"}}]
)
def test_an_action_that_differs_in_one_field_is_another(manager: IdempotencyManager, changed: dict[str, Any]) -> None:
    body = Counted()
    manager.execute(CARD, body)
    manager.execute({**CARD, **changed}, body)
    assert body.runs == 2


@both_flavours
@pytest.mark.parametrize("field", ["signal_id", "action", "target"])
@pytest.mark.parametrize("value", ["", None, 5])
def test_an_action_without_a_name_is_refused_by_that_name(flavour: Flavour, made: Any, field: str, value: Any) -> None:
    body = Counted()
    with pytest.raises(im.InvalidActionError, match=field):
        execute(flavour, made, {**CARD, field: value}, body)
    with pytest.raises(im.InvalidActionError, match=field):
        execute(flavour, made, {name: given for name, given in CARD.items() if name != field}, body)
    assert body.runs == 0


def test_an_action_with_an_unknown_field_is_refused(manager: IdempotencyManager) -> None:
    with pytest.raises(im.InvalidActionError, match="parms"):
        manager.execute({**CARD, "parms": {}}, Counted())


@both_flavours
def test_params_that_can_t_be_hashed_are_refused_before_anything_runs(flavour: Flavour, made: Any) -> None:
    body = Counted()
    with pytest.raises(im.UnsupportedParamError) as caught:
        execute(flavour, made, {**CARD, "params": {"items": [1, {"due": object()}]}}, body)
    assert caught.value.path == "params.items[1].due"
    assert body.runs == 0
    assert flavour.get(made.stats()).total_cached == flavour.get(made.stats()).in_progress == 0


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


# ---------------------------------------------------------------- time to live


@both_flavours
def test_a_result_is_kept_for_its_ttl_and_no_longer(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    body = Counted()
    execute(flavour, made, CARD, body, ttl="1h")
    clock.advance(3599.999999)
    execute(flavour, made, CARD, body, ttl="1h")
    assert body.runs == 1
    clock.advance(0.000001)
    execute(flavour, made, CARD, body, ttl="1h")
    assert body.runs == 2


def test_the_ttl_starts_when_the_executor_ends(manager: IdempotencyManager, clock: ManualClock) -> None:
    def slow() -> str:
        clock.advance("20s")
        return "done"

    manager.execute(CARD, slow, ttl="1m")
    record = manager.get_record(manager.generate_key(CARD))
    assert record is not None
    assert record.executed_at == clock.now()
    assert record.started_at == clock.now() - timedelta(seconds=20)
    assert record.expires_at == clock.now() + timedelta(minutes=1)


def test_a_replay_does_not_lengthen_the_ttl(manager: IdempotencyManager, clock: ManualClock) -> None:
    manager.execute(CARD, Counted(), ttl="1h")
    clock.advance("30m")
    manager.execute(CARD, Counted(), ttl="2h")
    assert manager.check_executed(manager.generate_key(CARD)).ttl == timedelta(minutes=30)


@pytest.mark.parametrize("ttl", [0, -1, "5", "x", "1s", True, float("nan")])
def test_a_ttl_that_can_t_be_is_refused_and_claims_nothing(manager: IdempotencyManager, ttl: Any) -> None:
    body = Counted()
    with pytest.raises(im.ConfigurationError, match="ttl"):
        manager.execute(CARD, body, ttl=ttl)
    assert body.runs == manager.stats().in_progress == 0


def test_an_unknown_option_is_refused_by_name(manager: IdempotencyManager) -> None:
    with pytest.raises(im.ConfigurationError, match="'retries'"):
        manager.execute(CARD, Counted(), retries=3)


# ---------------------------------------------------------------- params that are no part of the key


def test_without_params_in_the_key_other_params_are_a_duplicate(manager: IdempotencyManager) -> None:
    manager.configure(include_params_in_key=False)
    body = Counted()
    manager.execute(CARD, body)
    assert manager.execute({**CARD, "params": {"title": "Other"}}, body) == "done"
    assert body.runs == 1
    assert manager.generate_key(CARD) == "inv-1:create_card:trello"


@both_flavours
def test_with_verify_params_other_params_are_an_error(flavour: Flavour, made: Any) -> None:
    made.configure(include_params_in_key=False, verify_params=True)
    body = Counted()
    execute(flavour, made, CARD, body)
    with pytest.raises(im.ParamsMismatchError, match="other params") as caught:
        execute(flavour, made, {**CARD, "params": {"title": "Other"}}, body)
    assert caught.value.record.state is State.COMPLETED
    assert "Pay" not in str(caught.value)
    assert body.runs == 1
    assert execute(flavour, made, CARD, body) == "done"


def test_other_params_are_an_error_before_the_state_is_looked_at(manager: IdempotencyManager) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    with pytest.raises(KeyboardInterrupt):
        manager.execute(CARD, Counted(KeyboardInterrupt()))
    with pytest.raises(im.ParamsMismatchError):
        manager.execute({**CARD, "params": {}}, Counted())
    with pytest.raises(im.InDoubtError):
        manager.execute(CARD, Counted())


def test_an_expired_record_of_other_params_is_no_mismatch(manager: IdempotencyManager, clock: ManualClock) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    manager.execute(CARD, Counted())
    clock.advance("24h")
    assert manager.execute({**CARD, "params": {}}, lambda: "new") == "new"


# ---------------------------------------------------------------- what is kept of the action


class Colour(Enum):
    """A param with a canonical form and no encoding of its own."""

    RED = "red"


@dataclass
class Line:
    """The same."""

    amount: int


def test_params_are_kept_only_where_that_is_asked_for(manager: IdempotencyManager) -> None:
    key = manager.generate_key(CARD)
    manager.execute(CARD, Counted())
    assert manager.get_record(key).params is None
    manager.clear_all()
    manager.configure(store_params=True)
    manager.execute(CARD, Counted())
    assert manager.get_record(key).params == {"title": "Pay"}


def test_params_of_every_type_that_can_be_hashed_can_be_kept(manager: IdempotencyManager) -> None:
    manager.configure(store_params=True)
    when = datetime(2026, 1, 2, tzinfo=UTC)
    action = {**CARD, "params": {"colour": Colour.RED, "lines": [Line(3)], "when": when}}
    manager.execute(action, Counted())
    kept = manager.get_record(manager.generate_key(action)).params
    assert kept == {"colour": "red", "lines": [{"amount": 3}], "when": when}


def test_the_context_is_kept_and_is_no_part_of_the_key(manager: IdempotencyManager) -> None:
    key = manager.generate_key(CARD)
    assert manager.generate_key({**CARD, "context": {"trace": "t-1"}}) == key
    manager.execute({**CARD, "context": {"trace": "t-1"}}, Counted())
    assert manager.get_record(key).context == {"trace": "t-1"}
    assert manager.execute({**CARD, "context": {"trace": "t-2"}}, lambda: "again") == "done"
    assert manager.get_record(key).context == {"trace": "t-1"}


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
