"""What somebody should look at: the same conditions as in the shipped Prometheus rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from idempotency_manager._default import get_manager

if TYPE_CHECKING:
    from idempotency_manager import AsyncIdempotencyManager, CacheInfo, IdempotencyManager, IdempotencyStats

AlertName = Literal["IdempotencyLowHitRate", "IdempotencyNearlyFull", "IdempotencyInDoubt"]
MIN_HIT_RATE = 50.0
"""In percent."""
MIN_LOOKUPS = 100
"""A hit rate of fewer look-ups says nothing."""
MAX_UTILIZATION = 90.0
"""In percent."""


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds.

    Attributes:
        name: As the alert is called in the shipped Prometheus rules.
        severity: How soon somebody should look.
        value: What was found.
        threshold: What it should not have passed.
        message: What it means and what to do, for people.
    """

    name: AlertName
    severity: Severity
    value: float
    threshold: float
    message: str


def alerts(manager: IdempotencyManager | AsyncIdempotencyManager | None = None) -> list[Alert]:
    """Judge a manager by what its store has counted since the counters began; the most urgent comes first.

    It waits for the store in this thread, as `read` does.

    Args:
        manager: Of either kind; by default the default manager.

    Raises:
        IdempotencyError: The manager is closed.
        StoreUnavailableError: The store is out of reach.
    """
    core = (get_manager() if manager is None else manager)._core  # noqa: SLF001 - this package's own
    return judge(core.stats().wait(), core.cache_info().wait())


def judge(stats: IdempotencyStats, cache_info: CacheInfo) -> list[Alert]:
    """Judge statistics that are at hand; the most urgent alert comes first."""
    found = (_in_doubt(stats), _nearly_full(cache_info), _low_hit_rate(stats))
    return [alert for alert in found if alert is not None]


def _in_doubt(stats: IdempotencyStats) -> Alert | None:
    if not stats.in_doubt:
        return None
    what = "action is" if stats.in_doubt == 1 else "actions are"
    message = (
        f"{stats.in_doubt} {what} in doubt: begun, never finished. Look at the outside world, then resolve_in_doubt "
        "with the result or with not_executed=True; `idempotency doubts` lists them"
    )
    return Alert("IdempotencyInDoubt", Severity.CRITICAL, float(stats.in_doubt), 0.0, message)


def _nearly_full(cache_info: CacheInfo) -> Alert | None:
    used = cache_info.utilization_percent
    if used <= MAX_UTILIZATION:
        return None
    message = (
        f"{used:.1f} % of the room for {cache_info.max_size} records is used: once it is full, live records are "
        'evicted (their actions may run again) or new ones refused (on_full="raise"). Raise max_cache_size or '
        "lower the ttl"
    )
    return Alert("IdempotencyNearlyFull", Severity.WARNING, used, MAX_UTILIZATION, message)


def _low_hit_rate(stats: IdempotencyStats) -> Alert | None:
    lookups = stats.cache_hits + stats.cache_misses
    if lookups <= MIN_LOOKUPS or stats.hit_rate >= MIN_HIT_RATE:
        return None
    message = (
        f"{stats.hit_rate:.1f} % of {lookups} look-ups found a result. Where retries are expected, their keys may "
        "differ from call to call: look for a timestamp or a random id in the params; `idempotency explain` compares "
        "two keys"
    )
    return Alert("IdempotencyLowHitRate", Severity.INFO, stats.hit_rate, MIN_HIT_RATE, message)
