"""Params that make every retry a new action are warned of, and those that make many actions of one signal are not."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import uuid
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idempotency_manager import (
    AsyncIdempotencyManager,
    IdempotencyManager,
    VolatileParamsWarning,
    configure,
    idempotent,
)
from idempotency_manager.testing import set_manager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ENOUGH = 8
"""As sure as twenty runs, in less time."""
FEWER = settings.default.max_examples // 2
"""Each example is many calls."""


@pytest.fixture
def manager() -> Iterator[IdempotencyManager]:
    with IdempotencyManager(warn_volatile_after=ENOUGH) as made:
        yield made


def run_each(manager: IdempotencyManager, params: Iterable[dict[str, Any]], signal_id: str = "evt_1") -> list[str]:
    """What is warned of while one signal's actions run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for each in params:
            action = {"signal_id": signal_id, "action": "post", "target": "slack", "params": each}
            manager.execute(action, lambda: None)
    assert all(warning.category is VolatileParamsWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def attempts(make: Callable[[int], dict[str, Any]], runs: int = ENOUGH) -> Iterator[dict[str, Any]]:
    return (make(number) for number in range(runs))


def micros() -> int:
    return time.time_ns() // 1_000


NOW: dict[str, Callable[[int], object]] = {
    "seconds": lambda _: time.time(),
    "milliseconds": lambda _: time.time() * 1_000,
    "microseconds": lambda _: micros(),
    "nanoseconds": lambda _: time.time_ns(),
    "aware": lambda _: datetime.now(UTC),
    "naive": lambda _: datetime.now(),  # noqa: DTZ005 - as careless code has it
    "text": lambda _: datetime.now(UTC).isoformat(),
    "later": lambda _: datetime.now(UTC) + timedelta(hours=1),
}


@pytest.mark.parametrize("make", NOW.values(), ids=NOW)
@pytest.mark.parametrize("field", ["now", "sent"])
def test_the_time_of_the_call_is_warned_of_whatever_its_name(
    field: str, make: Callable[[int], object], manager: IdempotencyManager
) -> None:
    (text,) = run_each(manager, attempts(lambda number: {"to": "ops", field: make(number)}))
    assert f'{ENOUGH} first runs of the signal "evt_1"' in text
    assert f"params.{field} was the time of the call" in text
    assert f'exclude=("{field}",)' in text


def test_a_warning_names_the_path(manager: IdempotencyManager) -> None:
    def params(_: int) -> dict[str, Any]:
        return {"event": {"id": 7, "parts": ["a", {"sent": time.time()}]}}

    (text,) = run_each(manager, attempts(params))
    assert "params.event.parts[1].sent was" in text
    assert 'exclude=("event",)' in text


@pytest.mark.parametrize("make", [uuid.uuid4, lambda: str(uuid.uuid4()), lambda: uuid.uuid4().hex, uuid.uuid1])
def test_a_random_id_is_warned_of_where_its_name_says_so(
    make: Callable[[], object], manager: IdempotencyManager
) -> None:
    (text,) = run_each(manager, attempts(lambda _: {"requestId": make(), "to": "ops"}))
    assert "params.requestId was a random id" in text


def test_the_number_of_the_attempt_is_warned_of(manager: IdempotencyManager) -> None:
    (text,) = run_each(manager, attempts(lambda number: {"to": "ops", "attempt": number}))
    assert "params.attempt was the number of the attempt" in text


def test_it_is_warned_of_once_for_an_action(manager: IdempotencyManager) -> None:
    first = run_each(manager, attempts(lambda _: {"now": time.time()}, 50))
    second = run_each(manager, attempts(lambda _: {"now": time.time()}, 50), "evt_2")
    assert (len(first), second) == (1, [])


def test_not_before_enough_runs(manager: IdempotencyManager) -> None:
    assert run_each(manager, attempts(lambda _: {"now": time.time()}, ENOUGH - 1)) == []


def test_twenty_runs_are_enough_unless_told_otherwise() -> None:
    with IdempotencyManager() as manager:
        assert run_each(manager, attempts(lambda _: {"now": time.time()}, 19)) == []
        assert len(run_each(manager, [{"now": time.time()}])) == 1


@pytest.mark.parametrize("options", [{"warn_volatile_after": None}, {"include_params_in_key": False}], ids=str)
def test_nothing_is_said_where_it_is_turned_off_or_the_params_are_no_part_of_the_key(options: dict[str, Any]) -> None:
    with IdempotencyManager(**options) as manager:
        assert run_each(manager, attempts(lambda _: {"now": time.time()}, 50)) == []


def test_a_duplicate_shows_that_retries_are_recognised(manager: IdempotencyManager) -> None:
    def params() -> Iterator[dict[str, Any]]:
        for number in range(50):
            each = {"now": time.time()}
            yield each
            if number == ENOUGH - 3:
                yield each

    assert run_each(manager, params()) == []


def test_a_decorated_function_is_looked_at_as_well(manager: IdempotencyManager) -> None:
    @manager.idempotent(target="slack")
    def post(signal_id: str, sent: float) -> None:
        """Nothing."""

    def calls(post: Callable[..., None]) -> None:
        for _ in range(ENOUGH):
            post("evt_1", time.time())

    with pytest.warns(VolatileParamsWarning, match=r"post on slack: 8 first runs.*params\.sent") as caught:
        calls(post)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_coroutine_function_is_looked_at_as_well() -> None:
    manager = AsyncIdempotencyManager(warn_volatile_after=ENOUGH)

    @manager.idempotent(target="slack")
    async def post(signal_id: str, sent: float) -> None:
        """Nothing."""

    async def calls() -> None:
        for _ in range(ENOUGH):
            await post("evt_1", time.time())

    with pytest.warns(VolatileParamsWarning, match=r"params\.sent"):
        asyncio.run(calls())


def test_a_call_in_shadow_mode_is_looked_at_as_well(manager: IdempotencyManager) -> None:
    manager.configure(shadow=True)
    assert len(run_each(manager, attempts(lambda _: {"now": time.time()}))) == 1


def test_a_warning_that_is_an_error_disturbs_no_call(
    manager: IdempotencyManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda hooked: seen.append(hooked.exc_value))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(ENOUGH):
            action = {"signal_id": "s", "action": "a", "target": "t", "params": {"now": time.time()}}
            assert manager.execute(action, lambda number=number: number) == number  # type: ignore[misc]
    assert [type(each) for each in seen] == [VolatileParamsWarning]


# ---------------------------------------------------------------- many actions of one signal

SLOTS = datetime.now(UTC)
FAN_OUT: dict[str, Callable[[int], dict[str, Any]]] = {
    "numbers": lambda number: {"card": number, "board": "b"},
    "names": lambda number: {"to": f"user-{number}"},
    "ids": lambda _: {"card_id": str(uuid.uuid4()), "board": "b"},
    "two fields": lambda number: {"card": number, "at": time.time()},
    "slots of a calendar": lambda number: {"at": SLOTS + timedelta(minutes=15 * number)},
    "a history": lambda number: {"at": time.time() - 3600 * number},
    "dates long ago": lambda number: {"at": datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=number)},
    "other fields each time": lambda number: {f"field{number % 3}": 1, "at": time.time()},
    "pages": lambda number: {"page": number},
}


