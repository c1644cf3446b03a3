"""`idempotent` on functions: how calls become keys, whose results they get, and what the wrapper looks like."""

from __future__ import annotations

import asyncio
import copy
import enum
import functools
import inspect
import pickle
import uuid
import weakref
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State, idempotent, signal
from idempotency_manager.testing import set_manager
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock

pytestmark = pytest.mark.usefixtures("manager")

runs: list[Any] = []


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


@idempotent(target="ledger")
def post(signal_id: str, amount: int = 1) -> dict[str, int]:
    """Post an amount."""
    runs.append((signal_id, amount))
    return {"amount": amount}


@idempotent(target="ledger")
async def apost(signal_id: str, amount: int = 1) -> dict[str, int]:
    """Post an amount, in a task."""
    await asyncio.sleep(0)
    runs.append((signal_id, amount))
    return {"amount": amount}


class Board:
    """Has methods of every kind."""

    def __init__(self, name: str = "board") -> None:
        self.name = name

    @idempotent(target="trello")
    def add(self, signal_id: str, title: str = "Pay") -> str:
        """Add a card."""
        runs.append(title)
        return f"{self.name}:{title}"

    @idempotent(target="trello")
    async def aadd(self, signal_id: str, title: str = "Pay") -> str:
        """Add a card, in a task."""
        runs.append(title)
        return f"{self.name}:{title}"

    @classmethod
    @idempotent(target="trello")
    def class_inside(cls, signal_id: str) -> str:
        """The decorator below."""
        runs.append(cls)
        return cls.__name__

    @idempotent(target="trello")
    @classmethod
    def class_outside(klass, signal_id: str) -> str:  # noqa: N804 - any name will do
        """The decorator above."""
        runs.append(klass)
        return klass.__name__

    @staticmethod
    @idempotent(target="trello")
    def static_inside(signal_id: str, n: int = 1) -> int:
        """The decorator below."""
        runs.append(n)
        return n

    @idempotent(target="trello")
    @staticmethod
    def static_outside(signal_id: str, n: int = 1) -> int:
        """The decorator above."""
        runs.append(n)
        return n


class Wide(Board):
    """Overrides a method, and calls the one it overrides."""

    @idempotent(target="trello", action="add_wide")
    def add(self, signal_id: str, title: str = "Pay") -> str:
        """Add a wide card."""
        return "wide " + super().add(signal_id, title)


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


# ---------------------------------------------------------------- where the signal comes from


class Kind(str, enum.Enum):  # noqa: UP042 - the old way, whose str() is another text
    """Text with a name."""

    PAID = "paid"


@pytest.mark.parametrize(
    ("given", "text"),
    [("s", "s"), (7, "7"), (uuid.UUID(int=1), str(uuid.UUID(int=1))), (Kind.PAID, "paid")],
    ids=repr,
)
def test_a_signal_is_text_an_integer_or_a_uuid_wherever_it_comes_from(given: Any, text: str) -> None:
    def f(x: int) -> int:
        return x

    by_callable = idempotent(f, target="t", signal_id=lambda x: given)
    surrounded = idempotent(f, target="t")
    assert post.key(given).startswith(f"{text}:")
    assert by_callable.key(1).startswith(f"{text}:")
    with signal(given):
        assert surrounded.key(1) == by_callable.key(1)


@pytest.mark.parametrize("given", ["", None, 1.5, True, b"s", ["s"], object()], ids=repr)
def test_a_signal_that_is_none_is_refused(given: Any, manager: IdempotencyManager) -> None:
    by_path = idempotent(lambda event: 1, target="t", action="f", signal_id="event.id")
    by_callable = idempotent(lambda: 1, target="t", action="f", signal_id=lambda: given)
    for call in (
        lambda: post(given),
        lambda: by_path(SimpleNamespace(id=given)),
        by_callable,
        lambda: signal(given),
    ):
        with pytest.raises(im.InvalidActionError, match="signal_id"):
            call()
    assert runs == []
    assert manager.stats().cache_misses == 0


@pytest.mark.parametrize(
    "event",
    [SimpleNamespace(head=SimpleNamespace(id="e-1")), {"head": {"id": "e-1"}}, SimpleNamespace(head={"id": "e-1"})],
)
def test_a_path_follows_attributes_and_keys_and_the_signal_stands_for_its_root(event: Any) -> None:
    @idempotent(target="t", signal_id="event.head.id")
    def f(event: Any, amount: int) -> int:
        return amount

    expected = im.generate_idempotency_key(signal_id="e-1", action="f", target="t", params={"amount": 3})
    assert f.key(event, 3) == f.key(amount=3, event=event) == expected


@pytest.mark.parametrize("event", [SimpleNamespace(), {}, None, {"head": None}, "e-1"])
def test_a_path_that_leads_nowhere_is_an_error_that_says_where(event: Any) -> None:
    f = idempotent(lambda event: 1, target="t", action="f", signal_id="event.head.id")
    with pytest.raises(im.InvalidActionError, match="event"):
        f(event)


def test_a_surrounding_signal_is_the_innermost_one() -> None:
    @idempotent(target="t")
    def f(x: int) -> int:
        return x

    with signal("outer"):
        with signal("inner"):
            assert f.key(1).startswith("inner:")
        assert f.key(1).startswith("outer:")
        assert post.key("own").startswith("own:")
    with pytest.raises(im.InvalidActionError, match=r"with signal\(…\)"):
        f(1)


def test_a_surrounding_signal_ends_with_an_exception_too() -> None:
    with pytest.raises(ValueError, match="no"), signal("s"):
        raise ValueError("no")
    with pytest.raises(im.InvalidActionError):
        idempotent(lambda: 1, target="t", action="f").key()


