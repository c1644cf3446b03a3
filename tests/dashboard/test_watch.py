"""What a watch shows of a store, without any screen."""

from __future__ import annotations

from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from idempotency_manager import Action, IdempotencyManager, State, StoreUnavailableError
from idempotency_manager.dashboard._live import Live
from idempotency_manager.dashboard._model import Counters, Doubts, Held, Point, Sample, thinned
from idempotency_manager.dashboard._settle import NotSettledError, settle
from idempotency_manager.dashboard._watch import SHARE, SMOOTHED, Watch
from idempotency_manager.testing import FaultPlan, inject

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.dashboard._model import Snapshot
    from idempotency_manager.testing import ManualClock

    from .conftest import Ticks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_an_empty_store_has_nothing_to_show(watch: Watch) -> None:
    snapshot = watch.look()
    assert (snapshot.counters, snapshot.counters.hit_rate) == (Counters(), None)
    assert (snapshot.hottest, snapshot.retried, snapshot.expiring, snapshot.history) == ((), (), (), ())
    assert (snapshot.held, snapshot.doubts) == (None, None)
    watch.count()
    snapshot = watch.look()
    assert snapshot.held is not None
    assert (snapshot.held.size, snapshot.doubts) == (0, Doubts())


def test_the_hottest_keys_come_first(watch: Watch, keys: dict[str, str]) -> None:
    hottest = watch.look().hottest
    assert (hottest[0].key, hottest[0].attempts) == (keys["hottest"], 8)
    assert [entry.attempts for entry in hottest] == [8, 7, 6, 5, 4, 3, 2], "what was asked for once is not hot"


def test_a_signal_is_as_hot_as_its_actions_together(manager: IdempotencyManager, watch: Watch) -> None:
    for target, calls in (("trello", 3), ("slack", 2), ("mail", 1)):
        for _ in range(calls):
            manager.execute(Action("one", "post", target), lambda: 1)
    manager.execute(Action("two", "post", "mail"), lambda: 1)
    (signal,) = watch.look().retried
    assert (signal.signal_id, signal.keys, signal.calls, signal.retries) == ("one", 3, 6, 3)


