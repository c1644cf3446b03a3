"""Modules of this package that are imported only when they are needed, and forks meanwhile."""

from __future__ import annotations

_begun: set[str] = set()


def begin_import(module: str) -> None:
    """Have a fork wait for a thread that is importing this module, for the child would do so for ever.

    Args:
        module: A module of this package, right before it is imported.
    """
    _begun.add(f"{__package__}.{module}")


def finish_imports() -> None:
    """Wait for all that have begun."""
    for module in tuple(_begun):
        __import__(module)
