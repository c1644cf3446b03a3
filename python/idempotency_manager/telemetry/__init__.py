"""What a manager says of itself to those who watch it: readings, alerts, the files of a dashboard and of alert rules.

The exporters are modules of their own, each with an extra of its own: `telemetry.prometheus`, `telemetry.otel` and
`telemetry.datadog`. What is here needs no other package.
"""

from __future__ import annotations

from ._alerts import Alert, Severity, alerts, judge
from ._every import Reporter, every
from ._files import Files, files
from ._reading import Histogram, Reading, Timings, read

__all__ = [
    "Alert",
    "Files",
    "Histogram",
    "Reading",
    "Reporter",
    "Severity",
    "Timings",
    "alerts",
    "every",
    "files",
    "judge",
    "read",
]
