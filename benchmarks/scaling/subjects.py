"""The four engines, each ready to be filled, and what is asked of them: how much processor time and room they took."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._servers import POSTGRES_IS, REDIS_IS, postgres_server, redis_server
from servers import PostgresServer, RedisServer

from .processor import spent_by

MEMORY, SQLITE, REDIS, POSTGRES = "memory", "SQLite", "Redis", "PostgreSQL"
IN_PROCESS = (MEMORY, SQLITE)
"""Engines without a process of their own: their time is the caller's."""

SETTINGS = {SQLITE: "synchronous=FULL", REDIS: REDIS_IS, POSTGRES: POSTGRES_IS}

STARTS: dict[str, Callable[[], AbstractContextManager[RedisServer | PostgresServer]]] = {
    REDIS: redis_server,
    POSTGRES: postgres_server,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """An engine that runs, with no records.

    Attributes:
        name: How the tables call it.
        url: The URL of a store in it.
        spent: Nanoseconds of processor time that it has taken so far.
        server: The server, of those that have one.
    """

    name: str
    url: str
    spent: Callable[[], int]
    server: RedisServer | PostgresServer | None = None


@contextmanager
def running(name: str) -> Iterator[Subject]:
    """Starts the engine of that name."""
    with ExitStack() as stack:
        if name == MEMORY:
            yield Subject(name, "memory://", time.process_time_ns)
        elif name == SQLITE:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True)))
            yield Subject(name, f"sqlite:///{folder / 'records.db'}", time.process_time_ns)
        else:
            server = stack.enter_context(STARTS[name]())
            yield Subject(name, server.url, lambda: spent_by(server.process_id), server)
