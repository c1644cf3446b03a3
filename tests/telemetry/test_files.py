"""The shipped files, by Prometheus's own tool and beside what the collector exports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, get_args

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from idempotency_manager.telemetry import files
from idempotency_manager.telemetry._alerts import MAX_UTILIZATION, MIN_HIT_RATE, MIN_LOOKUPS, AlertName
from idempotency_manager.telemetry.prometheus import IdempotencyCollector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from idempotency_manager import IdempotencyManager

METRIC = re.compile(r"\bidempotency_\w+")
GRAFANA = {"$__rate_interval": "5m", "$__range": "6h", "$manager": ".*"}

TESTS = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'idempotency_in_doubt{{manager="cards", store="memory", instance="a"}}', values: '0x5 2x60'}}
      - {{series: 'idempotency_in_doubt{{manager="shared", store="redis", instance="a"}}', values: '1x90'}}
      - {{series: 'idempotency_in_doubt{{manager="shared", store="redis", instance="b"}}', values: '1x90'}}
      - {{series: 'idempotency_in_doubt{{manager="well", store="memory", instance="a"}}', values: '0x90'}}
    alert_rule_test:
      - eval_time: 4m
        alertname: IdempotencyInDoubt
        exp_alerts:
          - exp_labels: {{severity: critical, manager: shared, store: redis}}
            exp_annotations: &shared
              summary: 1 actions of shared are in doubt
              description: &description >-
                They were begun and never finished, so nobody knows whether they happened. Look at the outside world,
                then resolve_in_doubt with the result or with not_executed=True; `idempotency doubts` lists them.
      - eval_time: 7m
        alertname: IdempotencyInDoubt
        exp_alerts:
          - exp_labels: {{severity: critical, manager: shared, store: redis}}
            exp_annotations: *shared
          - exp_labels: {{severity: critical, manager: cards, store: memory, instance: a}}
            exp_annotations: {{summary: 2 actions of cards are in doubt, description: *description}}

  - interval: 1m
    input_series:
      - series: 'idempotency_cache_utilization_ratio{{manager="edge", store="memory", instance="a"}}'
        values: '0.9x90'
      - series: 'idempotency_cache_utilization_ratio{{manager="full", store="memory", instance="a"}}'
        values: '0.95x90'
      - series: 'idempotency_cache_utilization_ratio{{manager="brief", store="redis", instance="a"}}'
        values: '0.95x3 0.5x90'
    alert_rule_test:
      - {{eval_time: 4m, alertname: IdempotencyNearlyFull, exp_alerts: []}}
      - eval_time: 6m
        alertname: IdempotencyNearlyFull
        exp_alerts:
          - exp_labels: {{severity: warning, manager: full, store: memory, instance: a}}
            exp_annotations:
              summary: The store of full is 95% full
              description: >-
                Once it is full, live records are evicted, whose actions may run again, or new ones are refused
                (on_full="raise"). Raise max_cache_size or lower the ttl.

  - interval: 1m
    input_series:
      # Per minute: cards 1 hit of 4, edge 2 of 4, rare 0 of 1, shared 1 of 4 as each of two processes reports it.
      - {{series: 'idempotency_cache_hits_total{{manager="cards", store="memory", instance="a"}}', values: '0+1x120'}}
      - {{series: 'idempotency_cache_misses_total{{manager="cards", store="memory", instance="a"}}', values: '0+3x120'}}
      - {{series: 'idempotency_cache_hits_total{{manager="edge", store="memory", instance="a"}}', values: '0+2x120'}}
      - {{series: 'idempotency_cache_misses_total{{manager="edge", store="memory", instance="a"}}', values: '0+2x120'}}
      - {{series: 'idempotency_cache_hits_total{{manager="rare", store="memory", instance="a"}}', values: '0x120'}}
      - {{series: 'idempotency_cache_misses_total{{manager="rare", store="memory", instance="a"}}', values: '0+1x120'}}
      - {{series: 'idempotency_cache_hits_total{{manager="shared", store="redis", instance="a"}}', values: '0+1x120'}}
      - {{series: 'idempotency_cache_misses_total{{manager="shared", store="redis", instance="a"}}', values: '0+3x120'}}
      - {{series: 'idempotency_cache_hits_total{{manager="shared", store="redis", instance="b"}}', values: '0+1x120'}}
      - {{series: 'idempotency_cache_misses_total{{manager="shared", store="redis", instance="b"}}', values: '0+3x120'}}
    promql_expr_test:
      - expr: idempotency:lookups:1h
        eval_time: 100m
        exp_samples:
          - {{labels: 'idempotency:lookups:1h{{manager="cards", store="memory", instance="a"}}', value: 240}}
          - {{labels: 'idempotency:lookups:1h{{manager="edge", store="memory", instance="a"}}', value: 240}}
          - {{labels: 'idempotency:lookups:1h{{manager="rare", store="memory", instance="a"}}', value: 60}}
          - {{labels: 'idempotency:lookups:1h{{manager="shared", store="redis"}}', value: 240}}
    alert_rule_test:
      - eval_time: 100m
        alertname: IdempotencyLowHitRate
        exp_alerts:
          - exp_labels: {{severity: info, manager: cards, store: memory, instance: a}}
            exp_annotations: &low
              summary: 25% of the look-ups of cards found a result
              description: &why >-
                Within an hour with over 100 look-ups. Where retries are expected, their keys may differ from call to
                call: look for a timestamp or a random id among the params (`idempotency explain` compares two keys).
          - exp_labels: {{severity: info, manager: shared, store: redis}}
            exp_annotations: {{summary: 25% of the look-ups of shared found a result, description: *why}}
"""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files().grafana_dashboard.read_text(encoding="utf-8"))
    return loaded


