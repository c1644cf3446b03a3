"""Keeps locks and threads whole across `fork`, and ends the threads at exit."""

import atexit
import os

from ._core import after_fork, before_fork, stop_all


def _after_fork_in_parent() -> None:
    after_fork(in_child=False)


def _after_fork_in_child() -> None:
    after_fork(in_child=True)


def watch() -> None:
    """Have the interpreter call the native half around `fork` and at exit."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )
    atexit.register(stop_all)
