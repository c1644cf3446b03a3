"""Methods and other callables that are decorated, and what the wrapper looks like."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State, idempotent, signal
from tests.unit.decorated import Board, Wide, apost, post, runs

pytestmark = pytest.mark.usefixtures("manager")


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


# ---------------------------------------------------------------- methods


def test_a_method_s_object_is_no_param_whatever_the_parameter_is_called(manager: IdempotencyManager) -> None:
    class Board:
        @im.idempotent(target="trello")
        def card(this, signal_id: str, title: str) -> str:  # noqa: N805 - the point of the test
            return f"{title} on {type(this).__name__}"

    assert Board().card("s", "Pay") == Board().card(signal_id="s", title="Pay") == "Pay on Board"
    assert manager.stats().cache_misses == 1
    assert Board().card.key("s", "Pay") == manager.get_keys()[0]


def test_self_is_no_param_and_two_objects_share_a_call() -> None:
    one, two = Board("one"), Board("two")
    assert one.add("s") == two.add("s") == Board.add(two, "s", "Pay") == "one:Pay"
    assert runs == ["Pay"]
    expected = im.generate_idempotency_key(signal_id="s", action="add", target="trello", params={"title": "Pay"})
    assert one.add.key("s") == Board.add.key("s") == expected


def test_an_async_method_runs_once() -> None:
    board = Board()
    assert asyncio.run(board.aadd("s")) == asyncio.run(board.aadd("s")) == "board:Pay"
    assert runs == ["Pay"]


@pytest.mark.parametrize("name", ["class_inside", "class_outside"])
def test_a_class_method_runs_once_in_both_orders(name: str) -> None:
    assert getattr(Board, name)("s") == getattr(Board(), name)("s") == "Board"
    assert runs == [Board]
    expected = im.generate_idempotency_key(signal_id="s", action=name, target="trello")
    assert getattr(Board, name).key("s") == getattr(Board(), name).key("s") == expected
    assert getattr(Board, name).record("s").result == "Board"
    assert getattr(Board, name).clear("s")


@pytest.mark.parametrize("name", ["static_inside", "static_outside"])
def test_a_static_method_runs_once_in_both_orders(name: str) -> None:
    assert getattr(Board, name)("s", 2) == getattr(Board(), name)("s", n=2) == 2
    assert runs == [2]
    expected = im.generate_idempotency_key(signal_id="s", action=name, target="trello", params={"n": 2})
    assert getattr(Board, name).key("s", 2) == getattr(Board(), name).key("s", 2) == expected


def test_an_overridden_method_calls_the_one_it_overrides() -> None:
    assert Wide().add("s") == Wide().add("s") == "wide board:Pay"
    assert runs == ["Pay"]
    assert Wide.add.key("s") != Board.add.key("s")


def test_two_classes_with_a_method_of_one_name_need_another_action_or_target() -> None:
    class Other:
        @idempotent(target="github")
        def add(self, signal_id: str, title: str = "Pay") -> str:
            return "issue"

    assert Board().add("s") == "board:Pay"
    assert Other().add("s") == "issue"


def test_the_helpers_of_a_bound_method_are_those_of_its_calls() -> None:
    board = Board()
    assert board.add.record("s") is None
    board.add("s")
    record = board.add.record("s", title="Pay")
    assert record is not None
    assert (record.result, record.state, record.action_type) == ("board:Pay", State.COMPLETED, "add")
    assert board.add.clear("s") is True
    assert board.add.clear("s") is False
    assert board.add.__wrapped__("s", "x") == "board:x"


def test_bound_methods_compare_copy_and_pickle_as_methods_do() -> None:
    board = Board()
    assert board.add == board.add
    assert hash(board.add) == hash(board.add)
    assert board.add != Board().add
    assert board.add != Board.add
    assert board.add.__self__ is board
    assert pickle.loads(pickle.dumps(board.add)).__self__.name == "board"  # noqa: S301 - its own
    assert copy.copy(board.add) == board.add
    assert copy.deepcopy(board.add)("s") == "board:Pay"


# ---------------------------------------------------------------- other callables


def test_a_partial_needs_an_action_and_keeps_what_it_binds() -> None:
    def add(signal_id: str, a: int, b: int) -> int:
        return a + b

    with pytest.raises(im.ConfigurationError, match="action"):
        idempotent(functools.partial(add, b=2), target="t")
    f = idempotent(functools.partial(add, b=2), target="t", action="add")
    assert f("s", 1) == 3
    assert f.key("s", 1) == idempotent(add, target="t").key("s", 1, 2)
    g = idempotent(functools.partial(add, "s", 1), target="t", action="add")
    with signal("surrounding"):
        assert g(5) == 6


def test_a_lambda_needs_an_action() -> None:
    with pytest.raises(im.ConfigurationError, match="action"):
        idempotent(lambda signal_id: 1, target="t")
    assert idempotent(lambda signal_id: 1, target="t", action="f")("s") == 1


class Adder:
    """A callable object."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, signal_id: str, n: int) -> int:
        self.runs += 1
        return n + 1


