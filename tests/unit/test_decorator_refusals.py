"""What can't be decorated, and what the error says to write instead."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import pytest

import idempotency_manager as im
from idempotency_manager import idempotent
from tests.unit.decorated import runs

pytestmark = pytest.mark.usefixtures("manager")


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


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


@pytest.mark.parametrize("thing", [int, SimpleNamespace, 5, "post", None.__class__], ids=repr)
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(im.ConfigurationError, match="decorates functions"):
        idempotent(target="t")(thing)


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="retries"):
        idempotent(plain, target="t", retries=3)
