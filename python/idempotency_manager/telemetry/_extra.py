"""The error for an exporter whose package is not installed."""

from __future__ import annotations


def missing_extra(exporter: str, extra: str, missing: ModuleNotFoundError) -> ModuleNotFoundError:
    """Say which extra brings the package; an error about another module is left as it is."""
    if missing.name is not None and missing.name.startswith("idempotency_manager"):
        return missing
    text = f"{exporter} needs {missing.name}: pip install 'idempotency-manager[{extra}]'"
    return ModuleNotFoundError(text, name=missing.name)
