"""The Prometheus collector, scraped over HTTP and read by prometheus-client's own parser."""

from __future__ import annotations

import logging
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from idempotency_manager import Action, IdempotencyManager
from idempotency_manager.telemetry.prometheus import IdempotencyCollector
from idempotency_manager.testing import FaultPlan, ManualClock, inject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

CARD = Action("evt_1", "create_card", "trello")


class Served(NamedTuple):
    registry: CollectorRegistry
    url: str


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A registry that is served over HTTP, as prometheus-client does it."""
    registry = CollectorRegistry()
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield Served(registry, f"http://127.0.0.1:{server.server_port}/metrics")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def served(server: Served) -> Iterator[Served]:
    """It, with nothing in it."""
    yield server
    for collector in list(server.registry._collector_to_names):
        server.registry.unregister(collector)


def scraped(served: Served, accept: str = "text/plain") -> str:
    request = urllib.request.Request(served.url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def samples(families: Iterator[Metric], **labels: str) -> dict[str, float]:
    """What an exposition says, by name; of a bucket, by name and bound."""
    found = {}
    for family in families:
        for sample in family.samples:
            if labels.items() <= sample.labels.items():
                bound = sample.labels.get("le")
                found[f"{sample.name} {bound}" if bound else sample.name] = sample.value
    return found


def values(served: Served, **labels: str) -> dict[str, float]:
    return samples(text_string_to_metric_families(scraped(served)), **labels)


def test_a_scrape_has_what_the_manager_counts_and_measures(watched: IdempotencyManager, served: Served) -> None:
    IdempotencyCollector(watched, registry=served.registry)
    for _ in range(3):
        watched.execute(CARD, lambda: "done")
    found = values(served, manager="default", store=watched.config.store.partition(":")[0])
    expected = {
        "idempotency_up": 1,
        "idempotency_cache_size": 1,
        "idempotency_cache_max_size": 10,
        "idempotency_cache_utilization_ratio": 0.1,
        "idempotency_in_progress": 0,
        "idempotency_in_doubt": 0,
        "idempotency_cache_hits_total": 2,
        "idempotency_cache_misses_total": 1,
        "idempotency_duplicates_prevented_total": 2,
        "idempotency_expired_cleaned_total": 0,
        "idempotency_evicted_total": 0,
        "idempotency_replays_total": 2,
        "idempotency_claim_duration_seconds_count": 3,
        "idempotency_claim_duration_seconds_bucket +Inf": 3,
        "idempotency_execution_duration_seconds_count": 1,
        "idempotency_execution_duration_seconds_bucket 100.0": 1,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["idempotency_claim_duration_seconds_sum"] > 0
    assert found["idempotency_replay_saved_seconds_total"] > 0


def test_each_scrape_reads_anew(watched: IdempotencyManager, served: Served, clock: ManualClock) -> None:
    IdempotencyCollector(watched, registry=served.registry)
    assert values(served)["idempotency_cache_size"] == 0
    watched.execute(CARD, lambda: "done", ttl="1h")
    assert values(served)["idempotency_cache_size"] == 1
    clock.advance("2h")
    watched.cleanup_expired()
    assert values(served)["idempotency_expired_cleaned_total"] == 1


def test_openmetrics_is_spoken_too(watched: IdempotencyManager, served: Served) -> None:
    IdempotencyCollector(watched, registry=served.registry)
    watched.execute(CARD, lambda: "done")
    text = scraped(served, "application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    assert samples(parse_openmetrics(text))["idempotency_execution_duration_seconds_count"] == 1


def test_prometheus_finds_nothing_wrong_with_the_metrics(
    watched: IdempotencyManager, served: Served, promtool: Callable[..., str]
) -> None:
    IdempotencyCollector(watched, registry=served.registry)
    watched.execute(CARD, lambda: "done")
    assert promtool("check", "metrics", given=scraped(served)) == ""


def test_a_store_without_a_cap_has_no_greatest_size(served: Served) -> None:
    with IdempotencyManager(max_cache_size=None) as manager:
        IdempotencyCollector(manager, registry=served.registry)
        found = values(served)
    assert "idempotency_cache_max_size" not in found
    assert found["idempotency_cache_utilization_ratio"] == 0


def test_managers_are_told_apart_by_name(served: Served) -> None:
    with IdempotencyManager() as cards, IdempotencyManager() as mails:
        IdempotencyCollector({"cards": cards, "mails": mails}, registry=served.registry)
        cards.execute(CARD, lambda: "done")
        assert values(served, manager="cards")["idempotency_cache_size"] == 1
        assert values(served, manager="mails")["idempotency_cache_size"] == 0


def test_a_second_collector_in_one_registry_is_refused(watched: IdempotencyManager, served: Served) -> None:
    IdempotencyCollector(watched, registry=served.registry)
    with pytest.raises(ValueError, match="Duplicated"):
        IdempotencyCollector(watched, registry=served.registry)


def test_the_default_manager_is_the_one_at_the_time_of_the_scrape(manager: IdempotencyManager, served: Served) -> None:
    IdempotencyCollector(registry=served.registry)
    assert values(served)["idempotency_cache_size"] == 0
    manager.execute(CARD, lambda: "done")
    assert values(served)["idempotency_cache_size"] == 1


def test_a_store_out_of_reach_is_down_and_the_scrape_succeeds(
    manager: IdempotencyManager, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    IdempotencyCollector(manager, registry=served.registry)
    manager.execute(CARD, lambda: "done")
    plan = FaultPlan()
    inject(manager, plan)
    plan.fail_before("tally")
    with caplog.at_level(logging.WARNING, "idempotency_manager"):
        found = values(served)
    assert found["idempotency_up"] == 0
    assert found["idempotency_execution_duration_seconds_count"] == 1
    assert "idempotency_cache_size" not in found
    assert "could not read the store of manager default" in caplog.text
    assert values(served)["idempotency_up"] == 1


def test_a_closed_manager_is_left_out(served: Served) -> None:
    with IdempotencyManager() as manager:
        IdempotencyCollector(manager, registry=served.registry)
    assert values(served) == {}


def test_two_processes_on_one_server_report_its_counts_and_their_own_replays(redis_url: str, served: Served) -> None:
    with IdempotencyManager(redis_url) as one, IdempotencyManager(redis_url) as other:
        IdempotencyCollector({"one": one, "other": other}, registry=served.registry)
        one.execute(CARD, lambda: "done")
        one.execute(CARD, lambda: "done")
        here, there = values(served, manager="one"), values(served, manager="other")
    assert here["idempotency_cache_size"] == there["idempotency_cache_size"] == 1
    assert here["idempotency_cache_misses_total"] == there["idempotency_cache_misses_total"] == 1
    assert (here["idempotency_replays_total"], there["idempotency_replays_total"]) == (1, 0)


def test_the_address_of_a_store_is_in_no_metric(tmp_path: object, served: Served) -> None:
    with IdempotencyManager(f"sqlite:///{tmp_path}/secret-name.db") as manager:
        IdempotencyCollector(manager, registry=served.registry)
        assert b"secret-name" not in generate_latest(served.registry)