@pytest.mark.parametrize("make", FAN_OUT.values(), ids=FAN_OUT)
def test_a_signal_that_asks_for_many_actions_is_left_alone(
    make: Callable[[int], dict[str, Any]], manager: IdempotencyManager
) -> None:
    assert run_each(manager, attempts(make, 4 * ENOUGH)) == []


json_values = st.recursive(
    st.none() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
plain_params = st.dictionaries(st.text(max_size=3), json_values, max_size=3)


@settings(max_examples=FEWER)
@given(
    plain_params, st.lists(json_values, min_size=ENOUGH, max_size=ENOUGH, unique_by=repr), st.sampled_from(["now", "n"])
)
def test_data_is_never_taken_for_the_time(constant: dict[str, Any], values: list[Any], field: str) -> None:
    with IdempotencyManager(warn_volatile_after=ENOUGH) as manager:
        assert run_each(manager, [{**constant, field: value} for value in values]) == []


@settings(max_examples=FEWER)
@given(plain_params, st.sampled_from(sorted(NOW)), st.lists(st.text("abc", min_size=1, max_size=3), max_size=3))
def test_the_time_is_found_among_any_constant_params(constant: dict[str, Any], form: str, path: list[str]) -> None:
    def params(number: int) -> dict[str, Any]:
        value: Any = NOW[form](number)
        for name in path:
            value = {name: value}
        return {**constant, "the time": value}

    with IdempotencyManager(warn_volatile_after=ENOUGH) as manager:
        (text,) = run_each(manager, attempts(params))
    assert f"params.{'.'.join(['the time', *reversed(path)])} was the time of the call" in text


@settings(max_examples=FEWER)
@given(plain_params, st.lists(st.uuids(version=4), min_size=ENOUGH, max_size=ENOUGH, unique=True), st.booleans())
def test_a_random_id_is_told_from_data_by_its_name(
    constant: dict[str, Any],
    ids: list[uuid.UUID],
    named_so: bool,
) -> None:
    field = "trace_id" if named_so else "customer_id"
    with IdempotencyManager(warn_volatile_after=ENOUGH) as manager:
        assert len(run_each(manager, [{**constant, field: each} for each in ids])) == named_so


def test_the_lint_needs_little_memory(manager: IdempotencyManager) -> None:
    """Thousands of signals, each of which is looked at, leave no more than some hundred kilobytes."""

    def resident() -> int:
        gc.collect()
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - not a file of anybody's
            return int(file.read().split()[1]) * 4096

    def signals(first: int, count: int) -> None:
        for signal in range(first, first + count):
            for number in range(5):
                params = {"now": time.time(), "text": "x" * 100, "number": number % 1}
                action = {"signal_id": f"s{signal}", "action": f"a{signal}", "target": "t", "params": params}
                manager.execute(action, lambda: None)
        manager.clear_all()

    signals(0, 500)
    before = resident()
    signals(500, 2_000)
    assert resident() - before < 2_000_000


# ---------------------------------------------------------------- when a function is decorated


def decorating(**options: Any) -> Any:
    return idempotent(target="slack", **options)


@pytest.mark.parametrize("name", ["now", "timestamp", "nonce", "request_id", "trace_id", "uuid", "attempt", "utcNow"])
def test_a_parameter_that_is_named_so_is_warned_of(name: str) -> None:
    function = _function(f"signal_id, text, {name}")
    with pytest.warns(VolatileParamsWarning) as caught:
        decorating()(function)
    (warning,) = caught
    assert str(warning.message).startswith(f"post: {name} is, by its name, another in each call")
    assert f'exclude=("{name}",)' in str(warning.message)
    assert warning.filename == __file__


def _function(parameters: str, **names: Any) -> Any:
    exec(f"def post({parameters}): pass", names)  # noqa: S102 - a function whose parameters a test names
    return names["post"]


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ("signal_id, text, ts, created_at, card_id, user_uuid, date", {}),
        ("signal_id, text, now=None", {}),
        ("signal_id, text, attempt=1", {}),
        ("signal_id, text, now", {"exclude": ("now",)}),
        ("signal_id, text, now", {"params": ("text", "now")}),
        ("signal_id, text, now", {"params": lambda *_: {}}),
        ("request_id, text", {"signal_id": "request_id"}),
        ("signal_id, *now, **nonce", {}),
    ],
)
def test_what_is_data_or_decided_is_not_warned_of(parameters: str, options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decorating(**options)(_function(parameters))


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("at", datetime.now(UTC)),
        ("at", datetime.now()),  # noqa: DTZ005 - as careless code has it
        ("at", time.time()),
        ("at", time.time_ns() // 1_000_000),
        ("nonce", uuid.uuid4()),
    ],
)
def test_a_default_that_was_made_at_import_is_warned_of(name: str, default: object) -> None:
    with pytest.warns(VolatileParamsWarning, match=f"post: {name} has a default that was made when the function was"):
        decorating()(_function(f"signal_id, {name}=default", default=default))


