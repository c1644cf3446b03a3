"""diskcache: its `memoize` where it is asked what it does, and `add` and `set` where it is asked how fast.

`memoize` looks, runs and stores, so two callers at once both run. To claim, there is `add`; the key is then that of the
hand-written peer. The default is synchronous=NORMAL; there is a connection in each thread, and nothing for asyncio.
"""

import atexit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diskcache  # type: ignore[import-untyped]

from benchmarks.workload import create_card

from . import Peer
from .hand_written import TTL_S, key_of
from .on_disk import DISKCACHE, FULL, Guarded
from .sqlite_by_hand import ACTION, PATIENCE_S, TARGET

CLAIMED = "claimed"
SYNCHRONOUS_FULL = {"sqlite_synchronous": 2}


@contextmanager
def guard(folder: Path, synchronous: str, *, look_first: bool) -> Iterator[Guarded]:
    """The action, its records in a cache in that folder that never drops one."""
    settings = SYNCHRONOUS_FULL if synchronous == FULL else {}
    cache = diskcache.Cache(str(folder / "diskcache"), timeout=PATIENCE_S, eviction_policy="none", **settings)

    def guarded(**arguments: object) -> object:
        key = key_of(ACTION, TARGET, arguments)
        if look_first and (found := cache.get(key)) is not None:
            return replay(found)
        if not cache.add(key, CLAIMED, expire=TTL_S):
            return replay(cache.get(key))
        result = create_card(**arguments)  # type: ignore[arg-type]
        cache.set(key, result, expire=TTL_S)
        return result

    yield Guarded(guarded)  # type: ignore[arg-type]
    cache.close()


def replay(found: object) -> object:
    """The result that was found."""
    if found == CLAIMED:
        message = "it is running, or nobody knows"
        raise RuntimeError(message)
    return found


def durable(folder: Path) -> Peer:
    """Its `memoize`, each function in a cache of its own in that folder."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        cache = diskcache.Cache(str(folder / f"memoized-{next(_numbers)}"))
        guarded: Callable[..., Any] = cache.memoize()(function)
        return guarded

    return Peer(DISKCACHE, decorate, decorate, awaits=False)


_numbers = count()
_scratch = ExitStack()
atexit.register(_scratch.close)
PEER = durable(Path(_scratch.enter_context(TemporaryDirectory())))
