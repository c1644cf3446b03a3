"""What a user would pick instead, each behind one decorator.

`load` imports a peer only when it is asked for, so that a process that measures one has not loaded the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Decorate = Callable[[Callable[..., Any]], Callable[..., Any]]

MODULES = {
    "this package": "this_package",
    "functools.lru_cache": "lru",
    "cachebox": "cachebox_cached",
    "moka-py": "moka",
    "theine": "theine_memoize",
    "hand-written": "hand_written",
    "Powertools, dict layer": "powertools",
}
THIS, LRU, CACHEBOX, MOKA, THEINE, HAND_WRITTEN, POWERTOOLS = MODULES


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to keep a function from running twice.

    Attributes:
        name: How the tables call it.
        decorate: Guards a plain function, with an empty cache of its own that never drops an entry.
        decorate_async: The same for a coroutine function.
        awaits: Whether a guarded coroutine function can be awaited more than once (checked by the facts' table).
    """

    name: str
    decorate: Decorate
    decorate_async: Decorate
    awaits: bool = True


def load(name: str) -> Peer:
    """Imports the peer of that name."""
    peer: Peer = import_module(f"{__name__}.{MODULES[name]}").PEER
    return peer


def load_all() -> list[Peer]:
    """Every peer, this package first."""
    return [load(name) for name in MODULES]
