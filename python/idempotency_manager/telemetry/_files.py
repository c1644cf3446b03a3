"""The files that are shipped for others to load."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_DATA = Path(__file__).parent / "data"


class Files(NamedTuple):
    """Where the files are.

    Attributes:
        prometheus_rules: Alert rules, for `rule_files` of a Prometheus server.
        grafana_dashboard: A dashboard, for Grafana's import or its provisioning.
    """

    prometheus_rules: Path
    grafana_dashboard: Path


def files() -> Files:
    """Say where the shipped files are, to copy or to point a server at."""
    return Files(_DATA / "prometheus-rules.yml", _DATA / "grafana-dashboard.json")
