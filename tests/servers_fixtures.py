"""Real servers for any test: started when first asked for, once in a run, and empty for each test.

A test that kills, pauses or reconfigures a server starts one of its own (a
`RedisServer` takes some hundredths of a second).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest

from servers import PgBouncer, PostgresServer, Proxy, RedisCluster, RedisSentinels, RedisServer
from servers.testing import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Server

S = TypeVar("S")


@pytest.fixture(scope="session")
def redis_of_the_session() -> Iterator[RedisServer]:
    """The run's one Redis, with what the tests before have left in it."""
    with started(RedisServer()) as server:
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
def redis_cluster_of_the_session() -> Iterator[RedisCluster]:
    """The run's one cluster, with what the tests before have left in it."""
    with started(RedisCluster()) as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(redis_cluster_of_the_session: RedisCluster) -> RedisCluster:
    """A cluster of six nodes with nothing in it."""
    redis_cluster_of_the_session.flush()
    return redis_cluster_of_the_session


@pytest.fixture(scope="session")
def redis_sentinels_of_the_session() -> Iterator[RedisSentinels]:
    """The run's one master under sentinels, with what the tests before have left in it."""
    with started(RedisSentinels()) as sentinels:
        yield sentinels


@pytest.fixture
def redis_sentinels(redis_sentinels_of_the_session: RedisSentinels) -> RedisSentinels:
    """A master with two replicas under three sentinels, all of them well, with nothing in it.

    A test may kill or demote the master: the next one gets them whole again.
    """
    redis_sentinels_of_the_session.start()
    redis_sentinels_of_the_session.flush()
    return redis_sentinels_of_the_session


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's one PostgreSQL."""
    with started(PostgresServer()) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a new database of the run's PostgreSQL."""
    with postgres_server.fresh_database() as name:
        yield postgres_server.url_of(name)


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """The run's one PgBouncer, in front of its PostgreSQL."""
    with started(PgBouncer(postgres_server)) as bouncer:
        yield bouncer


@pytest.fixture
def pgbouncer_url(pgbouncer: PgBouncer, postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a new database of the run's PostgreSQL, by way of PgBouncer."""
    with postgres_server.fresh_database() as name:
        yield pgbouncer.url_of(name)


@pytest.fixture
def proxy_factory() -> Iterator[Callable[[Server | tuple[str, int]], Proxy]]:
    """Makes proxies to a server or an address, which end with the test."""
    with ExitStack() as stack:

        def one(server: Server | tuple[str, int]) -> Proxy:
            return stack.enter_context(Proxy(server if isinstance(server, tuple) else server.address))

        yield one
