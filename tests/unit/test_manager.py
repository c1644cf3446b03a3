"""The managers' verbs besides `execute` and `claim`, on both managers."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, IdempotencyStats, State
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


def action(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"signal_id": f"s{number}", "action": "create", "target": "trello", **fields}


def key(number: int = 1, **fields: Any) -> str:
    return im.generate_idempotency_key(action(number, **fields))


def run(flavour: Flavour, manager: Any, number: int = 1, result: Any = "done", **fields: Any) -> Any:
    def body() -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    return flavour.get(manager.execute(action(number, **fields), flavour.function(body)))


# ---------------------------------------------------------------- by hand


@both_flavours
@pytest.mark.parametrize("result", [{"id": 7}, None, False, 0, "", {}], ids=repr)
def test_a_result_that_is_marked_is_the_result(flavour: Flavour, made: Any, result: Any) -> None:
    flavour.get(made.mark_executed(key(), result))
    check = flavour.get(made.check_executed(key()))
    assert (check.executed, check.cached_result) == (True, result)
    assert run(flavour, made, result=AssertionError("ran")) == result


@both_flavours
def test_a_mark_has_the_names_of_its_key_or_those_it_is_given(flavour: Flavour, made: Any) -> None:
    flavour.get(made.mark_executed(key(), 1))
    record = flavour.get(made.get_record(key()))
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
@pytest.mark.parametrize("metadata", [{"signal": "x"}, {"signal_id": 5}, {"params": {"a": object()}}], ids=repr)
def test_bad_metadata_is_refused_and_nothing_is_marked(flavour: Flavour, made: Any, metadata: dict[str, Any]) -> None:
    with pytest.raises(im.IdempotencyError):
        flavour.get(made.mark_executed(key(), 1, metadata=metadata))
    assert flavour.get(made.get_keys()) == []


@both_flavours
def test_a_mark_over_a_result_replaces_it_and_restarts_the_ttl(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    run(flavour, made)
    clock.advance("23h")
    flavour.get(made.mark_executed(key(), "new", "2h"))
    check = flavour.get(made.check_executed(key()))
    assert (check.cached_result, check.ttl, check.executed_at) == ("new", timedelta(hours=2), clock.now())


@both_flavours
def test_a_mark_ends_a_doubt(flavour: Flavour, made: Any) -> None:
    with pytest.raises(TimeoutError):
        run(flavour, made, result=TimeoutError())
    flavour.get(made.mark_executed(key(), "by hand"))
    assert run(flavour, made, result=AssertionError("ran")) == "by hand"
    assert flavour.get(made.get_in_doubt()) == []


def test_without_params_in_a_mark_any_params_match(manager: IdempotencyManager) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    manager.mark_executed("s1:create:trello", 1)
    assert manager.execute(action(params={"a": 1}), lambda: 2) == 1
    manager.mark_executed("s1:create:trello", 3, metadata={"params": {"a": 1}})
    assert manager.execute(action(params={"a": 1}), lambda: 2) == 3
    with pytest.raises(im.ParamsMismatchError):
        manager.execute(action(params={"a": 2}), lambda: 2)


@pytest.mark.parametrize("ttl", [0, -1, "1s", "x"])
def test_a_bad_ttl_of_a_mark_is_refused(manager: IdempotencyManager, ttl: Any) -> None:
    with pytest.raises(im.ConfigurationError, match="ttl"):
        manager.mark_executed(key(), 1, ttl)


# ---------------------------------------------------------------- look


@pytest.fixture
def stocked(request: pytest.FixtureRequest, made: Any) -> Any:
    """A manager with records of several actions, targets, signals and states."""
    flavour = request.getfixturevalue("flavour")
    run(flavour, made, 1)
    run(flavour, made, 1, target="slack")
    run(flavour, made, 2, action="notify", target="slack")
    made.configure(replay_errors=(LookupError,))
    for number, error in ((3, TimeoutError()), (4, LookupError())):
        with pytest.raises(type(error)):
            run(flavour, made, number, error)
    return made


@both_flavours
def test_keys_are_found_by_each_of_their_names(flavour: Flavour, stocked: Any) -> None:
    found = {
        "create": stocked.find_keys_by_action_type("create"),
        "slack": stocked.find_keys_by_target("slack"),
        "s1": stocked.find_keys_by_signal_id("s1"),
        "none": stocked.find_keys_by_signal_id("s9"),
    }
    assert {name: set(flavour.get(keys)) for name, keys in found.items()} == {
        "create": {key(1), key(1, target="slack"), key(3), key(4)},
        "slack": {key(1, target="slack"), key(2, action="notify", target="slack")},
        "s1": {key(1), key(1, target="slack")},
        "none": set(),
    }


@both_flavours
def test_all_keys_or_those_that_a_filter_takes(flavour: Flavour, stocked: Any) -> None:
    assert len(flavour.get(stocked.get_keys())) == 5
    assert flavour.get(stocked.get_keys(lambda record: record.state is State.IN_DOUBT)) == [key(3)]
    with pytest.raises(ZeroDivisionError):
        flavour.get(stocked.get_keys(lambda record: 1 // 0))


@both_flavours
@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, {"s1", "s2", "s3", "s4"}),
        ({"action_type": "create"}, {"s1", "s3", "s4"}),
        ({"target": "slack"}, {"s1", "s2"}),
        ({"signal_id": "s2"}, {"s2"}),
        ({"state": State.IN_DOUBT}, {"s3"}),
        ({"state": State.FAILED}, {"s4"}),
        ({"state": State.COMPLETED, "action_type": "notify"}, {"s2"}),
        ({"state": State.IN_DOUBT, "signal_id": "s1"}, set()),
        ({"state": State.IN_PROGRESS}, set()),
        ({"action_type": "create", "target": "slack", "signal_id": "s1", "state": State.COMPLETED}, {"s1"}),
    ],
)
def test_records_are_iterated_over_by_what_is_asked(
    flavour: Flavour, stocked: Any, wanted: dict[str, Any], numbers: set[str]
) -> None:
    records = flavour.items(stocked.iter_records(**wanted))
    assert {record.signal_id for record in records} == numbers
    assert len({record.key for record in records}) == len(records)


@both_flavours
def test_more_records_than_one_part_are_all_iterated_over(flavour: Flavour, made: Any) -> None:
    for number in range(1_203):
        flavour.get(made._core.mark(key(number), number, None, {}))
    for wanted in ({}, {"action_type": "create"}):
        records = flavour.items(made.iter_records(**wanted))
        assert sorted(record.result for record in records) == list(range(1_203))
    assert len(flavour.get(made.get_keys())) == 1_203


def test_records_may_go_while_they_are_iterated_over(manager: IdempotencyManager) -> None:
    for number in range(5):
        manager.mark_executed(key(number), number)
    for record in manager.iter_records(action_type="create"):
        assert manager.clear_key(record.key)
    assert manager.get_keys() == []


@both_flavours
def test_what_expires_soon_comes_in_the_order_it_does(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    for number, ttl in enumerate(["50m", "2h", "10m", "30m", "59m"]):
        flavour.get(made.mark_executed(key(number), number, ttl))
    with pytest.raises(TimeoutError):
        run(flavour, made, 9, TimeoutError())
    assert [record.result for record in flavour.get(made.get_expiring_soon())] == [2, 3, 0, 4]
    assert [record.result for record in flavour.get(made.get_expiring_soon("30m"))] == [2, 3]
    assert [record.result for record in flavour.get(made.get_expiring_soon(timedelta(hours=3)))] == [2, 3, 0, 4, 1]
    clock.advance("10m")
    assert [record.result for record in flavour.get(made.get_expiring_soon(1200))] == [3]
    with pytest.raises(im.ConfigurationError, match="within"):
        flavour.get(made.get_expiring_soon("soon"))


@both_flavours
def test_an_expired_record_is_gone_for_every_reader(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    run(flavour, made)
    clock.advance("24h")
    assert flavour.get(made.get_record(key())) is None
    assert not flavour.get(made.check_executed(key())).executed
    assert flavour.get(made.get_keys()) == flavour.get(made.find_keys_by_signal_id("s1")) == []
    assert flavour.items(made.iter_records()) == flavour.get(made.get_expiring_soon("365d")) == []
    assert flavour.get(made.stats()).total_cached == flavour.get(made.cache_info()).current_size == 0
    assert flavour.get(made.clear_key(key())) is False


# ---------------------------------------------------------------- keep house


@both_flavours
def test_cleaning_up_removes_what_has_expired_and_counts_it(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    for number in range(3):
        flavour.get(made.mark_executed(key(number), number, f"{number + 1}h"))
    clock.advance("2h")
    assert flavour.get(made.cleanup_expired()) == 2
    assert flavour.get(made.cleanup_expired()) == 0
    stats = flavour.get(made.stats())
    assert (stats.expired_cleaned, stats.total_cached, stats.evicted) == (2, 1, 0)


@both_flavours
def test_the_oldest_are_those_that_finished_first(flavour: Flavour, made: Any) -> None:
    for number in range(5):
        flavour.get(made.mark_executed(key(number), number))
    flavour.get(made.mark_executed(key(0), 0))
    with pytest.raises(TimeoutError):
        run(flavour, made, 9, TimeoutError())
    assert flavour.get(made.cleanup_oldest_entries(0)) == 0
    assert flavour.get(made.cleanup_oldest_entries(2)) == 2
    assert set(flavour.get(made.get_keys())) == {key(3), key(4), key(0), key(9)}
    assert flavour.get(made.cleanup_oldest_entries(10)) == 3
    assert flavour.get(made.get_keys()) == [key(9)]
    assert flavour.get(made.stats()).evicted == 0


@both_flavours
@pytest.mark.parametrize("count", [-1, 1.5, True, "2", None])
def test_a_count_that_can_t_be_is_refused(flavour: Flavour, made: Any, count: Any) -> None:
    with pytest.raises(im.InvalidActionError, match="count"):
        flavour.get(made.cleanup_oldest_entries(count))


@both_flavours
def test_a_key_is_cleared_whatever_its_state(flavour: Flavour, stocked: Any) -> None:
    for one in flavour.get(stocked.get_keys()):
        assert flavour.get(stocked.clear_key(one)) is True
        assert flavour.get(stocked.clear_key(one)) is False
    assert run(flavour, stocked, 3) == "done"


@both_flavours
def test_everything_is_cleared_and_counted(flavour: Flavour, stocked: Any, clock: ManualClock) -> None:
    clock.advance("24h")
    run(flavour, stocked, 8)
    assert flavour.get(stocked.clear_all()) == 2
    assert flavour.get(stocked.clear_all()) == 0
    assert flavour.get(stocked.get_keys()) == []


@both_flavours
def test_a_full_cache_evicts_the_oldest_fifth_of_what_is_finished(flavour: Flavour, made: Any) -> None:
    made.configure(max_cache_size=10)
    with pytest.raises(TimeoutError):
        run(flavour, made, 0, TimeoutError())
    for number in range(1, 10):
        run(flavour, made, number)
    assert flavour.get(made.stats()).evicted == 0
    run(flavour, made, 10)
    left = {record.signal_id for record in flavour.items(made.iter_records())}
    assert left == {"s0", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10"}
    assert flavour.get(made.stats()).evicted == 2


@both_flavours
def test_expired_records_make_room_before_live_ones_are_evicted(
    flavour: Flavour, made: Any, clock: ManualClock
) -> None:
    made.configure(max_cache_size=2)
    flavour.get(made.mark_executed(key(1), 1, "2h"))
    flavour.get(made.mark_executed(key(2), 2, "1h"))
    clock.advance("1h")
    run(flavour, made, 3)
    stats = flavour.get(made.stats())
    assert (stats.evicted, stats.expired_cleaned, stats.total_cached) == (0, 1, 2)


@both_flavours
def test_a_full_cache_may_refuse_instead_and_then_nothing_runs(flavour: Flavour, made: Any) -> None:
    made.configure(max_cache_size=1, on_full="raise")
    run(flavour, made, 1)
    with pytest.raises(im.CacheFullError, match="max_cache_size"):
        run(flavour, made, 2, AssertionError("ran"))
    with pytest.raises(im.CacheFullError):
        flavour.get(made.mark_executed(key(2), 1))
    assert run(flavour, made, 1, AssertionError("ran")) == "done"
    flavour.get(made.mark_executed(key(1), "again"))


@both_flavours
def test_a_cache_of_doubts_can_evict_nothing(flavour: Flavour, made: Any) -> None:
    made.configure(max_cache_size=1)
    with pytest.raises(TimeoutError):
        run(flavour, made, 1, TimeoutError())
    with pytest.raises(im.CacheFullError, match="in doubt"):
        run(flavour, made, 2, AssertionError("ran"))


# ---------------------------------------------------------------- measure


def numbers(stats: IdempotencyStats) -> dict[str, float]:
    return {name: value for name in dir(stats) if not name.startswith("_") and (value := getattr(stats, name))}


@both_flavours
def test_statistics_count_what_happens(flavour: Flavour, made: Any) -> None:
    def stats() -> dict[str, float]:
        return numbers(flavour.get(made.stats()))

    assert stats() == {}
    assert flavour.get(made.stats()).hit_rate == 0.0
    run(flavour, made, 1)
    assert stats() == {"total_cached": 1, "cache_misses": 1}
    run(flavour, made, 1)
    hit = {"total_cached": 1, "cache_misses": 1, "cache_hits": 1, "duplicates_prevented": 1, "hit_rate": 50.0}
    assert stats() == hit
    flavour.get(made.check_executed(key(1)))
    flavour.get(made.check_executed("missing"))
    checked = {"cache_misses": 2, "cache_hits": 2, "duplicates_prevented": 2}
    assert stats() == hit | checked
    for look in (made.get_record(key(1)), made.get_keys(), made.cache_info(), made.get_in_doubt()):
        flavour.get(look)
    assert stats() == hit | checked
    with pytest.raises(TimeoutError):
        run(flavour, made, 2, TimeoutError())
    with pytest.raises(im.InDoubtError):
        run(flavour, made, 2)
    assert stats() == hit | checked | {"in_doubt": 1, "cache_misses": 3, "hit_rate": 40.0}
    flavour.get(made.reset_stats())
    assert stats() == {"total_cached": 1, "in_doubt": 1}


def test_an_action_that_runs_is_counted_as_in_progress(manager: IdempotencyManager) -> None:
    manager.configure(on_concurrent="raise")
    with manager.claim(action()) as attempt:
        stats = manager.stats()
        assert (stats.in_progress, stats.total_cached) == (1, 0)
        failed: list[BaseException] = []

        def refused() -> None:
            try:
                manager.execute(action(), lambda: 1)
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
    run(flavour, made, 1)
    clock.advance("1m")
    with pytest.raises(TimeoutError):
        run(flavour, made, 2, TimeoutError())
    info = flavour.get(made.cache_info())
    assert (info.current_size, info.max_size, info.utilization_percent) == (2, 8, 25.0)
    assert (info.oldest_entry, info.newest_entry) == (start, clock.now())
    made.configure(max_cache_size=None)
    info = flavour.get(made.cache_info())
    assert (info.max_size, info.utilization_percent) == (None, 0.0)


# ---------------------------------------------------------------- the background cleanup


def eventually(condition: Callable[[], bool], within: float = 10.0) -> bool:
    """Whether something that another thread does comes true in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("by_hand", [False, True])