@pytest.mark.parametrize("default", [datetime(2020, 1, 1, tzinfo=UTC), 0, 3600, True, uuid.UUID(int=1), "now", None])
def test_a_plain_default_is_not_warned_of(default: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decorating()(_function("signal_id, at=default", default=default))


def test_a_method_is_warned_of_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        class Channel:
            @decorating()
            def post(this, signal_id: str, now: float) -> None:  # noqa: N805 - known as a method by its class
                """Nothing."""

            @staticmethod
            @decorating(exclude=("now",))
            def quiet(signal_id: str, now: float) -> None:
                """Nothing."""

            @decorating()
            @classmethod
            def both(cls, signal_id: str, nonce: str) -> None:
                """Nothing."""

    assert [str(warning.message).partition(" is,")[0].rpartition(".")[2] for warning in caught] == [
        "post: now",
        "both: nonce",
    ]


def test_a_manager_that_says_so_warns_of_no_parameter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({"warn_volatile_after": None}, {"include_params_in_key": False}):
            with IdempotencyManager(**options) as manager:
                manager.idempotent(_function("signal_id, now"), target="slack")
                idempotent(_function("signal_id, now"), target="slack", manager=manager)


def test_so_does_the_default_manager() -> None:
    with IdempotencyManager() as mine:
        before = set_manager(mine)
        try:
            configure(warn_volatile_after=None)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                decorating()(_function("signal_id, now"))
        finally:
            set_manager(before)
