"""The managers' look-ups and their housekeeping, on both managers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State
from tests.unit.cards import key_of, run_numbered
from tests.unit.flavours import Flavour, both_flavours

if TYPE_CHECKING:
    from idempotency_manager.testing import ManualClock


@pytest.fixture
def made(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A manager of the test's flavour."""
    return request.getfixturevalue("flavour").manager_class(clock=clock)


# ---------------------------------------------------------------- look


@pytest.fixture
def stocked(request: pytest.FixtureRequest, made: Any) -> Any:
    """A manager with records of several actions, targets, signals and states."""
    flavour = request.getfixturevalue("flavour")
    run_numbered(flavour, made, 1)
    run_numbered(flavour, made, 1, target="slack")
    run_numbered(flavour, made, 2, action="notify", target="slack")
    made.configure(replay_errors=(LookupError,))
    for number, error in ((3, TimeoutError()), (4, LookupError())):
        with pytest.raises(type(error)):
            run_numbered(flavour, made, number, error)
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
        "create": {key_of(1), key_of(1, target="slack"), key_of(3), key_of(4)},
        "slack": {key_of(1, target="slack"), key_of(2, action="notify", target="slack")},
        "s1": {key_of(1), key_of(1, target="slack")},
        "none": set(),
    }


@both_flavours
def test_all_keys_or_those_that_a_filter_takes(flavour: Flavour, stocked: Any) -> None:
    assert len(flavour.get(stocked.get_keys())) == 5
    assert flavour.get(stocked.get_keys(lambda record: record.state is State.IN_DOUBT)) == [key_of(3)]
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
        flavour.get(made._core.mark(key_of(number), number, None, {}))
    for wanted in ({}, {"action_type": "create"}):
        records = flavour.items(made.iter_records(**wanted))
        assert sorted(record.result for record in records) == list(range(1_203))
    assert len(flavour.get(made.get_keys())) == 1_203


def test_records_may_go_while_they_are_iterated_over(manager: IdempotencyManager) -> None:
    for number in range(5):
        manager.mark_executed(key_of(number), number)
    for record in manager.iter_records(action_type="create"):
        assert manager.clear_key(record.key)
    assert manager.get_keys() == []


