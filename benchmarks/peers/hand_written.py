"""What a careful user writes in an afternoon: sorted JSON, SHA-256, a dict, a lock.

One caller runs and the others wait for it; a failure lets the next one run; a result expires; a replay is decoded
afresh from the stored bytes (a copy by `orjson.loads`, several times cheaper than `copy.deepcopy`).
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson

from . import HAND_WRITTEN, Peer

TTL_S = 24 * 60 * 60

Stored = tuple[float, bytes]
"""When it expires (Unix seconds), and the encoded result."""


def key_of(action: str, target: str, params: dict[str, object]) -> str:
    """The key, from sorted JSON."""
    digest = hashlib.sha256(orjson.dumps(params, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"{params['signal_id']}:{action}:{target}:{digest[:16]}"


def encode(result: object) -> bytes:
    """The result's bytes, copied: what `orjson.dumps` (3.13) returns holds on to 4 KB for as long as it lives."""
    return bytes(memoryview(orjson.dumps(result)))


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    stored: dict[str, Stored] = {}
    running: dict[str, threading.Lock] = {}
    lock = threading.Lock()
    name = function.__name__

    @wraps(function)
    def guarded(**arguments: object) -> object:
        key = key_of(name, "trello", arguments)
        while True:
            with lock:
                found = stored.get(key)
                if found is not None and found[0] > time.time():
                    break
                latch = running.get(key)
                mine = None if latch is not None else running.setdefault(key, _held_lock())
            if mine is not None:
                return run(key, mine, arguments)
            if latch is not None:
                with latch:
                    """The runner has finished; look again."""
        return orjson.loads(found[1])

    def run(key: str, mine: threading.Lock, arguments: dict[str, object]) -> object:
        try:
            result = function(**arguments)
            encoded = encode(result)
            with lock:
                stored[key] = (time.time() + TTL_S, encoded)
        finally:
            with lock:
                del running[key]
            mine.release()
        return result

    return guarded


def _decorate_async(function: Callable[..., Any]) -> Callable[..., Any]:
    stored: dict[str, Stored] = {}
    running: dict[str, asyncio.Event] = {}
    name = function.__name__

    @wraps(function)
    async def guarded(**arguments: object) -> object:
        key = key_of(name, "trello", arguments)
        while (found := stored.get(key)) is None or found[0] <= time.time():
            if (latch := running.get(key)) is None:
                return await run(key, arguments)
            await latch.wait()
        return orjson.loads(found[1])

    async def run(key: str, arguments: dict[str, object]) -> object:
        mine = running[key] = asyncio.Event()
        try:
            result = await function(**arguments)
            stored[key] = (time.time() + TTL_S, encode(result))
        finally:
            del running[key]
            mine.set()
        return result

    return guarded


PEER = Peer(HAND_WRITTEN, _decorate, _decorate_async)
