"""DogStatsD, through the `datadog` package: `pip install 'idempotency-manager[datadog]'`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._every import Reporter
from ._extra import missing_extra
from ._reading import is_local, scheme_of

try:
    from datadog.dogstatsd.base import statsd as default_client
except ModuleNotFoundError as missing:
    raise missing_extra("idempotency_manager.telemetry.datadog", "datadog", missing) from missing

from idempotency_manager._default import get_manager

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datadog.dogstatsd.base import DogStatsd

    from idempotency_manager import AsyncIdempotencyManager, Duration, IdempotencyManager

    from ._reading import Reading

__all__ = ["report"]


def report(
    manager: IdempotencyManager | AsyncIdempotencyManager | None = None,
    *,
    interval: Duration = 10,
    client: DogStatsd | None = None,
    name: str = "default",
    tags: Iterable[str] = (),
) -> Reporter:
    """Send a manager's metrics to a DogStatsD server at every interval, and once more at the end.

    Gauges: `idempotency.cache.size` (records), `idempotency.cache.hit_rate` and `idempotency.cache.utilization`
    (percent), `idempotency.in_doubt` (records). Counts, of what has come since the last time:
    `idempotency.duplicates.prevented` and `idempotency.expired_cleaned`, both of this process alone, so that the sum
    over processes that share a store is right.

    Args:
        manager: Of either kind; by default the default manager, as it is now.
        interval: How long to wait between two times: 10, "10s", a timedelta.
        client: By default `datadog.statsd`, which `datadog.initialize` and the `DD_…` variables set.
        name: The tag `manager`, to tell managers apart.
        tags: Further tags: "service:billing".

    Raises:
        ConfigurationError: The interval is no duration, or not positive.
    """
    manager = get_manager() if manager is None else manager
    all_tags = [f"manager:{name}", f"store:{scheme_of(manager)}", *tags]
    sender = _Sender(default_client if client is None else client, all_tags, local=is_local(manager))
    return Reporter(interval, sender, manager)


class _Sender:
    """Sends readings, counts as differences from the one before."""

    def __init__(self, client: DogStatsd, tags: list[str], *, local: bool) -> None:
        self._client = client
        self._tags = tags
        self._local = local
        self._process = os.getpid()
        self._prevented = 0
        self._cleaned: int | None = 0

    def __call__(self, reading: Reading) -> None:
        if os.getpid() != self._process:
            # A forked child measures anew, but its memory store still has the parent's counts.
            self._process, self._prevented = os.getpid(), 0
            self._cleaned = None if self._local else 0
        stats, timings = reading.stats, reading.timings
        self._client.gauge("idempotency.cache.size", reading.cache_info.current_size, tags=self._tags)
        self._client.gauge("idempotency.cache.hit_rate", stats.hit_rate, tags=self._tags)
        self._client.gauge("idempotency.cache.utilization", reading.cache_info.utilization_percent, tags=self._tags)
        self._client.gauge("idempotency.in_doubt", stats.in_doubt, tags=self._tags)
        prevented = timings.duplicates_prevented
        self._count("idempotency.duplicates.prevented", prevented - self._prevented)
        # The memory store counts what it removes as it is met, too; what a shared one counts, any process has done.
        cleaned = stats.expired_cleaned if self._local else timings.expired_cleaned
        before = cleaned if self._cleaned is None else self._cleaned
        self._count("idempotency.expired_cleaned", cleaned - before if cleaned >= before else cleaned)
        self._prevented, self._cleaned = prevented, cleaned

    def _count(self, metric: str, value: int) -> None:
        self._client.count(metric, value, tags=self._tags)
