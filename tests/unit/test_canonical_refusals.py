"""What has no canonical form: the refusal, its path and its remedy."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from idempotency_manager import UnsupportedParamError, canonicalize


class Color(Enum):
    """An Enum of text."""

    RED = "red"


@dataclass
class Line:
    """A dataclass."""

    sku: str
    price: Decimal = Decimal(1)


def refused(value: object) -> UnsupportedParamError:
    """The error that refuses a value."""
    with pytest.raises(UnsupportedParamError) as caught:
        canonicalize(value)
    return caught.value


async def coroutine_function() -> None:
    """Gives a coroutine."""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "not a finite number"),
        (float("-inf"), "not a finite number"),
        (Decimal("NaN"), "not a finite number"),
        (Decimal("-Infinity"), "not a finite number"),
        ("\ud800", "lone surrogate"),
        ({"\udc00": 1}, "lone surrogate"),
        (object(), "of type object"),
        (len, "such as its name"),
        (Color, "type"),
        (1j, "of type complex"),
        (..., "ellipsis"),
        (iter([1]), "pass a list"),
        (range(3), "pass a list"),
        ((n for n in [1]), "pass a list"),
        (time(1, tzinfo=ZoneInfo("Europe/Paris")), "depends on the date"),
    ],
)
def test_a_value_without_a_form_is_refused_with_a_remedy(value: object, told: str) -> None:
    """At the top and inside, by both walks."""
    assert told in str(refused(value))
    inside = refused({"items": [0, value]})
    assert inside.path.startswith("value.items[1]")
    assert str(inside).startswith(inside.path)


def test_a_coroutine_is_refused() -> None:
    """It must be awaited first."""
    coroutine = coroutine_function()
    assert "await it" in str(refused(coroutine))
    coroutine.close()


def test_an_objects_text_is_never_taken_for_it() -> None:
    """Neither repr nor str stands for an object."""

    class Shown:
        def __str__(self) -> str:
            return "shown"

        __repr__ = __str__

    assert refused({"a": Shown()}).path == "value.a"


def test_the_path_names_every_container_on_the_way() -> None:
    """Names that are no identifiers are quoted, fields and tagged keys are named."""
    bad = object()
    assert refused({"a b": {"c": (1, [bad])}}).path == 'value["a b"].c[1][0]'
    assert refused({"line": Line("a", bad)}).path == "value.line.price"  # type: ignore[arg-type]
    assert refused({1: bad}).path == "value[1]"
    assert refused({"tags": {1, bad}}).path.startswith("value.tags{")


def test_nesting_has_a_limit() -> None:
    """A list that holds itself and a deep tree are errors, not crashes."""
    loop: list[object] = []
    loop.append(loop)
    assert "nested deeper" in str(refused(loop))
    deep: object = 0
    for _ in range(200):
        deep = [deep]
    assert canonicalize(deep) == b"[" * 200 + b"0" + b"]" * 200
    refused([deep])
    for _ in range(100_000):
        deep = (deep,)
    refused(deep)


def test_two_keys_that_become_one_name_are_refused() -> None:
    """One of them would be lost."""
    assert refused({"red": 1, Color.RED: 2}).path == "value.red"
    refused({3: 1, (Color.RED,): 2, ("red",): 3})


def test_what_user_code_raises_is_told_with_the_path() -> None:
    """An ordinary exception becomes the cause, an interrupt stays what it is."""

    class Broken(UserDict[str, int]):
        error: ClassVar[BaseException] = ValueError("broken")

        def items(self) -> Any:
            raise self.error

    caught = refused({"a": [Broken()]})
    assert caught.path == "value.a[0]"
    assert isinstance(caught.__cause__, ValueError)
    Broken.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        canonicalize({"a": [Broken()]})
