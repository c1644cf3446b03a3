"""Copies of completed records in a process, of records that lie on Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from idempotency_manager import IdempotencyManager, ParamsMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import RedisServer

SOON = 5.0


def until(happened: Callable[[], bool]) -> None:
    """Wait for what comes a moment later, as news from a server do."""
    end = time.monotonic() + SOON
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Caller:
    """A helper that a process calls, and how often it ran."""

    def __init__(self, url: str, namespace: str) -> None:
        self.manager = IdempotencyManager(url, namespace=namespace)
        self.runs = 0

    def call(self) -> int:
        return self.manager.execute({"signal_id": "s", "action": "a", "target": "t", "params": {}}, self._run)

    def _run(self) -> int:
        self.runs += 1
        return self.runs

    def key(self) -> str:
        return self.manager.generate_key(signal_id="s", action="a", target="t", params={})


def scripts_run(server: RedisServer) -> int:
    return int(server.info("commandstats").get("cmdstat_evalsha", "calls=0").partition("calls=")[2].partition(",")[0])


@pytest.fixture
def callers(redis_server: RedisServer, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Caller]]:
    made: list[Caller] = []

    def make(copies: str) -> Caller:
        separator = "&" if "?" in redis_server.url else "?"
        url = redis_server.url + (f"{separator}local_copies={copies}" if copies else "")
        made.append(Caller(url, request.node.name))
        return made[-1]

    yield make
    for caller in made:
        caller.manager.close()


@pytest.mark.parametrize("copies", ["on", "1h"])
def test_a_duplicate_of_a_copy_costs_no_round_trip_and_is_counted(
    callers: Callable[[str], Caller], redis_server: RedisServer, copies: str
) -> None:
    caller = callers(copies)
    caller.call()
    caller.call()
    before = scripts_run(redis_server)
    for _ in range(10):
        assert caller.call() == 1
    assert scripts_run(redis_server) == before
    record = caller.manager.get_record(caller.key())
    assert record is not None
    assert record.attempt_count == 12
    assert caller.manager.stats().duplicates_prevented == 11


def test_without_being_asked_for_there_are_none(callers: Callable[[str], Caller], redis_server: RedisServer) -> None:
    caller = callers("")
    caller.call()
    before = scripts_run(redis_server)
    caller.call()
    assert scripts_run(redis_server) > before


def test_a_clear_elsewhere_is_seen(callers: Callable[[str], Caller]) -> None:
    caller, elsewhere = callers("on"), callers("")
    caller.call()
    assert caller.call() == 1
    elsewhere.manager.clear_key(elsewhere.key())
    until(lambda: caller.call() == 2)


def test_a_mark_elsewhere_is_seen(callers: Callable[[str], Caller]) -> None:
    caller, elsewhere = callers("on"), callers("")
    caller.call()
    assert caller.call() == 1
    elsewhere.manager.mark_executed(elsewhere.key(), 7)
    until(lambda: caller.call() == 7)


def test_a_clear_of_all_elsewhere_is_seen(callers: Callable[[str], Caller]) -> None:
    caller, elsewhere = callers("on"), callers("")
    caller.call()
    assert caller.call() == 1
    elsewhere.manager.clear_all()
    until(lambda: caller.call() == 2)


def test_what_changed_while_the_connection_was_lost_is_seen(
    callers: Callable[[str], Caller], redis_server: RedisServer
) -> None:
    caller, elsewhere = callers("on"), callers("")
    caller.call()
    assert caller.call() == 1
    redis_server.command("CLIENT", "KILL", "TYPE", "normal")
    elsewhere.manager.clear_key(elsewhere.key())
    until(lambda: caller.call() == 2)
    assert caller.call() == 2


def test_an_own_clear_is_seen_at_once(callers: Callable[[str], Caller]) -> None:
    caller = callers("on")
    caller.call()
    caller.call()
    caller.manager.clear_key(caller.key())
    assert caller.call() == 2


def test_a_copy_is_believed_until_its_age(callers: Callable[[str], Caller]) -> None:
    caller, elsewhere = callers("300ms"), callers("")
    caller.call()
    assert caller.call() == 1
    elsewhere.manager.clear_key(elsewhere.key())
    assert caller.call() == 1
    until(lambda: caller.call() == 2)


def test_other_params_are_a_mismatch_for_a_copy_too(redis_server: RedisServer, request: pytest.FixtureRequest) -> None:
    url = f"{redis_server.url}{'&' if '?' in redis_server.url else '?'}local_copies=on"
    with IdempotencyManager(
        url, namespace=request.node.name, include_params_in_key=False, verify_params=True
    ) as manager:
        action = {"signal_id": "s", "action": "a", "target": "t", "params": {"n": 1}}
        for _ in range(3):
            assert manager.execute(action, lambda: 1) == 1
        with pytest.raises(ParamsMismatchError):
            manager.execute({**action, "params": {"n": 2}}, lambda: 1)