def test_a_callable_object_is_wrapped() -> None:
    adder = Adder()
    f = idempotent(adder, target="t", action="add")
    assert f("s", 1) == f("s", n=1) == 2
    assert adder.runs == 1


class AsyncAdder:
    """A callable object whose calls are awaited."""

    async def __call__(self, signal_id: str, n: int) -> int:
        runs.append(n)
        return n + 1


@pytest.mark.parametrize(
    "callable_", [AsyncAdder(), functools.partial(AsyncAdder().__call__)], ids=["object", "partial"]
)
def test_what_gives_a_coroutine_is_wrapped_as_a_coroutine_function(callable_: Any) -> None:
    f = idempotent(callable_, target="t", action="add")
    assert asyncio.run(f("s", 1)) == asyncio.run(f("s", 1)) == 2
    assert runs == [1]


def test_a_bound_method_can_be_decorated() -> None:
    adder = Adder()
    f = idempotent(adder.__call__, target="t", action="add")
    assert f("s", 1) == f("s", 1) == 2
    assert adder.runs == 1


def test_a_coroutine_that_a_plain_function_returns_is_refused(manager: IdempotencyManager) -> None:
    async def inner() -> None:
        raise AssertionError("ran")

    f = idempotent(lambda signal_id: inner(), target="t", action="f")
    with pytest.raises(im.InvalidActionError, match="coroutine"):
        f("s")
    assert manager.get_keys() == []


# ---------------------------------------------------------------- what the wrapper looks like


@pytest.mark.parametrize("function", [post, apost], ids=["sync", "async"])
def test_the_wrapper_looks_like_its_function(function: Any) -> None:
    inner = function.__wrapped__
    assert inspect.isfunction(inner)
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(function, name) == getattr(inner, name)
    assert inspect.signature(function) == inspect.signature(inner)
    assert inspect.getdoc(function) == inspect.getdoc(inner)
    assert inspect.iscoroutinefunction(function) == inspect.iscoroutinefunction(inner)
    assert callable(function)
    assert function.__name__ in repr(function)
    assert weakref.ref(function)() is function


def test_bound_methods_have_the_signature_without_self() -> None:
    board = Board()
    assert list(inspect.signature(board.add).parameters) == ["signal_id", "title"]
    assert inspect.iscoroutinefunction(board.aadd)
    assert not inspect.iscoroutinefunction(board.add)
    assert board.add.__doc__ == "Add a card."
    assert board.add.__name__ == "add"


def test_attributes_of_the_function_are_kept() -> None:
    def f(signal_id: str) -> int:
        return 1

    f.marked = True  # type: ignore[attr-defined]
    assert idempotent(f, target="t").marked


def test_a_wrapper_is_pickled_and_copied_by_name() -> None:
    for function in (post, apost):
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - its own
        assert copy.copy(function) is copy.deepcopy(function) is function
    assert copy.deepcopy({"handler": post})["handler"] is post


def test_functools_wraps_sees_through_the_wrapper() -> None:
    @functools.wraps(post)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return post(*args, **kwargs)

    assert outer.__name__ == "post"
    assert list(inspect.signature(outer).parameters) == ["signal_id", "amount"]


def test_record_and_clear_are_of_the_call() -> None:
    assert post.record("s") is None
    post("s")
    assert post.record("s", amount=1).result == {"amount": 1}
    assert post.record("s", 2) is None
    assert post.clear("s") is True
    assert post.clear("s") is False
    post("s")
    assert runs == [("s", 1)] * 2


@dataclass
class Receipt:
    """What a function of its annotation gives."""

    number: int


@idempotent(target="till")
def charge(signal_id: str) -> Receipt:
    """Charge."""
    runs.append(signal_id)
    return Receipt(len(runs))


def test_a_return_annotation_brings_the_result_back_as_its_class() -> None:
    assert charge("s") == charge("s") == Receipt(1)
    assert charge("s") is not charge("s")
