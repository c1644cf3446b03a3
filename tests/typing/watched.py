"""What type checkers must conclude about telemetry; checked by mypy and pyright, run by nobody."""

from datetime import timedelta
from pathlib import Path
from typing import assert_type

from idempotency_manager import AsyncIdempotencyManager, CacheInfo, IdempotencyManager, IdempotencyStats
from idempotency_manager.telemetry import (
    Alert,
    Histogram,
    Reading,
    Reporter,
    Severity,
    alerts,
    every,
    files,
    judge,
    read,
)
from idempotency_manager.telemetry.datadog import report
from idempotency_manager.telemetry.otel import Instrumentation, instrument
from idempotency_manager.telemetry.prometheus import IdempotencyCollector


def send_metrics(reading: Reading) -> None:
    assert_type(reading.stats, IdempotencyStats)
    assert_type(reading.cache_info, CacheInfo)
    assert_type(reading.timings.claims, Histogram)
    assert_type(reading.timings.claims.quantile(0.5), float)
    assert_type(reading.timings.time_saved, timedelta)


def exporters(manager: IdempotencyManager, tasks: AsyncIdempotencyManager) -> None:
    with every("10s", send_metrics, manager) as reporter:
        assert_type(reporter, Reporter)
    assert_type(report(tasks, interval=timedelta(seconds=10), name="mails", tags=["service:billing"]), Reporter)
    assert_type(instrument(manager, name="cards", spans=False), Instrumentation)
    IdempotencyCollector({"cards": manager, "mails": tasks}, registry=None)
    IdempotencyCollector(tasks)
    IdempotencyCollector()


def readings_and_alerts(manager: IdempotencyManager) -> None:
    assert_type(read(manager), Reading)
    assert_type(alerts(), list[Alert])
    for alert in judge(manager.stats(), manager.cache_info()):
        assert_type(alert.severity, Severity)
    assert_type(files().prometheus_rules, Path)
