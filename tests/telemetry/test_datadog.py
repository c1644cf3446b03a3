"""DogStatsD, as a socket receives it."""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from datadog.dogstatsd.base import DogStatsd

from idempotency_manager import Action, ConfigurationError, IdempotencyManager
from idempotency_manager.telemetry.datadog import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idempotency_manager.testing import ManualClock

CARD = Action("evt_1", "create_card", "trello")


class Server:
    """A UDP socket, and a client that sends to it at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(10)
        port = self._socket.getsockname()[1]
        self.client = DogStatsd(host="127.0.0.1", port=port, disable_telemetry=True, disable_buffering=True)

    def received(self, count: int = 6) -> list[str]:
        """As many metrics as one reading has."""
        return [self._socket.recv(4096).decode().strip() for _ in range(count)]

    def metrics(self) -> dict[str, tuple[str, str]]:
        """Value and kind of each metric of one reading."""
        found = {}
        for line in self.received():
            name, _, rest = line.partition(":")
            value, kind, *_ = rest.split("|")
            found[name] = (value, kind)
        return found

    def close(self) -> None:
        self.client.close_socket()
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_a_reading_has_the_names_that_datadog_users_know(watched: IdempotencyManager, server: Server) -> None:
    with report(watched, interval="1h", client=server.client):
        for _ in range(4):
            watched.execute(CARD, lambda: "done")
    assert server.metrics() == {
        "idempotency.cache.size": ("1", "g"),
        "idempotency.cache.hit_rate": ("75.0", "g"),
        "idempotency.cache.utilization": ("10.0", "g"),
        "idempotency.in_doubt": ("0", "g"),
        "idempotency.duplicates.prevented": ("3", "c"),
        "idempotency.expired_cleaned": ("0", "c"),
    }


def test_every_metric_has_the_tags(watched: IdempotencyManager, server: Server) -> None:
    report(watched, interval="1h", client=server.client, name="cards", tags=["service:billing"]).close()
    scheme = watched.config.store.partition(":")[0]
    assert {line.rpartition("|")[2] for line in server.received()} == {f"#manager:cards,store:{scheme},service:billing"}


def test_counts_are_what_has_come_since_the_last_time(
    watched: IdempotencyManager, server: Server, clock: ManualClock
) -> None:
    sums: dict[str, int] = defaultdict(int)
    with report(watched, interval="20ms", client=server.client):
        watched.execute(CARD, lambda: "done", ttl="1h")
        for _ in range(3):
            watched.execute(CARD, lambda: "done")
            add(sums, server.metrics())
        clock.advance("2h")
        watched.cleanup_expired()
        while sums["idempotency.expired_cleaned"] < 1:
            add(sums, server.metrics())
        add(sums, server.metrics())
    assert sums == {"idempotency.duplicates.prevented": 3, "idempotency.expired_cleaned": 1}


def add(sums: dict[str, int], metrics: dict[str, tuple[str, str]]) -> None:
    for name, (value, kind) in metrics.items():
        if kind == "c":
            sums[name] += int(value)


def test_counts_that_are_reset_are_not_sent_as_negative(
    manager: IdempotencyManager, server: Server, clock: ManualClock
) -> None:
    with report(manager, interval="20ms", client=server.client):
        for number in range(2):
            manager.execute(Action(str(number), "a", "b"), lambda: 1, ttl="1h")
        clock.advance("2h")
        manager.cleanup_expired()
        while server.metrics()["idempotency.expired_cleaned"] != ("2", "c"):
            pass
        manager.reset_stats()
        assert server.metrics()["idempotency.expired_cleaned"] == ("0", "c")


def test_a_forked_child_sends_its_own_counts_only(
    manager: IdempotencyManager, server: Server, clock: ManualClock
) -> None:
    manager.execute(CARD, lambda: "done", ttl="1h")
    with report(manager, interval="1h", client=server.client) as reporter:
        clock.advance("2h")
        manager.cleanup_expired()
        child = os.fork()
        if child == 0:
            manager.execute(CARD, lambda: "done")
            manager.execute(CARD, lambda: "done")
            reporter.close()
            os._exit(0)
        os.waitpid(child, 0)
        metrics = server.metrics()
    assert metrics["idempotency.duplicates.prevented"] == ("1", "c")
    assert metrics["idempotency.expired_cleaned"] == ("0", "c")


def test_processes_that_share_a_store_send_each_their_own_counts(redis_url: str, server: Server) -> None:
    with IdempotencyManager(redis_url) as one, IdempotencyManager(redis_url) as other:
        reporters = [report(each, interval="1h", client=server.client) for each in (one, other)]
        for _ in range(3):
            one.execute(CARD, lambda: "done")
        other.execute(CARD, lambda: "done")
        sums: dict[str, int] = defaultdict(int)
        for reporter in reporters:
            reporter.close()
            add(sums, server.metrics())
    assert sums["idempotency.duplicates.prevented"] == 3


def test_an_interval_that_is_none_is_refused(manager: IdempotencyManager, server: Server) -> None:
    with pytest.raises(ConfigurationError, match="interval"):
        report(manager, interval=0, client=server.client)
