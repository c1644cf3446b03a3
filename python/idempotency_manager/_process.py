"""Begins anew in forked children, and ends the threads at exit."""

import atexit
import os

from ._core import after_fork_in_child, stop_all


def watch() -> None:
    """Have the interpreter call the native half after `fork` and at exit."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=after_fork_in_child)
    atexit.register(stop_all)
