"""What a reading says, on the memory and the SQLite store."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from idempotency_manager import (
    Action,
    AlreadyInProgressError,
    AsyncIdempotencyManager,
    IdempotencyError,
    IdempotencyManager,
)
from idempotency_manager.telemetry import Histogram, read

if TYPE_CHECKING:
    from pathlib import Path

    from idempotency_manager.testing import ManualClock

CARD = Action("evt_1", "create_card", "trello")
NAP = 0.002


def slow() -> str:
    time.sleep(NAP)
    return "done"


def test_nothing_is_measured_before_the_first_reading(watched: IdempotencyManager) -> None:
    watched.execute(CARD, slow)
    timings = read(watched).timings
    assert (timings.claims.count, timings.executions.count, timings.replays) == (0, 0, 0)


def test_a_reading_has_claims_executions_and_replays(watched: IdempotencyManager) -> None:
    read(watched)
    for _ in range(3):
        assert watched.execute(CARD, slow) == "done"
    reading = read(watched)
    assert reading.stats.duplicates_prevented == 2
    assert reading.cache_info.current_size == 1
    timings = reading.timings
    assert (timings.claims.count, timings.executions.count) == (3, 1)
    assert (timings.replays, timings.duplicates_prevented) == (2, 2)
    assert timings.executions.sum >= NAP
    assert timings.claims.sum > 0
    assert sum(timings.executions.counts[: timings.executions.bounds.index(NAP / 2) + 1]) == 0


def test_a_replay_saves_what_executions_of_its_action_have_taken(watched: IdempotencyManager) -> None:
    read(watched)
    watched.execute(CARD, slow)
    watched.execute(Action("evt_1", "post_message", "slack"), lambda: "quick")
    took = read(watched).timings.executions.sum
    watched.execute(CARD, slow)
    saved = read(watched).timings.time_saved.total_seconds()
    assert NAP <= saved <= took


def test_a_replay_of_an_action_that_never_ran_here_saves_nothing(watched: IdempotencyManager) -> None:
    watched.execute(CARD, slow)
    read(watched)
    watched.execute(CARD, slow)
    timings = read(watched).timings
    assert (timings.replays, timings.time_saved) == (1, timedelta())


def test_an_execution_that_raised_is_timed_and_saves_nobody_anything(watched: IdempotencyManager) -> None:
    read(watched)

    def fails() -> None:
        time.sleep(NAP)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the one that was raised
        watched.execute(CARD, fails)
    watched.execute(CARD, lambda: None)
    watched.execute(CARD, lambda: None)
    timings = read(watched).timings
    assert timings.executions.count == 2
    assert timings.time_saved.total_seconds() < NAP


def test_decorated_functions_claim_blocks_and_batches_are_timed(watched: IdempotencyManager) -> None:
    read(watched)

    @watched.idempotent(target="trello")
    def create_card(signal_id: str) -> str:
        return slow()

    create_card("a")
    create_card("a")
    with watched.claim(CARD) as attempt:
        time.sleep(NAP)
        attempt.complete(1)
    with watched.claim(Action("evt_2", "create_card", "trello")) as attempt:
        attempt.release()
    watched.execute_many([CARD, Action("evt_3", "create_card", "trello")], lambda _: slow())
    timings = read(watched).timings
    assert timings.claims.count == 6
    assert timings.executions.count == 3  # nothing was executed under the claim that was released
    assert timings.executions.sum >= 3 * NAP
    assert timings.replays == 2


def test_tasks_are_timed(tmp_path: Path) -> None:
    async def run() -> None:
        async with AsyncIdempotencyManager(f"sqlite:///{tmp_path}/jobs.db?synchronous=normal") as manager:
            await asyncio.to_thread(read, manager)

            @manager.idempotent(target="trello")
            async def create_card(signal_id: str) -> str:
                await asyncio.sleep(NAP)
                return "done"

            for _ in range(2):
                await create_card("a")
            timings = (await asyncio.to_thread(read, manager)).timings
            assert (timings.claims.count, timings.executions.count, timings.replays) == (2, 1, 1)
            assert timings.executions.sum >= NAP

    asyncio.run(run())


def test_executions_in_a_transaction_are_timed(manager: IdempotencyManager) -> None:
    read(manager)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for _ in range(2):
            manager.execute_in_transaction(connection, CARD, slow)
    timings = read(manager).timings
    assert (timings.executions.count, timings.replays) == (1, 1)
    assert timings.time_saved.total_seconds() >= NAP


def test_looks_and_callers_that_are_turned_away_are_duplicates_prevented(watched: IdempotencyManager) -> None:
    read(watched)
    key = watched.generate_key(CARD)

    def asks_elsewhere() -> None:
        with ThreadPoolExecutor(1) as elsewhere, pytest.raises(AlreadyInProgressError):
            elsewhere.submit(watched.execute, CARD, slow, on_concurrent="raise").result()

    watched.execute(CARD, asks_elsewhere)
    watched.check_executed(key)
    watched.check_executed("nothing:here:at:all")
    reading = read(watched)
    assert reading.timings.duplicates_prevented == reading.stats.duplicates_prevented == 2


def test_another_configuration_and_another_store_are_measured_on(watched: IdempotencyManager, tmp_path: Path) -> None:
    read(watched)
    watched.execute(CARD, slow)
    watched.configure(default_ttl="1h")
    watched.execute(CARD, slow)
    watched.configure(store=f"sqlite:///{tmp_path}/other.db?synchronous=normal")
    watched.execute(CARD, slow)
    timings = read(watched).timings
    assert (timings.claims.count, timings.executions.count, timings.replays) == (3, 2, 1)


def test_a_listener_hears_all_while_it_is_measured(watched: IdempotencyManager) -> None:
    heard: list[str] = []
    watched.configure(on_event=lambda event: heard.append(event.kind))
    read(watched)
    watched.execute(CARD, slow)
    watched.execute(CARD, slow)
    assert heard == ["executed", "replayed"]
    assert read(watched).timings.replays == 1


def test_of_many_hits_in_memory_some_are_timed_and_count_for_all(manager: IdempotencyManager) -> None:
    read(manager)
    calls = 10_000

    @manager.idempotent(target="trello")
    def create_card(signal_id: str) -> str:
        return "done"

    for _ in range(calls):
        create_card("a")
    timings = read(manager).timings
    assert timings.replays == calls - 1
    assert calls - 64 <= timings.claims.count <= calls


def test_a_forked_child_measures_anew(manager: IdempotencyManager) -> None:
    read(manager)
    manager.execute(CARD, slow)
    child = os.fork()
    if child == 0:
        manager.execute(CARD, slow)
        timings = read(manager).timings
        as_expected = (timings.claims.count, timings.executions.count, timings.replays) == (1, 0, 1)
        os._exit(0 if as_expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert read(manager).timings.claims.count == 1


def test_expired_records_that_this_process_removes_are_counted(watched: IdempotencyManager, clock: ManualClock) -> None:
    read(watched)
    watched.execute(CARD, slow, ttl="1h")
    clock.advance("2h")
    assert watched.cleanup_expired() == 1
    assert read(watched).timings.expired_cleaned == 1


def test_managers_on_one_server_share_its_counts_and_measure_for_themselves(redis_url: str) -> None:
    with IdempotencyManager(redis_url) as one, IdempotencyManager(redis_url) as other:
        read(one)
        read(other)
        one.execute(CARD, slow)
        other.execute(CARD, slow)
        other.close()  # tells the server what it has counted
        with IdempotencyManager(redis_url) as third:
            assert read(third).stats.duplicates_prevented == read(one).stats.duplicates_prevented == 1
            assert read(third).timings.replays == 0
        assert read(one).timings.executions.count == 1


def test_a_closed_manager_can_not_be_read(manager: IdempotencyManager) -> None:
    manager.close()
    with pytest.raises(IdempotencyError, match="closed"):
        read(manager)


def test_a_quantile_is_estimated_within_its_bucket() -> None:
    histogram = Histogram((0, 10, 10, 0), 30.0, (1.0, 2.0, 4.0))
    assert (histogram.count, histogram.mean) == (20, 1.5)
    assert [histogram.quantile(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1.0, 1.5, 2.0, 3.0, 4.0]


def test_what_is_longer_than_all_bounds_is_taken_for_the_highest() -> None:
    assert Histogram((0, 0, 0, 3), 30.0, (1.0, 2.0, 4.0)).quantile(0.5) == 4.0


def test_a_quantile_of_nothing_is_nothing() -> None:
    empty = Histogram((0, 0), 0.0, (1.0,))
    assert (empty.mean, empty.quantile(0.99)) == (0.0, 0.0)