def test_expired_records_are_removed_in_the_background(clock: ManualClock, by_hand: bool) -> None:
    with IdempotencyManager(clock=clock, cleanup_interval="20ms", lease="30ms") as manager:
        if by_hand:
            manager.mark_executed(key(), 1)
        else:
            manager.execute(action(), lambda: 1)
        clock.advance("24h")
        assert eventually(lambda: manager.stats().expired_cleaned == 1)


def test_nothing_is_removed_in_the_background_where_that_is_turned_off(clock: ManualClock) -> None:
    options: dict[str, Any] = {"clock": clock, "cleanup_interval": "10ms", "lease": "30ms"}
    with (
        IdempotencyManager(**options, enable_auto_cleanup=False) as manager,
        IdempotencyManager(**options) as stopped,
        IdempotencyManager(**options) as other,
    ):
        stopped.stop_auto_cleanup()
        stopped.configure(default_ttl="1h")
        for one in (manager, stopped, other):
            one.mark_executed(key(), 1)
            one.execute(action(2), lambda: 1)
        clock.advance("24h")
        # By the time that one manager has cleaned up twice, the others would have.
        assert eventually(lambda: other.stats().expired_cleaned == 2)
        other.mark_executed(key(3), 1)
        clock.advance("24h")
        assert eventually(lambda: other.stats().expired_cleaned == 3)
        assert manager.stats().expired_cleaned == stopped.stats().expired_cleaned == 0
        for one in (manager, stopped):
            one.start_auto_cleanup()
            assert eventually(lambda one=one: one.stats().expired_cleaned == 2)  # type: ignore[misc]


