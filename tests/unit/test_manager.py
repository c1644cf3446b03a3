"""The managers' verbs by hand, their numbers, and their settings, on both managers."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, IdempotencyStats, State
from tests.unit.cards import key_of, numbered, run_numbered
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


# ---------------------------------------------------------------- by hand


@both_flavours
@pytest.mark.parametrize("result", [{"id": 7}, None, False, 0, "", {}], ids=repr)
def test_a_result_that_is_marked_is_the_result(flavour: Flavour, made: Any, result: Any) -> None:
    flavour.get(made.mark_executed(key_of(), result))
    check = flavour.get(made.check_executed(key_of()))
    assert (check.executed, check.cached_result) == (True, result)
    assert run_numbered(flavour, made, result=AssertionError("ran")) == result


@both_flavours
def test_a_mark_has_the_names_of_its_key_or_those_it_is_given(flavour: Flavour, made: Any) -> None:
    flavour.get(made.mark_executed(key_of(), 1))
    record = flavour.get(made.get_record(key_of()))
    assert (record.signal_id, record.action_type, record.target) == ("s1", "create", "trello")
    assert record.params is None
    assert (record.state, record.attempt_count, record.error) == (State.COMPLETED, 1, None)
    metadata = {
        "signal_id": "x",
        "action_type": "y",
        "target": "z",
        "params": {"a": [1]},
        "context": {"trace": "t"},
    }
    flavour.get(made.mark_executed("no key of ours", 1, None, metadata))
    record = flavour.get(made.get_record("no key of ours"))
    assert {name: getattr(record, name) for name in metadata} == metadata
    assert flavour.get(made.find_keys_by_action_type("y")) == ["no key of ours"]
    assert flavour.get(made.find_keys_by_signal_id("x")) == flavour.get(made.find_keys_by_target("z"))


@both_flavours
@pytest.mark.parametrize(
    "metadata", [{"signal": "x"}, {"signal_id": 5}, {"params": {"a": object()}}, {"context": [1]}, ["params"]], ids=repr
)
def test_bad_metadata_is_refused_and_nothing_is_marked(flavour: Flavour, made: Any, metadata: Any) -> None:
    with pytest.raises(im.IdempotencyError):
        flavour.get(made.mark_executed(key_of(), 1, metadata=metadata))
    assert flavour.get(made.get_keys()) == []


@both_flavours
def test_a_mark_over_a_result_replaces_it_and_restarts_the_ttl(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    run_numbered(flavour, made)
    clock.advance("23h")
    flavour.get(made.mark_executed(key_of(), "new", "2h"))
    check = flavour.get(made.check_executed(key_of()))
    assert (check.cached_result, check.ttl, check.executed_at) == ("new", timedelta(hours=2), clock.now())


@both_flavours
def test_a_mark_ends_a_doubt(flavour: Flavour, made: Any) -> None:
    with pytest.raises(TimeoutError):
        run_numbered(flavour, made, result=TimeoutError())
    flavour.get(made.mark_executed(key_of(), "by hand"))
    assert run_numbered(flavour, made, result=AssertionError("ran")) == "by hand"
    assert flavour.get(made.get_in_doubt()) == []


def test_without_params_in_a_mark_any_params_match(manager: IdempotencyManager) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    manager.mark_executed("s1:create:trello", 1)
    assert manager.execute(numbered(params={"a": 1}), lambda: 2) == 1
    manager.mark_executed("s1:create:trello", 3, metadata={"params": {"a": 1}})
    assert manager.execute(numbered(params={"a": 1}), lambda: 2) == 3
    with pytest.raises(im.ParamsMismatchError):
        manager.execute(numbered(params={"a": 2}), lambda: 2)


@pytest.mark.parametrize("ttl", [0, -1, "1s", "x"])
def test_a_bad_ttl_of_a_mark_is_refused(manager: IdempotencyManager, ttl: Any) -> None:
    with pytest.raises(im.ConfigurationError, match="ttl"):
        manager.mark_executed(key_of(), 1, ttl)


# ---------------------------------------------------------------- measure


def numbers(stats: IdempotencyStats) -> dict[str, float]:
    return {name: value for name in dir(stats) if not name.startswith("_") and (value := getattr(stats, name))}


@both_flavours
def test_statistics_count_what_happens(flavour: Flavour, made: Any) -> None:
    def stats() -> dict[str, float]:
        return numbers(flavour.get(made.stats()))

    assert stats() == {}
    assert flavour.get(made.stats()).hit_rate == 0.0
    run_numbered(flavour, made, 1)
    assert stats() == {"total_cached": 1, "cache_misses": 1}
    run_numbered(flavour, made, 1)
    hit = {"total_cached": 1, "cache_misses": 1, "cache_hits": 1, "duplicates_prevented": 1, "hit_rate": 50.0}
    assert stats() == hit
    flavour.get(made.check_executed(key_of(1)))
    flavour.get(made.check_executed("missing"))
    checked = {"cache_misses": 2, "cache_hits": 2, "duplicates_prevented": 2}
    assert stats() == hit | checked
    for look in (made.get_record(key_of(1)), made.get_keys(), made.cache_info(), made.get_in_doubt()):
        flavour.get(look)
    assert stats() == hit | checked
    with pytest.raises(TimeoutError):
        run_numbered(flavour, made, 2, TimeoutError())
    with pytest.raises(im.InDoubtError):
        run_numbered(flavour, made, 2)
    assert stats() == hit | checked | {"in_doubt": 1, "cache_misses": 3, "hit_rate": 40.0}
    flavour.get(made.reset_stats())
    assert stats() == {"total_cached": 1, "in_doubt": 1}


def test_an_action_that_runs_is_counted_as_in_progress(manager: IdempotencyManager) -> None:
    manager.configure(on_concurrent="raise")
    with manager.claim(numbered()) as attempt:
        stats = manager.stats()
        assert (stats.in_progress, stats.total_cached) == (1, 0)
        failed: list[BaseException] = []

        def refused() -> None:
            try:
                manager.execute(numbered(), lambda: 1)
            except im.AlreadyInProgressError as error:
                failed.append(error)

        thread = threading.Thread(target=refused)
        thread.start()
        thread.join()
        assert len(failed) == 1
        assert manager.stats().duplicates_prevented == 1
        attempt.complete(1)


@both_flavours
def test_the_cache_says_how_full_it_is(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    start = clock.now()
    info = flavour.get(made.cache_info())
    assert (info.current_size, info.max_size, info.utilization_percent) == (0, 10_000, 0.0)
    assert info.oldest_entry is info.newest_entry is None
    made.configure(max_cache_size=8)
    run_numbered(flavour, made, 1)
    clock.advance("1m")
    with pytest.raises(TimeoutError):
        run_numbered(flavour, made, 2, TimeoutError())
    info = flavour.get(made.cache_info())
    assert (info.current_size, info.max_size, info.utilization_percent) == (2, 8, 25.0)
    assert (info.oldest_entry, info.newest_entry) == (start, clock.now())
    made.configure(max_cache_size=None)
    info = flavour.get(made.cache_info())
    assert (info.max_size, info.utilization_percent) == (None, 0.0)


# ---------------------------------------------------------------- configure, close, and the rest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"default_ttl": 0}, "default_ttl=0"),
        ({"lease": "1ms"}, "lease='1ms'"),
        ({"lease": "48h"}, "lease="),
        ({"max_cache_size": 0}, "max_cache_size=0"),
        ({"on_full": "drop"}, "on_full='drop'"),
        ({"default_tll": 5}, "did you mean 'default_ttl'?"),
        ({"on_event": 5}, "on_event=5"),
        ({"clock": object()}, "clock"),
        ({"store": "sqlite:///x.db?speed=high"}, "store"),
        ({"store": "sqlite:///x.db?synchronous=off"}, "store"),
        ({"store": "nowhere"}, "store"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_changes_nothing(
    manager: IdempotencyManager, fields: dict[str, Any], message: str
) -> None:
    before = manager.config
    manager.mark_executed(key_of(), 1)
    with pytest.raises(im.ConfigurationError) as caught:
        manager.configure(include_params_in_key=False, **fields)
    assert message in str(caught.value)
    assert manager.config == before
    assert manager.generate_key(numbered()) == key_of()
    assert manager.get_keys() == [key_of()]


def test_another_store_leaves_the_records_in_the_old_one(manager: IdempotencyManager) -> None:
    manager.mark_executed(key_of(), 1)
    manager.configure(default_ttl="1h")
    assert manager.get_keys() == [key_of()]
    manager.configure(clock=None)
    assert manager.get_keys() == []


def test_a_call_that_is_under_way_ends_in_the_store_it_began_in(
    manager: IdempotencyManager, clock: ManualClock
) -> None:
    def body() -> str:
        manager.configure(clock=None)
        return "done"

    assert manager.execute(numbered(), body) == "done"
    assert manager.get_keys() == []


@pytest.mark.parametrize("clock_", [type("Frozen", (), {"now": lambda self: datetime(2026, 5, 1, tzinfo=UTC)})()])
def test_a_clock_of_one_s_own_tells_the_time(clock_: Any) -> None:
    with IdempotencyManager(clock=clock_) as manager:
        manager.execute(numbered(), lambda: 1)
        assert manager.get_record(key_of()).executed_at == datetime(2026, 5, 1, tzinfo=UTC)


CALLS: dict[str, Callable[[Any], Any]] = {
    "execute": lambda manager: manager.execute(numbered(), lambda: 1),
    "aexecute": lambda manager: manager.aexecute(numbered(), lambda: 1),
    "claim": lambda manager: manager.claim(numbered()),
    "aclaim": lambda manager: manager.aclaim(numbered()),
    "generate_key": lambda manager: manager.generate_key(numbered()),
    "execute_many": lambda manager: manager.execute_many([numbered()], lambda _: 1),
    "aexecute_many": lambda manager: manager.aexecute_many([numbered()], lambda _: 1),
    "check_many": lambda manager: manager.check_many(["k"]),
    "check_executed": lambda manager: manager.check_executed("k"),
    "mark_executed": lambda manager: manager.mark_executed("k", 1),
    "resolve_in_doubt": lambda manager: manager.resolve_in_doubt("k", result=1),
    "get_record": lambda manager: manager.get_record("k"),
    "get_keys": lambda manager: manager.get_keys(),
    "find_keys_by_action_type": lambda manager: manager.find_keys_by_action_type("a"),
    "find_keys_by_target": lambda manager: manager.find_keys_by_target("t"),
    "find_keys_by_signal_id": lambda manager: manager.find_keys_by_signal_id("s"),
    "get_expiring_soon": lambda manager: manager.get_expiring_soon(),
    "get_in_doubt": lambda manager: manager.get_in_doubt(),
    "cleanup_expired": lambda manager: manager.cleanup_expired(),
    "cleanup_oldest_entries": lambda manager: manager.cleanup_oldest_entries(1),
    "clear_key": lambda manager: manager.clear_key("k"),
    "clear_all": lambda manager: manager.clear_all(),
    "start_auto_cleanup": lambda manager: manager.start_auto_cleanup(),
    "stats": lambda manager: manager.stats(),
    "reset_stats": lambda manager: manager.reset_stats(),
    "cache_info": lambda manager: manager.cache_info(),
    "configure": lambda manager: manager.configure(default_ttl="1h"),
}


@both_flavours
@pytest.mark.parametrize("name", CALLS)
def test_a_closed_manager_refuses_every_call(flavour: Flavour, made: Any, name: str) -> None:
    flavour.get(made.close())
    flavour.get(made.close())
    with pytest.raises(im.IdempotencyError, match="closed"):
        flavour.get(CALLS[name](made))
    with pytest.raises(im.IdempotencyError, match="closed"):
        flavour.items(made.iter_records())
    made.stop_auto_cleanup()
    assert made.config.store == "memory://"


def test_every_public_verb_has_a_case_above() -> None:
    names = {name for name in dir(IdempotencyManager) if not name.startswith("_")}
    others = {"config", "idempotent", "close", "iter_records", "stop_auto_cleanup"}
    shared = {"execute_in_transaction", "aexecute_in_transaction"}  # by a connection of the caller's
    assert names - others - shared == set(CALLS)
    assert {name for name in dir(im.AsyncIdempotencyManager) if not name.startswith("_")} == names


def test_a_manager_is_a_context_manager_that_closes() -> None:
    with IdempotencyManager() as manager:
        manager.execute(numbered(), lambda: 1)
    with pytest.raises(im.IdempotencyError, match="closed"):
        manager.stats()

    async def within() -> im.AsyncIdempotencyManager:
        async with im.AsyncIdempotencyManager() as inner:
            await inner.execute(numbered(), lambda: 1)
        return inner

    with pytest.raises(im.IdempotencyError, match="closed"):
        asyncio.run(within()).claim(numbered())


def test_a_call_that_is_under_way_when_the_manager_closes_ends_as_it_would_have() -> None:
    manager = IdempotencyManager()

    def body() -> str:
        manager.close()
        return "done"

    assert manager.execute(numbered(), body) == "done"


def test_a_key_is_given_for_an_action_or_its_fields(manager: IdempotencyManager) -> None:
    assert manager.generate_key(numbered()) == manager.generate_key(**numbered()) == key_of()
    with pytest.raises(im.InvalidActionError, match="not both"):
        manager.generate_key(numbered(), target="x")
    with pytest.raises(im.InvalidActionError, match="signal_id"):
        manager.generate_key()


def test_the_repr_of_a_manager_names_its_store() -> None:
    assert repr(IdempotencyManager()) == "IdempotencyManager('memory://')"
    assert repr(im.AsyncIdempotencyManager("memory://")) == "AsyncIdempotencyManager('memory://')"