def queries(dashboard: dict[str, Any]) -> list[str]:
    """What the panels ask, with values in place of Grafana's variables."""
    found = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in GRAFANA.items():
                query = query.replace(variable, value)
            assert "$" not in query
            found.append(query)
    return found


def exported(manager: IdempotencyManager) -> set[str]:
    registry = CollectorRegistry()
    IdempotencyCollector(manager, registry=registry)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {sample.name for family in families for sample in family.samples}


def test_prometheus_accepts_the_rules(promtool: Callable[..., str]) -> None:
    assert "5 rules found" in promtool("check", "rules", "--lint-fatal", files().prometheus_rules)


def test_the_alerts_fire_when_they_should_and_only_then(promtool: Callable[..., str], tmp_path: Path) -> None:
    tests = tmp_path / "tests.yml"
    tests.write_text(TESTS.format(rules=files().prometheus_rules), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", tests)


def test_the_rules_have_the_alerts_and_limits_of_python() -> None:
    rules = files().prometheus_rules.read_text(encoding="utf-8")
    assert set(re.findall(r"- alert: (\w+)", rules)) == set(get_args(AlertName))
    assert f"> {MAX_UTILIZATION / 100}\n" in rules
    assert f"idempotency:hit_ratio:1h < {MIN_HIT_RATE / 100})" in rules
    assert f"idempotency:lookups:1h > {MIN_LOOKUPS})" in rules


def test_every_metric_of_a_rule_is_exported(manager: IdempotencyManager) -> None:
    rules = files().prometheus_rules.read_text(encoding="utf-8")
    asked = set(METRIC.findall(re.sub(r"^ *(#|- name).*$", "", rules, flags=re.MULTILINE)))
    assert asked
    assert asked <= exported(manager)


def test_every_metric_of_a_panel_is_exported(manager: IdempotencyManager, dashboard: dict[str, Any]) -> None:
    known = exported(manager)
    assert known
    for query in queries(dashboard):
        asked = set(METRIC.findall(query))
        assert asked, query
        assert asked <= known, query


def test_every_exported_metric_is_on_a_panel(manager: IdempotencyManager, dashboard: dict[str, Any]) -> None:
    shown = {name for query in queries(dashboard) for name in METRIC.findall(query)}
    families = {re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", name) for name in exported(manager)}
    assert families == {re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", name) for name in shown}


def test_prometheus_accepts_the_queries_of_all_panels(
    promtool: Callable[..., str], dashboard: dict[str, Any], tmp_path: Path
) -> None:
    asked = queries(dashboard)
    rules = {
        "groups": [{"name": "panels", "rules": [{"record": f"panel:{n}", "expr": q} for n, q in enumerate(asked)]}]
    }
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps(rules), encoding="utf-8")  # JSON is YAML
    assert f"{len(asked)} rules found" in promtool("check", "rules", file)


def test_a_panel_has_a_place_of_its_own_and_a_unit(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        assert panel["fieldConfig"]["defaults"]["unit"]
        taken |= cells


def test_the_command_line_says_where_the_files_are() -> None:
    command = [sys.executable, "-m", "idempotency_manager.telemetry"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert ended.stdout.splitlines() == [str(file) for file in files()]