def test_the_thread_ends_with_the_manager() -> None:
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        pytest.skip("only Linux shows native threads as files")

    def name_of(task: Path) -> str:
        with suppress(OSError):  # it has ended meanwhile
            return (task / "comm").read_text()
        return ""

    def keepers() -> int:
        return sum(name_of(task).startswith("idempotency-kee") for task in tasks.iterdir())

    before = keepers()
    with IdempotencyManager() as manager:
        manager.execute(action(), lambda: 1)
        assert eventually(lambda: keepers() == before + 1)
    assert keepers() == before


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
        ({"store": "sqlite:///x.db"}, "store"),
        ({"store": "nowhere"}, "store"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_changes_nothing(
    manager: IdempotencyManager, fields: dict[str, Any], message: str
) -> None:
    before = manager.config
    manager.mark_executed(key(), 1)
    with pytest.raises(im.ConfigurationError) as caught:
        manager.configure(include_params_in_key=False, **fields)
    assert message in str(caught.value)
    assert manager.config == before
    assert manager.generate_key(action()) == key()
    assert manager.get_keys() == [key()]


def test_another_store_leaves_the_records_in_the_old_one(manager: IdempotencyManager) -> None:
    manager.mark_executed(key(), 1)
    manager.configure(default_ttl="1h")
    assert manager.get_keys() == [key()]
    manager.configure(clock=None)
    assert manager.get_keys() == []


def test_a_call_that_is_under_way_ends_in_the_store_it_began_in(
    manager: IdempotencyManager, clock: ManualClock
) -> None:
    def body() -> str:
        manager.configure(clock=None)
        return "done"

    assert manager.execute(action(), body) == "done"
    assert manager.get_keys() == []


@pytest.mark.parametrize("clock_", [type("Frozen", (), {"now": lambda self: datetime(2026, 5, 1, tzinfo=UTC)})()])
def test_a_clock_of_one_s_own_tells_the_time(clock_: Any) -> None:
    with IdempotencyManager(clock=clock_) as manager:
        manager.execute(action(), lambda: 1)
        assert manager.get_record(key()).executed_at == datetime(2026, 5, 1, tzinfo=UTC)


CALLS: dict[str, Callable[[Any], Any]] = {
    "execute": lambda manager: manager.execute(action(), lambda: 1),
    "aexecute": lambda manager: manager.aexecute(action(), lambda: 1),
    "claim": lambda manager: manager.claim(action()),
    "aclaim": lambda manager: manager.aclaim(action()),
    "generate_key": lambda manager: manager.generate_key(action()),
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
    assert names - others == set(CALLS)
    assert {name for name in dir(im.AsyncIdempotencyManager) if not name.startswith("_")} == names


def test_a_manager_is_a_context_manager_that_closes() -> None:
    with IdempotencyManager() as manager:
        manager.execute(action(), lambda: 1)
    with pytest.raises(im.IdempotencyError, match="closed"):
        manager.stats()

    async def within() -> im.AsyncIdempotencyManager:
        async with im.AsyncIdempotencyManager() as inner:
            await inner.execute(action(), lambda: 1)
        return inner

    with pytest.raises(im.IdempotencyError, match="closed"):
        asyncio.run(within()).claim(action())


def test_a_call_that_is_under_way_when_the_manager_closes_ends_as_it_would_have() -> None:
    manager = IdempotencyManager()

    def body() -> str:
        manager.close()
        return "done"

    assert manager.execute(action(), body) == "done"


def test_a_key_is_given_for_an_action_or_its_fields(manager: IdempotencyManager) -> None:
    assert manager.generate_key(action()) == manager.generate_key(**action()) == key()
    with pytest.raises(im.InvalidActionError, match="not both"):
        manager.generate_key(action(), target="x")
    with pytest.raises(im.InvalidActionError, match="signal_id"):
        manager.generate_key()


def test_the_repr_of_a_manager_names_its_store() -> None:
    assert repr(IdempotencyManager()) == "IdempotencyManager('memory://')"
    assert repr(im.AsyncIdempotencyManager("memory://")) == "AsyncIdempotencyManager('memory://')"
