"""cachebox.cached with its defaults: an unbounded LRU cache, a lock for each key, a shallow copy of a dict result."""

from collections.abc import Callable
from typing import Any

import cachebox

from . import CACHEBOX, Peer


def _decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    return cachebox.cached(cachebox.LRUCache(0))(function)


PEER = Peer(CACHEBOX, _decorate, _decorate)
