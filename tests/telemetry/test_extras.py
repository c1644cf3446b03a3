"""Exporters are imported by those who use them, and say what they miss."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXPORTERS = {
    "prometheus": ("prometheus_client", "prometheus"),
    "otel": ("opentelemetry", "otel"),
    "datadog": ("datadog", "datadog"),
}


def run(program: str) -> str:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    return ended.stdout


def test_importing_telemetry_imports_no_exporter() -> None:
    program = "import sys; import idempotency_manager.telemetry; print({m.partition('.')[0] for m in sys.modules})"
    imported = run(program)
    assert "idempotency_manager" in imported
    assert not [package for package, _ in EXPORTERS.values() if f"'{package}'" in imported]


def test_importing_the_package_does_not_import_telemetry() -> None:
    program = "import sys; import idempotency_manager; print([m for m in sys.modules if '.telemetry' in m])"
    assert run(program) == "[]\n"


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_missing_package_is_named_with_its_extra(exporter: str) -> None:
    package, extra = EXPORTERS[exporter]
    program = (
        f"import sys; sys.modules['{package}'] = None\n"
        "try:\n"
        f"    import idempotency_manager.telemetry.{exporter}\n"
        "except ModuleNotFoundError as missing:\n"
        "    print(missing)\n"
    )
    told = run(program)
    assert told.startswith(f"idempotency_manager.telemetry.{exporter} needs {package}")
    assert told.endswith(f": pip install 'idempotency-manager[{extra}]'\n")
