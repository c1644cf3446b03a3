"""The standard library's cache, without a bound."""

from functools import lru_cache

from . import LRU, Peer

PEER = Peer(LRU, lru_cache(maxsize=None), lru_cache(maxsize=None), awaits=False)
