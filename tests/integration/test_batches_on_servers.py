"""Batches and moving records, on servers: one round trip for many, and the same records wherever they go."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import Action, IdempotencyManager
from idempotency_manager.moving import copy_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from servers import Proxy, RedisServer

STORES = ["redis_url", "redis_cluster", "postgres_url"]
DELAY = 0.02


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest) -> str:
    """A store that is empty."""
    found = request.getfixturevalue(request.param)
    return str(getattr(found, "url", found))


def actions(*numbers: int) -> list[Action]:
    return [Action(f"inv-{number}", "create_card", "trello", {"number": number}) for number in numbers]


def number_of(action: Action) -> Any:
    return action.params["number"]


def fail(action: Action) -> None:
    raise {0: KeyError("no such channel"), 1: TimeoutError("lost")}[action.params["number"]]


def test_each_action_of_a_batch_runs_once(url: str) -> None:
    with IdempotencyManager(url) as manager:
        given = actions(*range(250), 3, 3)
        first = manager.execute_many(given, number_of)
        assert [outcome.unwrap() for outcome in first] == [*range(250), 3, 3]
        assert [outcome.replayed for outcome in first] == [False] * 250 + [True] * 2
        again = asyncio.run(manager.aexecute_many(given, fail))
        assert [outcome.unwrap() for outcome in again] == [*range(250), 3, 3]
        found = manager.check_many([outcome.key or "" for outcome in first] + ["none:a:b:c"])
        assert [result.executed for result in found] == [True] * 252 + [False]
        stats = manager.stats()
        assert (stats.total_cached, stats.in_progress, stats.in_doubt) == (250, 0, 0)


def test_what_fails_and_what_others_are_at_is_each_s_own(url: str) -> None:
    with IdempotencyManager(url) as manager, IdempotencyManager(url) as other:
        with other.claim(actions(7)[0]) as attempt:
            given = [*actions(0, 1), *actions(7)]
            ran = asyncio.run(asyncio.to_thread(manager.execute_many, given, fail, on_concurrent="raise"))
            attempt.release()
        assert [type(outcome.error) for outcome in ran] == [KeyError, TimeoutError, im.AlreadyInProgressError]
        again = manager.execute_many(given, number_of)
        assert [type(outcome.error) for outcome in again] == [type(None), im.InDoubtError, type(None)]


def test_many_share_their_round_trips(redis_server: RedisServer, proxy_factory: Callable[[Any], Proxy]) -> None:
    proxy = proxy_factory(redis_server)
    count = 200
    with IdempotencyManager(proxy.through(redis_server.url)) as manager:
        manager.stats()
        proxy.delay(DELAY)
        began = time.monotonic()
        outcomes = manager.execute_many(actions(*range(count)), number_of)
        took = time.monotonic() - began
    assert all(outcome.error is None for outcome in outcomes)
    alone = 2 * count * 2 * DELAY
    assert took < alone / 3


def test_records_move_there_and_back(url: str, tmp_path: Path) -> None:
    with (
        IdempotencyManager(f"sqlite:///{tmp_path}/first.db", store_params=True) as first,
        IdempotencyManager(url) as server,
        IdempotencyManager(f"sqlite:///{tmp_path}/last.db") as last,
    ):
        first.execute_many(actions(*range(2, 20)), lambda action: {"id": b"x", "é": number_of(action)})
        first.execute_many(actions(0, 1), fail, replay_errors=(KeyError,))
        there = copy_records(first, server)
        assert (there.written, there.records, there.problem) == (20, 20, None)
        again = copy_records(first, server)
        assert (again.same, again.digest) == (20, there.digest)
        back = copy_records(server, last)
        assert (back.written, back.digest, back.problem) == (20, there.digest, None)
        for manager in (server, last):
            replayed = manager.execute_many(actions(*range(20)), fail, replay_errors=(KeyError,))
            assert [outcome.replayed for outcome in replayed] == [True, False] + [True] * 18
            assert isinstance(replayed[1].error, im.InDoubtError)
            assert replayed[5].result == {"id": b"x", "é": 5}
