"""The servers that can be asked for by name, and the environment variables that lead to them."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from servers._postgres import PostgresServer
from servers._redis import RedisServer

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


KNOWN: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "redis": _redis,
    "postgres": _postgres,
}
_VARIABLES = {"cluster": "REDIS_CLUSTER", "sentinel": "REDIS_SENTINEL"}


def variable(name: str) -> str:
    """Name the environment variable that holds a server's URL."""
    return f"IDEMPOTENCY_TEST_{_VARIABLES.get(name, name.upper())}_URL"
