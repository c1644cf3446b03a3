"""diskcache: `add` is the claim and `set` the result, under the key of the hand-written peer.

Its `memoize` would do less: it looks, runs and stores, so two callers at once both run. Its default is
synchronous=NORMAL, and it keeps a connection in each thread. It has nothing for asyncio.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diskcache  # type: ignore[import-untyped]

from benchmarks.workload import create_card

from .hand_written import TTL_S, key_of
from .on_disk import FULL, Guarded
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