@both_flavours
def test_what_expires_soon_comes_in_the_order_it_does(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    for number, ttl in enumerate(["50m", "2h", "10m", "30m", "59m"]):
        flavour.get(made.mark_executed(key_of(number), number, ttl))
    with pytest.raises(TimeoutError):
        run_numbered(flavour, made, 9, TimeoutError())
    assert [record.result for record in flavour.get(made.get_expiring_soon())] == [2, 3, 0, 4]
    assert [record.result for record in flavour.get(made.get_expiring_soon("30m"))] == [2, 3]
    assert [record.result for record in flavour.get(made.get_expiring_soon(timedelta(hours=3)))] == [2, 3, 0, 4, 1]
    clock.advance("10m")
    assert [record.result for record in flavour.get(made.get_expiring_soon(1200))] == [3]
    with pytest.raises(im.ConfigurationError, match="within"):
        flavour.get(made.get_expiring_soon("soon"))


@both_flavours
def test_an_expired_record_is_gone_for_every_reader(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    run_numbered(flavour, made)
    clock.advance("24h")
    assert flavour.get(made.get_record(key_of())) is None
    assert not flavour.get(made.check_executed(key_of())).executed
    assert flavour.get(made.get_keys()) == flavour.get(made.find_keys_by_signal_id("s1")) == []
    assert flavour.items(made.iter_records()) == flavour.get(made.get_expiring_soon("365d")) == []
    assert flavour.get(made.stats()).total_cached == flavour.get(made.cache_info()).current_size == 0
    assert flavour.get(made.clear_key(key_of())) is False


# ---------------------------------------------------------------- keep house


@both_flavours
def test_cleaning_up_removes_what_has_expired_and_counts_it(flavour: Flavour, made: Any, clock: ManualClock) -> None:
    for number in range(3):
        flavour.get(made.mark_executed(key_of(number), number, f"{number + 1}h"))
    clock.advance("2h")
    assert flavour.get(made.cleanup_expired()) == 2
    assert flavour.get(made.cleanup_expired()) == 0
    stats = flavour.get(made.stats())
    assert (stats.expired_cleaned, stats.total_cached, stats.evicted) == (2, 1, 0)


@both_flavours
def test_the_oldest_are_those_that_finished_first(flavour: Flavour, made: Any) -> None:
    for number in range(5):
        flavour.get(made.mark_executed(key_of(number), number))
    flavour.get(made.mark_executed(key_of(0), 0))
    with pytest.raises(TimeoutError):
        run_numbered(flavour, made, 9, TimeoutError())
    assert flavour.get(made.cleanup_oldest_entries(0)) == 0
    assert flavour.get(made.cleanup_oldest_entries(2)) == 2
    assert set(flavour.get(made.get_keys())) == {key_of(3), key_of(4), key_of(0), key_of(9)}
    assert flavour.get(made.cleanup_oldest_entries(10)) == 3
    assert flavour.get(made.get_keys()) == [key_of(9)]
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
    assert run_numbered(flavour, stocked, 3) == "done"


@both_flavours
def test_everything_is_cleared_and_counted(flavour: Flavour, stocked: Any, clock: ManualClock) -> None:
    clock.advance("24h")
    run_numbered(flavour, stocked, 8)
    assert flavour.get(stocked.clear_all()) == 2
    assert flavour.get(stocked.clear_all()) == 0
    assert flavour.get(stocked.get_keys()) == []


@both_flavours
def test_a_full_cache_evicts_the_oldest_fifth_of_what_is_finished(flavour: Flavour, made: Any) -> None:
    made.configure(max_cache_size=10)
    with pytest.raises(TimeoutError):
        run_numbered(flavour, made, 0, TimeoutError())
    for number in range(1, 10):
        run_numbered(flavour, made, number)
    assert flavour.get(made.stats()).evicted == 0
    run_numbered(flavour, made, 10)
    left = {record.signal_id for record in flavour.items(made.iter_records())}
    assert left == {"s0", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10"}
    assert flavour.get(made.stats()).evicted == 2


@both_flavours
def test_expired_records_make_room_before_live_ones_are_evicted(
    flavour: Flavour, made: Any, clock: ManualClock
) -> None:
    made.configure(max_cache_size=2)
    flavour.get(made.mark_executed(key_of(1), 1, "2h"))
    flavour.get(made.mark_executed(key_of(2), 2, "1h"))
    clock.advance("1h")
    run_numbered(flavour, made, 3)
    stats = flavour.get(made.stats())
    assert (stats.evicted, stats.expired_cleaned, stats.total_cached) == (0, 1, 2)


@both_flavours
def test_a_full_cache_may_refuse_instead_and_then_nothing_runs(flavour: Flavour, made: Any) -> None:
    made.configure(max_cache_size=1, on_full="raise")
    run_numbered(flavour, made, 1)
    with pytest.raises(im.CacheFullError, match="max_cache_size"):
        run_numbered(flavour, made, 2, AssertionError("ran"))
    with pytest.raises(im.CacheFullError):
        flavour.get(made.mark_executed(key_of(2), 1))
    assert run_numbered(flavour, made, 1, AssertionError("ran")) == "done"
    flavour.get(made.mark_executed(key_of(1), "again"))


@both_flavours
def test_a_cache_of_doubts_can_evict_nothing(flavour: Flavour, made: Any) -> None:
    made.configure(max_cache_size=1)
    with pytest.raises(TimeoutError):
        run_numbered(flavour, made, 1, TimeoutError())
    with pytest.raises(im.CacheFullError, match="in doubt"):
        run_numbered(flavour, made, 2, AssertionError("ran"))
