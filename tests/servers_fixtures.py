"""Real servers for any test: started when first asked for, once in a run, and empty for each test.

A test that kills, pauses or reconfigures a server starts one of its own (a
`RedisServer` takes some hundredths of a second).
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from servers import PostgresServer, RedisServer
from servers.testing import needed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

S = TypeVar("S")


@contextmanager
def _started(server: AbstractContextManager[S]) -> Iterator[S]:
    with ExitStack() as stack:
        with needed():
            started = stack.enter_context(server)
        yield started


@pytest.fixture(scope="session")
def redis_of_the_session() -> Iterator[RedisServer]:
    """The run's one Redis, with what the tests before have left in it."""
    with _started(RedisServer()) as server:
        yield server


@pytest.fixture
def redis_server(redis_of_the_session: RedisServer) -> RedisServer:
    """A Redis with nothing in it."""
    redis_of_the_session.command("FLUSHALL", "SYNC")
    return redis_of_the_session


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of a Redis with nothing in it."""
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's one PostgreSQL."""
    with _started(PostgresServer()) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a new database of the run's PostgreSQL."""
    with postgres_server.fresh_database() as name:
        yield postgres_server.url_of(name)
