"""`idempotent` on functions: how calls become keys, and whose records they are."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, idempotent, signal
from idempotency_manager.testing import set_manager
from tests.unit.decorated import apost, post, runs
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock

pytestmark = pytest.mark.usefixtures("manager")


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


# ---------------------------------------------------------------- one call, one key


@both_flavours
def test_a_call_runs_once_and_every_way_to_write_it_is_the_same_call(flavour: Flavour) -> None:
    function: Any = post if flavour.manager_class is IdempotencyManager else apost
    ways = [
        lambda: function("s", 1),
        lambda: function("s"),
        lambda: function("s", amount=1),
        lambda: function(signal_id="s", amount=1),
        lambda: function(amount=1, signal_id="s"),
        lambda: function(*("s",), amount=1),
    ]
    assert [flavour.get(way()) for way in ways] == [{"amount": 1}] * len(ways)
    assert runs == [("s", 1)]


def test_the_key_is_that_of_the_action_it_stands_for() -> None:
    action = {"signal_id": "s", "action": "post", "target": "ledger", "params": {"amount": 1}}
    assert post.key("s") == apost.key("s").replace("apost", "post") == im.generate_idempotency_key(action)


def test_other_arguments_are_other_actions() -> None:
    post("s", 1)
    post("s", 2)
    post("t", 1)
    post("s", True)
    assert runs == [("s", 1), ("s", 2), ("t", 1), ("s", True)]


def test_every_kind_of_parameter_is_bound_as_python_does() -> None:
    @idempotent(target="t")
    def f(signal_id: str, a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> Any:
        runs.append(None)
        return [a, b, rest, c, d, more]

    expected = im.generate_idempotency_key(
        signal_id="s",
        action="f",
        target="t",
        params={"a": 1, "b": 2, "rest": [], "c": 3, "d": 4, "more": {"x": 1, "y": 2}},
    )
    assert f.key("s", 1, c=3, x=1, y=2) == f.key("s", 1, 2, y=2, d=4, c=3, x=1) == expected
    assert f("s", 1, c=3) == f("s", 1, 2, c=3, d=4)
    assert f.key("s", 1, 2, 9, c=3) != f.key("s", 1, 2, c=3)
    assert f.key("s", 1, c=3, a=1) != f.key("s", 1, c=3)
    assert len(runs) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f("s"),
        lambda f: f("s", 1, 2),
        lambda f: f("s", 1, a=2),
        lambda f: f("s", 1, d=2),
        lambda f: f("s", 1, p="x"),
        lambda f: f(),
        lambda f: f("s", 1, 2, 3, 4),
    ],
)
@both_flavours
def test_wrong_arguments_raise_type_error_and_claim_nothing(
    flavour: Flavour, call: Callable[[Any], Any], manager: IdempotencyManager
) -> None:
    def add(p: str, /, a: int, *, b: int = 0, signal_id: str = "s") -> int:
        return a + b

    async def aadd(p: str, /, a: int, *, b: int = 0, signal_id: str = "s") -> int:
        return a + b

    function = idempotent(add if flavour.manager_class is IdempotencyManager else aadd, target="t")
    for helper in (function, function.key, function.record, function.clear):
        with pytest.raises(TypeError, match=r"add\(\)") as caught:
            flavour.get(call(helper))
        assert not isinstance(caught.value, im.IdempotencyError)
    stats = manager.stats()
    assert (stats.in_progress, stats.in_doubt, stats.cache_misses) == (0, 0, 0)


def test_a_default_is_the_one_of_the_definition() -> None:
    @idempotent(target="t", signal_id="s")
    def f(s: str, when: tuple[int, ...] = (1, 2)) -> int:
        return len(when)

    assert f.key("x") == f.key("x", [1, 2]) == f.key("x", when=(1, 2))


@both_flavours
def test_a_function_that_changes_its_arguments_changes_neither_key_nor_fingerprint(flavour: Flavour) -> None:
    def body(signal_id: str, items: list[int]) -> int:
        items.append(4)
        runs.append(None)
        return len(items)

    async def abody(signal_id: str, items: list[int]) -> int:
        return body(signal_id, items)

    f = idempotent(body if flavour.manager_class is IdempotencyManager else abody, target="t", action="f")
    key = f.key("s", [1, 2, 3])
    assert flavour.get(f("s", [1, 2, 3])) == flavour.get(f("s", [1, 2, 3])) == 4
    assert len(runs) == 1
    assert f.record("s", [1, 2, 3]).key == key


def test_the_key_of_a_coroutine_is_fixed_when_it_is_called_not_when_it_is_awaited() -> None:
    items = [1]

    @idempotent(target="t")
    async def f(items: list[int]) -> int:
        return len(items)

    async def late() -> int:
        with signal("s"):
            call = f(items)
        items.append(2)
        return await call

    assert asyncio.run(late()) == 2
    with signal("s"):
        assert f.record([1]) is not None
        assert f.record([1, 2]) is None


# ---------------------------------------------------------------- whose records they are


def plain(signal_id: str, amount: int = 1) -> int:
    return amount


def test_the_default_manager_is_looked_up_at_the_time_of_the_call(manager: IdempotencyManager) -> None:
    post("s")
    with IdempotencyManager() as other:
        set_manager(other)
        post("s")
        assert len(runs) == 2
        assert other.get_keys() == [post.key("s")]
    set_manager(manager)
    post("s")
    assert len(runs) == 2


def test_a_manager_that_is_given_is_used(manager: IdempotencyManager) -> None:
    with IdempotencyManager() as own:
        functions = [idempotent(plain, target="t", manager=own), own.idempotent(plain, target="t")]
        for function in functions:
            function("s")
        assert own.get_keys() == [functions[0].key("s")]
        assert own.stats().duplicates_prevented == 1
    assert manager.get_keys() == []


def test_either_manager_wraps_plain_and_coroutine_functions() -> None:
    for manager in (IdempotencyManager(), im.AsyncIdempotencyManager()):
        assert manager.idempotent(plain, target="t")("s", 2) == 2
        assert asyncio.run(manager.idempotent(apost.__wrapped__, target="t")("s", 2)) == {"amount": 2}


def test_configure_on_a_live_manager_holds_for_the_next_call(manager: IdempotencyManager, clock: ManualClock) -> None:
    post("s")
    assert post.key("s").count(":") == 3
    manager.configure(include_params_in_key=False, default_ttl="1h")
    assert post.key("s") == "s:post:ledger"
    post("s", 5)
    assert manager.check_executed("s:post:ledger").ttl == timedelta(hours=1)
    manager.configure(clock=None)
    post("s", 5)
    assert len(runs) == 3


def test_an_option_of_the_decorator_outlives_configure(manager: IdempotencyManager) -> None:
    f = idempotent(plain, target="t", ttl="2h")
    manager.configure(default_ttl="1h")
    f("s")
    assert manager.check_executed(f.key("s")).ttl == timedelta(hours=2)


def test_a_closed_manager_refuses_the_calls_of_its_functions(manager: IdempotencyManager) -> None:
    post("s")
    manager.close()
    for call in (post, post.key, post.record, post.clear):
        with pytest.raises(im.IdempotencyError, match="closed"):
            call("s")
    assert len(runs) == 1
