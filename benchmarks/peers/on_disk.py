"""What a user would pick instead when records must survive a restart: each over files in a folder that it is given.

As with the peers in memory, nothing is imported before it is asked for.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

from benchmarks.workload import CreateCard, CreateCardLater

CROWD = 64
"""Threads, or tasks, that call at once where many do."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """The action, guarded by records in a file that is open now.

    Attributes:
        plain: The guarded function.
        later: The guarded coroutine function; None where there is no such thing.
        crowd: Threads that stay from batch to batch, as a server's do: a contender may keep a connection in each.
    """

    plain: CreateCard
    later: CreateCardLater | None = None
    crowd: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, CROWD))


Open = Callable[[Path], AbstractContextManager[Guarded]]
"""Opens the records in a folder, making them where there are none."""

FULL, NORMAL = "FULL", "NORMAL"

THIS = "this package"
BY_HAND = "hand-written sqlite3"
DISKCACHE = "diskcache"
ONCE = "exactly-once"
DBOS = "DBOS"
IN_MEMORY = "its memory store"
"""This package's: no peer, but what a disk is measured against."""
MODULES = {
    THIS: "this_package",
    BY_HAND: "sqlite_by_hand",
    DISKCACHE: "disk_cache",
    ONCE: "once",
    DBOS: "durable_workflow",
    IN_MEMORY: "in_memory",
}


def opener(name: str, synchronous: str, *, look_first: bool = False) -> Open:
    """How that peer opens a folder.

    Args:
        name: Which peer.
        synchronous: SQLite's setting of that name. DBOS has its own idea: FULL, and a rollback journal.
        look_first: Whether a peer whose guard is written here reads before it claims. That is what makes a duplicate
            cheap and a first call dear, so each is measured with the guard that suits it.
    """
    return partial(_open, name, synchronous, look_first)


def _open(name: str, synchronous: str, look_first: bool, folder: Path) -> AbstractContextManager[Guarded]:
    opened: AbstractContextManager[Guarded] = import_module(f"{__package__}.{MODULES[name]}").guard(
        folder, synchronous, look_first=look_first
    )
    return opened
