"""Where a decorated function finds its signal and its params."""

from __future__ import annotations

import asyncio
import enum
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, idempotent, signal
from tests.unit.decorated import post, runs

pytestmark = pytest.mark.usefixtures("manager")


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


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