def test_a_surrounding_signal_is_followed_by_tasks() -> None:
    @idempotent(target="t")
    async def f() -> None:
        return None

    async def both() -> None:
        async def within(name: str) -> str:
            with signal(name):
                await asyncio.sleep(0)
                return f.key()

        one, two = await asyncio.gather(within("a"), within("b"))
        assert (one[0], two[0]) == ("a", "b")

    asyncio.run(both())


# ---------------------------------------------------------------- which arguments are params


def test_params_names_those_that_count() -> None:
    @idempotent(target="t", params=("a",))
    def f(signal_id: str, a: int, b: object) -> int:
        return a

    assert f.key("s", 1, object()) == f.key("s", 1, 5)
    assert f.key("s", 2, 5) != f.key("s", 1, 5)


def test_params_may_name_the_signal_as_well() -> None:
    @idempotent(target="t", params=["signal_id"])
    def f(signal_id: str) -> int:
        return 1

    expected = im.generate_idempotency_key(signal_id="s", action="f", target="t", params={"signal_id": "s"})
    assert f.key("s") == expected


def test_exclude_leaves_arguments_out() -> None:
    @idempotent(target="t", exclude=("client", "rest"))
    def f(signal_id: str, a: int, client: object = None, *rest: object) -> int:
        return a

    assert f.key("s", 1, object()) == f.key("s", 1) == f.key("s", 1, None, object())


def test_params_may_be_a_callable_of_the_arguments() -> None:
    @idempotent(target="t", params=lambda signal_id, card, **_: {"id": card.id})
    def f(signal_id: str, card: Any, **more: object) -> int:
        return 1

    expected = im.generate_idempotency_key(signal_id="s", action="f", target="t", params={"id": 3})
    assert f.key("s", SimpleNamespace(id=3), x=object()) == expected


def test_a_callable_for_params_must_give_a_mapping() -> None:
    f = idempotent(lambda signal_id: 1, target="t", action="f", params=lambda signal_id: [1])
    with pytest.raises(im.IdempotencyError, match="params"):
        f("s")


def test_an_argument_without_a_canonical_form_is_refused_with_its_path(manager: IdempotencyManager) -> None:
    @idempotent(target="t")
    def f(signal_id: str, order: Any) -> int:
        return 1

    with pytest.raises(im.UnsupportedParamError) as caught:
        f("s", {"lines": [object()]})
    assert caught.value.path == "params.order.lines[0]"
    assert manager.stats().in_progress == 0


# ---------------------------------------------------------------- methods


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


# ---------------------------------------------------------------- what can't be decorated


def generator(signal_id: str) -> Any:
    yield signal_id


async def async_generator(signal_id: str) -> Any:
    yield signal_id


@pytest.mark.parametrize("function", [generator, async_generator, functools.partial(generator)], ids=repr)
def test_generators_are_refused_when_decorated(function: Any) -> None:
    with pytest.raises(im.ConfigurationError, match=r"generator.*list"):
        idempotent(function, target="t", action="f")


def plain(signal_id: str, amount: int = 1) -> int:
    return amount


async def areconcile(record: object) -> object:
    return record


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'target is missing; write @idempotent(target="trello")'),
        ({"target": ""}, "target is empty"),
        ({"target": 5}, "target is int, not text"),
        ({"target": "t", "action": ""}, "action is empty"),
        ({"target": "t", "signal_id": "signal"}, "no parameter 'signal'; did you mean 'signal_id'?"),
        ({"target": "t", "signal_id": "event.id"}, "no parameter 'event'"),
        ({"target": "t", "signal_id": ""}, "signal_id=''"),
        ({"target": "t", "signal_id": "signal_id..x"}, "no path"),
        ({"target": "t", "signal_id": 5}, "signal_id=5"),
        ({"target": "t", "params": ["amont"]}, "params: plain has no parameter 'amont'; did you mean 'amount'?"),
        ({"target": "t", "params": "amount"}, 'write params=("amount",)'),
        ({"target": "t", "params": 5}, "params=5: no names"),
        ({"target": "t", "exclude": ("x",)}, "exclude: plain has no parameter 'x'"),
        ({"target": "t", "exclude": "amount"}, 'write exclude=("amount",)'),
        ({"target": "t", "ttl": "1s"}, "ttl='1s': shorter than the lease"),
        ({"target": "t", "ttl": 0}, "ttl=0"),
        ({"target": "t", "on_concurrent": "queue"}, "on_concurrent='queue'"),
        ({"target": "t", "on_in_doubt": "ignore"}, "on_in_doubt='ignore'"),
        ({"target": "t", "on_in_doubt": areconcile}, "its reconciler must be plain, not async"),
        ({"target": "t", "in_doubt_on": ("x",)}, "in_doubt_on"),
        ({"target": "t", "not_executed_on": (int,)}, "not_executed_on"),
        ({"target": "t", "replay_errors": (KeyboardInterrupt,)}, "replay_errors"),
        ({"target": "t", "latch": "yes"}, "latch='yes'"),
        ({"target": "t", "codec": object()}, "codec"),
    ],
)
def test_a_bad_option_is_refused_when_decorating_and_says_what_to_write(options: Any, message: str) -> None:
    with pytest.raises(im.ConfigurationError) as caught:
        idempotent(**options)(plain)
    assert message in str(caught.value)


@pytest.mark.parametrize("thing", [int, Receipt, 5, "post", None.__class__], ids=repr)
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(im.ConfigurationError, match="decorates functions"):
        idempotent(target="t")(thing)


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="retries"):
        idempotent(plain, target="t", retries=3)


# ---------------------------------------------------------------- whose records they are


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
