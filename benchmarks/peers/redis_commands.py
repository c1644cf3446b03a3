"""redis-py with hiredis, and its commands alone: the keys at hand, nothing to encode or to decode, no lease, no fence.

`SET NX` and `SET` are what a claim and a result come down to. `first` leaves out the expiry, which costs a little;
`first_expiring` has it, as the records of the guards have.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager

import redis
import redis.asyncio

from .hand_written import TTL_S
from .on_server import Entry

CLAIMED = b"claimed"
LEASE_MS, TTL_MS = 30_000, TTL_S * 1000


@contextmanager
def connected(url: str) -> Iterator[redis.Redis]:
    """A client for one thread."""
    with closing(redis.Redis.from_url(url)) as client:
        assert client.ping()
        yield client


@asynccontextmanager
async def connected_later(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client with its pool, which gets as many connections as there are tasks at once: it is slower with one."""
    async with redis.asyncio.Redis.from_url(url) as client:
        assert await client.ping()
        yield client


def fill(client: redis.Redis, entries: Iterable[Entry]) -> None:
    """Makes the records that are looked at."""
    for entry in entries:
        client.set(entry.key, entry.result)


def look(client: redis.Redis, entries: Iterable[Entry]) -> None:
    """A GET of each."""
    for entry in entries:
        client.get(entry.key)


def first(client: redis.Redis, entries: Iterable[Entry]) -> None:
    """A SET NX of each, and then a SET."""
    for entry in entries:
        assert client.set(entry.key, CLAIMED, nx=True)
        client.set(entry.key, entry.result)


def first_expiring(client: redis.Redis, entries: Iterable[Entry]) -> None:
    """The same, and the claim and the result expire."""
    for entry in entries:
        assert client.set(entry.key, CLAIMED, nx=True, px=LEASE_MS)
        client.set(entry.key, entry.result, px=TTL_MS)


async def look_later(client: redis.asyncio.Redis, entries: Sequence[Entry]) -> None:
    """A GET of each."""
    for entry in entries:
        await client.get(entry.key)


async def first_later(client: redis.asyncio.Redis, entries: Sequence[Entry]) -> None:
    """A SET NX of each, and then a SET."""
    for entry in entries:
        assert await client.set(entry.key, CLAIMED, nx=True)
        await client.set(entry.key, entry.result)