def test_a_key_stays_hot_when_it_is_no_longer_among_the_newest(
    manager: IdempotencyManager, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idempotency_manager.dashboard._watch.SAMPLE", 3)
    hot = Action("hot", "post", "mail")
    for _ in range(4):
        manager.execute(hot, lambda: 1)
    watch.look()
    for number in range(5):
        manager.execute(Action(f"new-{number}", "post", "mail"), lambda: 1)
    manager.execute(hot, lambda: 1)
    (entry,) = watch.look().hottest
    assert (entry.signal_id, entry.attempts) == ("hot", 5), "looked up anew"
    manager.clear_key(entry.key)
    assert watch.look().hottest == ()


def test_what_is_forgotten_next_comes_first(watch: Watch, clock: ManualClock, keys: dict[str, str]) -> None:
    left = [round((entry.expires_at - clock.now()).total_seconds()) for entry in watch.look().expiring]
    assert left == [598 + 60 * number for number in range(8)]
    clock.advance(630)
    assert len(watch.look().expiring) == 7


def test_doubts_are_shown_the_oldest_first(manager: IdempotencyManager, watch: Watch, keys: dict[str, str]) -> None:
    watch.count()
    doubts = watch.look().doubts
    assert doubts is not None
    assert [entry.key for entry in doubts.entries] == [keys["hostile"], keys["plain"]]
    assert {entry.state for entry in doubts.entries} == {State.IN_DOUBT}
    assert (doubts.total, doubts.entries[0].error) == (2, "TimeoutError: read timed out")


def test_a_lapsed_claim_is_shown_as_in_doubt(manager: IdempotencyManager, watch: Watch, clock: ManualClock) -> None:
    block = manager.claim(Action("s", "a", "t"))
    copy_context().run(block.__enter__)  # claimed, and never heard of again: this context goes on without it
    clock.advance("1h")
    watch.count()
    doubts = watch.look().doubts
    assert doubts is not None
    assert doubts.total == 1


def test_points_are_of_what_happened_meanwhile(watch: Watch, ticks: Ticks, lookups: Callable[[int, int], None]) -> None:
    lookups(5, 5)
    assert watch.look().history == ()
    ticks.at += 2
    lookups(6, 2)
    (point,) = watch.look().history
    assert (point.hit_rate, point.duplicates_per_second) == (75.0, 3.0)
    ticks.at += SMOOTHED
    assert [(one.hit_rate, one.duplicates_per_second) for one in watch.look().history[1:]] == [(None, 0.0)]


def test_statistics_that_are_reset_begin_anew(
    manager: IdempotencyManager, watch: Watch, ticks: Ticks, lookups: Callable[[int, int], None]
) -> None:
    lookups(5, 5)
    watch.look()
    manager.reset_stats()
    ticks.at += 2
    assert watch.look().history == (), "a negative rate is none"
    ticks.at += 2
    lookups(1, 0)
    assert [point.hit_rate for point in watch.look().history] == [100.0]


def test_utilisation_is_of_the_cap(clock: ManualClock) -> None:
    with IdempotencyManager(clock=clock, max_cache_size=40) as manager:
        for number in range(10):
            manager.mark_executed(f"key-{number}", result=1)
        watch = Watch(manager, now=clock.now)
        watch.look()
        watch.count()
        held = watch.look().held
    assert held is not None
    assert (held.size, held.utilization) == (10, 25.0)
    assert replace(held, max_size=None).utilization is None


def test_a_count_that_takes_long_is_seldom(
    manager: IdempotencyManager, watch: Watch, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch.wait_to_count() == 0
    watch.count()
    assert watch.wait_to_count() == 2, "as often as it looks"
    find = watch.find_doubts

    def slowly() -> Doubts:
        ticks.at += 3
        return find()

    monkeypatch.setattr(watch, "find_doubts", slowly)
    watch.count()
    assert watch.wait_to_count() == pytest.approx(3 / SHARE)


def test_a_store_that_does_not_answer_is_told_of_and_the_last_look_stays(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    before = watch.look()
    plan = FaultPlan()
    inject(manager, plan)
    plan.fail_before("glance", times=1)
    failed = watch.look()
    assert failed.problem is not None
    assert failed.problem.startswith("StoreUnavailableError: ")
    assert (failed.hottest, failed.taken_at) == (before.hottest, before.taken_at)
    assert watch.look().problem is None


def test_a_first_look_that_fails_is_an_error(manager: IdempotencyManager, watch: Watch) -> None:
    plan = FaultPlan()
    inject(manager, plan)
    plan.fail_before("glance", times=1)
    with pytest.raises(StoreUnavailableError):
        watch.look()


# ---------------------------------------------------------------- the two ways out


def test_what_happened_is_settled_with_its_result(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    watch.count()
    assert settle(watch, keys["plain"], '{"id": {"$bytes": "YzI="}}').startswith("Recorded: it happened.")
    assert manager.check_executed(keys["plain"]).cached_result == {"id": b"c2"}
    doubts = watch.look().doubts
    assert doubts is not None
    assert [entry.key for entry in doubts.entries] == [keys["hostile"]]


def test_what_did_not_happen_may_run_again(manager: IdempotencyManager, watch: Watch, keys: dict[str, str]) -> None:
    assert settle(watch, keys["plain"], None).startswith("Recorded: it did not happen.")
    assert manager.get_record(keys["plain"]) is None


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", '{"a": 1, "a": 2}', '{"$bytes": "?"}', "[" * 100_000], ids=lambda text: text[:20]
)
def test_what_is_no_json_changes_nothing(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str], text: str
) -> None:
    with pytest.raises(NotSettledError, match="the result is no JSON"):
        settle(watch, keys["plain"], text)
    assert len(manager.get_in_doubt()) == 2


def test_what_others_have_settled_meanwhile_is_left_as_it_is(
    manager: IdempotencyManager, watch: Watch, keys: dict[str, str]
) -> None:
    watch.count()
    manager.resolve_in_doubt(keys["plain"], result="theirs")
    with pytest.raises(NotSettledError, match="it is completed by now"):
        settle(watch, keys["plain"], "1")
    assert manager.check_executed(keys["plain"]).cached_result == "theirs"


# ---------------------------------------------------------------- stores, threads, words


@pytest.mark.parametrize("server", ["redis_server", "postgres_url"])
def test_a_server_is_watched_as_a_file_is(server: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(server)
    with IdempotencyManager(found if isinstance(found, str) else found.url) as manager:
        for calls in (1, 2, 3):
            for _ in range(calls):
                manager.execute(Action(f"s{calls}", "post", "mail"), lambda: 1)
        watch = Watch(manager)
        watch.look()
        watch.count()
        snapshot = watch.look()
    assert [entry.attempts for entry in snapshot.hottest] == [3, 2]
    assert len(snapshot.expiring) == 3
    assert snapshot.held is not None
    assert (snapshot.held.size, snapshot.counters.misses, snapshot.counters.hits) == (3, 3, 3)


def test_a_live_watch_counts_by_itself_and_looks_when_nudged(watch: Watch, keys: dict[str, str]) -> None:
    from queue import SimpleQueue

    told: SimpleQueue[Snapshot] = SimpleQueue()
    watch.interval = timedelta(hours=1)
    watch.look()
    live = Live(watch, told.put)
    live.start()
    first = told.get(timeout=20)  # it has counted, and looks once more to show it
    live.pause(paused=True)
    live.nudge()
    second = told.get(timeout=20)
    live.stop()
    assert isinstance(first.held, Held)
    assert isinstance(second.held, Held)


def test_a_long_history_is_thinned_from_its_end() -> None:
    history = [Point(NOON + timedelta(seconds=at), None if at == 1 else float(at), float(at)) for at in range(7)]
    assert thinned(history, 10) == tuple(history)
    thin = thinned(history, 3)
    assert [point.at for point in thin] == [history[at].at for at in (0, 3, 6)]
    assert [point.duplicates_per_second for point in thin] == [0.0, 2.0, 5.0]
    assert [point.hit_rate for point in thin] == [0.0, 2.5, 5.0]


def test_a_sample_says_what_it_is_of() -> None:
    assert str(Sample(2_000, is_newest=True)).startswith("of the 2,000 newest records")
    assert "so far" in str(Sample(1_000, is_newest=False))
    assert "since the last time around" in str(Sample(1_000, is_newest=False, passes=2))
