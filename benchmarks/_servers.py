"""The servers that records are kept on: private ones, as durable as their makers advise for data that matters."""

from collections.abc import Iterator
from contextlib import contextmanager

from servers import PostgresServer, RedisServer

REDIS_IS = "appendonly yes, appendfsync everysec"
POSTGRES_IS = "fsync on, synchronous_commit on"


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A Redis that appends to its file, and to the disk every second; none is written anew while somebody is timed."""
    settings = {"appendfsync": "everysec", "auto-aof-rewrite-percentage": "0"}
    with RedisServer(appendonly=True, settings=settings) as server:
        yield server


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that waits for the disk at each commit."""
    with PostgresServer(fsync=True, settings={"shared_buffers": "256MB"}) as server:
        yield server
