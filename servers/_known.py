"""The servers that can be asked for by name, and the environment variables that lead to them."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from servers._pgbouncer import PgBouncer
from servers._postgres import PostgresServer
from servers._redis import RedisServer
from servers._redis_cluster import RedisCluster
from servers._redis_sentinels import RedisSentinels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _redis() -> Iterator[str]:
    with RedisServer() as server:
        yield server.url


@contextmanager
def _postgres() -> Iterator[str]:
    with PostgresServer() as server:
        yield server.url


@contextmanager
def _cluster() -> Iterator[str]:
    with RedisCluster() as cluster:
        yield cluster.url


@contextmanager
def _sentinel() -> Iterator[str]:
    with RedisSentinels() as sentinels:
        yield sentinels.url


@contextmanager
def _pgbouncer() -> Iterator[str]:
    with PostgresServer() as server, PgBouncer(server) as bouncer:
        yield bouncer.url


KNOWN: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "redis": _redis,
    "cluster": _cluster,
    "sentinel": _sentinel,
    "postgres": _postgres,
    "pgbouncer": _pgbouncer,
}
_VARIABLES = {"cluster": "REDIS_CLUSTER", "sentinel": "REDIS_SENTINEL"}


def variable(name: str) -> str:
    """Name the environment variable that holds a server's URL."""
    return f"IDEMPOTENCY_TEST_{_VARIABLES.get(name, name.upper())}_URL"
