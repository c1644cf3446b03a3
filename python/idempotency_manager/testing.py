"""Help for tests of code that uses the package."""

from __future__ import annotations

from ._core import ManualClock
from ._default import set_manager

__all__ = ["ManualClock", "set_manager"]
