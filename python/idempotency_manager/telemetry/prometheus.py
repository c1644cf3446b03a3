"""Metrics for Prometheus, through `prometheus-client`: `pip install 'idempotency-manager[prometheus]'`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from idempotency_manager._default import get_manager
from idempotency_manager.exceptions import IdempotencyError

from ._extra import missing_extra
from ._reading import is_closed, measure, read, scheme_of

try:
    from prometheus_client import REGISTRY
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
except ModuleNotFoundError as missing:
    raise missing_extra("idempotency_manager.telemetry.prometheus", "prometheus", missing) from missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager

    from ._reading import Histogram, Reading, Timings

    Manager = IdempotencyManager | AsyncIdempotencyManager

__all__ = ["IdempotencyCollector"]

_LOG = logging.getLogger("idempotency_manager")
_LABELS = ("manager", "store")


class IdempotencyCollector:
    """Reads managers whenever Prometheus scrapes, and does nothing in between.

    Args:
        managers: A manager of either kind, or several by their names, for the label `manager`; by default the default
            manager, whichever it is at the time of a scrape. A closed one is left out.
        registry: Where the collector registers itself; None to leave that to the caller.
    """

    def __init__(
        self,
        managers: Manager | Mapping[str, Manager] | None = None,
        *,
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        named = managers if isinstance(managers, Mapping) else {"default": managers}
        self._managers: dict[str, Manager | None] = dict(named)
        for manager in self._managers.values():
            if manager is not None:
                measure(manager)  # from now on, not from the first scrape on
        if registry is not None:
            registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Name the metrics without a look at any store; two collectors in one registry are refused by it."""
        return _Families().all()

    def collect(self) -> Iterator[Metric]:
        """Read every manager. Of one whose store is out of reach, `idempotency_up` is 0; its timings are there."""
        families = _Families()
        for name, given in self._managers.items():
            manager = get_manager() if given is None else given
            if not is_closed(manager):
                _add(families, [name, scheme_of(manager)], manager)
        return families.all()


class _Families:
    """The metrics, as yet without a sample."""

    def __init__(self) -> None:
        self.up = _gauge("up", "Whether the store answered.")
        self.size = _gauge("cache_size", "Live records in the store, of any state.")
        self.max_size = _gauge("cache_max_size", "How many records the store may hold; absent without a cap.")
        self.utilization = _gauge("cache_utilization_ratio", "Part of the room that is used; 0 without a cap.")
        self.in_progress = _gauge("in_progress", "Actions that are being executed.")
        self.in_doubt = _gauge("in_doubt", "Actions that were begun and never finished.")
        self.hits = _counter("cache_hits", "Look-ups that found a finished record, as the store counts them.")
        self.misses = _counter("cache_misses", "Look-ups that found none, as the store counts them.")
        self.prevented = _counter("duplicates_prevented", "Duplicate executions prevented, as the store counts them.")
        self.cleaned = _counter("expired_cleaned", "Expired records removed, as the store counts them.")
        self.evicted = _counter("evicted", "Live records dropped to make room, as the store counts them.")
        self.replays = _counter("replays", "Calls of this process that were answered from a record.")
        self.saved = _counter("replay_saved_seconds", "Execution time that replays have saved this process, estimated.")
        self.claims = _histogram("claim_duration_seconds", "How long the store took to answer claims of this process.")
        self.executions = _histogram("execution_duration_seconds", "How long executions of this process took.")

    def all(self) -> Iterator[Metric]:
        """Give them all."""
        return iter(vars(self).values())


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"idempotency_{name}", text, labels=_LABELS)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"idempotency_{name}", text, labels=_LABELS)


def _histogram(name: str, text: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"idempotency_{name}", text, labels=_LABELS)


def _add(families: _Families, labels: list[str], manager: Manager) -> None:
    try:
        reading = read(manager)
    except IdempotencyError as problem:
        if is_closed(manager):
            return
        _LOG.warning("a scrape could not read the store of manager %s: %s", labels[0], problem)
        families.up.add_metric(labels, 0)
        _add_timings(families, labels, measure(manager))
        return
    families.up.add_metric(labels, 1)
    _add_counts(families, labels, reading)
    _add_timings(families, labels, reading.timings)


def _add_counts(families: _Families, labels: list[str], reading: Reading) -> None:
    stats, info = reading.stats, reading.cache_info
    families.size.add_metric(labels, info.current_size)
    if info.max_size is not None:
        families.max_size.add_metric(labels, info.max_size)
    families.utilization.add_metric(labels, info.utilization_percent / 100)
    families.in_progress.add_metric(labels, stats.in_progress)
    families.in_doubt.add_metric(labels, stats.in_doubt)
    families.hits.add_metric(labels, stats.cache_hits)
    families.misses.add_metric(labels, stats.cache_misses)
    families.prevented.add_metric(labels, stats.duplicates_prevented)
    families.cleaned.add_metric(labels, stats.expired_cleaned)
    families.evicted.add_metric(labels, stats.evicted)


def _add_timings(families: _Families, labels: list[str], timings: Timings) -> None:
    families.replays.add_metric(labels, timings.replays)
    families.saved.add_metric(labels, timings.time_saved.total_seconds())
    for family, histogram in ((families.claims, timings.claims), (families.executions, timings.executions)):
        family.add_metric(labels, buckets=_buckets(histogram), sum_value=histogram.sum)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
