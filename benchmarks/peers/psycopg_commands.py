"""psycopg 3, and its statements alone: the keys at hand, nothing to encode or to decode, no lease, no fence.

Each statement is committed by itself, and psycopg prepares it after five times, as it does on its own.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager

import psycopg
from psycopg_pool import AsyncConnectionPool

from .on_server import Entry

TABLE = "CREATE TABLE IF NOT EXISTS results (key text PRIMARY KEY, result text, expires_at bigint NOT NULL)"
CLAIM = "INSERT INTO results VALUES (%s, NULL, %s) ON CONFLICT DO NOTHING"
COMPLETE = "UPDATE results SET result = %s, expires_at = %s WHERE key = %s"
LOOK = "SELECT result, expires_at FROM results WHERE key = %s"
EXPIRES_AT = 1 << 51
"""In microseconds; nobody looks."""

Pool = AsyncConnectionPool[psycopg.AsyncConnection]


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A connection that commits each statement."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(TABLE)
        yield connection


@asynccontextmanager
async def connected_later(url: str, size: int) -> AsyncIterator[Pool]:
    """A pool of so many connections, all of them open, that commit each statement."""
    pool: Pool = AsyncConnectionPool(url, min_size=size, max_size=size, kwargs={"autocommit": True}, open=False)
    async with pool:
        await pool.wait()
        yield pool


def fill(connection: psycopg.Connection, entries: Iterable[Entry]) -> None:
    """Makes the records that are looked at."""
    first(connection, entries)


def look(connection: psycopg.Connection, entries: Iterable[Entry]) -> None:
    """A SELECT of each, as psycopg's documentation writes it."""
    for entry in entries:
        connection.execute(LOOK, (entry.key,)).fetchone()


def look_with_one_cursor(connection: psycopg.Connection, entries: Iterable[Entry]) -> None:
    """The same with one cursor for all, which saves making it."""
    cursor = connection.cursor()
    for entry in entries:
        cursor.execute(LOOK, (entry.key,))
        cursor.fetchone()


def first(connection: psycopg.Connection, entries: Iterable[Entry]) -> None:
    """An INSERT of each, and then an UPDATE."""
    for entry in entries:
        assert connection.execute(CLAIM, (entry.key, EXPIRES_AT)).rowcount == 1
        connection.execute(COMPLETE, (entry.result, EXPIRES_AT, entry.key))


def first_and_look(connection: psycopg.Connection, entries: Iterable[Entry]) -> None:
    """The same, and at once a SELECT of each."""
    for entry in entries:
        first(connection, (entry,))
        look(connection, (entry,))


async def look_later(pool: Pool, entries: Sequence[Entry]) -> None:
    """A SELECT of each."""
    for entry in entries:
        async with pool.connection() as connection:
            await (await connection.execute(LOOK, (entry.key,))).fetchone()


async def first_later(pool: Pool, entries: Sequence[Entry]) -> None:
    """An INSERT of each, and then an UPDATE; the connection is free for others while an action would run."""
    for entry in entries:
        async with pool.connection() as connection:
            assert (await connection.execute(CLAIM, (entry.key, EXPIRES_AT))).rowcount == 1
        async with pool.connection() as connection:
            await connection.execute(COMPLETE, (entry.result, EXPIRES_AT, entry.key))
