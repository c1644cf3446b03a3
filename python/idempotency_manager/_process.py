"""Begins anew in forked children, writes what is counted at the end of a process, and ends the threads at exit."""

from __future__ import annotations

import atexit
import os
import sys
from functools import cache

from ._core import after_fork_in_child, flush_all, stop_all
from ._imports import finish_imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def watch() -> None:
    """Have the interpreter call the native half after `fork` and at exit."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=after_fork_in_child)
    atexit.register(stop_all)
    # A child of multiprocessing's fork server may import this package only shortly before, or after, it begins.
    _before_fork()
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        _flush_at_end(util)


def _before_fork() -> None:
    finish_imports()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        _flush_children(util)


@cache
def _flush_children(util: ModuleType) -> None:
    # They end without the interpreter's exit, and so without what `atexit` has; and when they begin, they forget all of
    # multiprocessing's finalizers but those that are made then.
    util.register_after_fork(util, _flush_at_end)


def _flush_at_end(util: ModuleType) -> None:
    util.Finalize(None, flush_all, exitpriority=-100)  # after those of the application, which may still count
