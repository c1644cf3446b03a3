"""The alerts as plain Python: each at its limit and past it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from idempotency_manager import Action, AsyncIdempotencyManager, IdempotencyError, IdempotencyManager
from idempotency_manager.telemetry import Severity, alerts

if TYPE_CHECKING:
    from pathlib import Path


def times_out() -> None:
    raise TimeoutError


def lookups(manager: IdempotencyManager, *, hits: int, misses: int) -> None:
    manager.execute(Action("once", "a", "b"), lambda: 1)
    for _ in range(hits):
        manager.execute(Action("once", "a", "b"), lambda: 1)
    for number in range(misses - 1):
        manager.check_executed(f"{number}:a:b")


def test_a_manager_that_is_well_has_none(watched: IdempotencyManager) -> None:
    assert alerts(watched) == []


def test_any_action_in_doubt_is_critical(watched: IdempotencyManager) -> None:
    with pytest.raises(TimeoutError):
        watched.execute(Action("evt_1", "create_card", "trello"), times_out)
    (alert,) = alerts(watched)
    assert (alert.name, alert.severity, alert.value) == ("IdempotencyInDoubt", Severity.CRITICAL, 1.0)
    assert alert.message.startswith("1 action is in doubt: begun, never finished.")
    watched.resolve_in_doubt(watched.get_in_doubt()[0].key, result="there")
    assert alerts(watched) == []


def test_a_store_is_nearly_full_above_ninety_percent(watched: IdempotencyManager) -> None:
    for number in range(9):
        watched.mark_executed(f"{number}:a:b", number)
    assert alerts(watched) == []
    watched.mark_executed("9:a:b", 9)
    (alert,) = alerts(watched)
    assert (alert.name, alert.severity, alert.value, alert.threshold) == (
        "IdempotencyNearlyFull",
        Severity.WARNING,
        100.0,
        90.0,
    )
    assert "room for 10 records" in alert.message


@pytest.mark.parametrize(("hits", "misses", "expected"), [(50, 50, 0), (50, 51, 1), (51, 50, 0), (40, 60, 0)])
def test_a_low_hit_rate_counts_with_over_a_hundred_lookups(
    watched: IdempotencyManager, hits: int, misses: int, expected: int
) -> None:
    lookups(watched, hits=hits, misses=misses)
    found = alerts(watched)
    assert [alert.name for alert in found] == ["IdempotencyLowHitRate"] * expected
    for alert in found:
        assert alert.severity is Severity.INFO
        assert alert.message.startswith("49.5 % of 101 look-ups")


def test_the_most_urgent_comes_first(watched: IdempotencyManager) -> None:
    lookups(watched, hits=1, misses=200)
    for number in range(8):
        watched.mark_executed(f"{number}:a:b", number)
    with pytest.raises(TimeoutError):
        watched.execute(Action("evt_1", "create_card", "trello"), times_out)
    assert [alert.severity for alert in alerts(watched)] == [Severity.CRITICAL, Severity.WARNING, Severity.INFO]


def test_the_default_manager_is_judged_by_default(manager: IdempotencyManager) -> None:
    with pytest.raises(TimeoutError):
        manager.execute(Action("evt_1", "create_card", "trello"), times_out)
    assert len(alerts()) == 1


def test_an_async_manager_is_judged_too(tmp_path: Path) -> None:
    assert alerts(AsyncIdempotencyManager(f"sqlite:///{tmp_path}/jobs.db")) == []


def test_a_closed_manager_can_not_be_judged(manager: IdempotencyManager) -> None:
    manager.close()
    with pytest.raises(IdempotencyError, match="closed"):
        alerts(manager)
