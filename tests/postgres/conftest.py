"""A user's own PostgreSQL database, with cards, and connections to it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from idempotency_manager import IdempotencyManager
from tests.postgres.customers import Customer, Psycopg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from servers import PostgresServer

TABLES = "idempotency_records, idempotency_counters"


class Shop:
    """The database, as somebody else sees it who has just come."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.observer = psycopg.connect(url, autocommit=True)

    def select(self, statement: str) -> list[Any]:
        return self.observer.execute(statement.encode()).fetchall()

    def change(self, statement: str) -> None:
        self.observer.execute(statement.encode())

    def cards(self) -> list[str]:
        return [title for (title,) in self.select("SELECT title FROM cards ORDER BY number")]

    def records(self) -> list[Any]:
        """The signal, state and attempts of each committed record."""
        return self.select("SELECT signal_id, state, attempts FROM idempotency_records ORDER BY fence")

    def waiting(self) -> int:
        """How many connections wait for a lock."""
        [(count,)] = self.select(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(count)

    def empty(self) -> None:
        self.change("DROP TABLE IF EXISTS cards, others CASCADE")
        self.change("CREATE TABLE cards (title text UNIQUE, number serial)")
        if self.select("SELECT to_regclass('idempotency_records')") != [(None,)]:
            self.change(f"TRUNCATE {TABLES}")


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[Shop]:
    """One database for the tests of a file."""
    with postgres_server.fresh_database() as name:
        made = Shop(postgres_server.url_of(name))
        with IdempotencyManager() as manager, psycopg.connect(made.url) as connection:
            manager.execute_in_transaction(connection, {"signal_id": "a", "action": "b", "target": "c"}, lambda: None)
        yield made
        made.observer.close()


@pytest.fixture
def shop(database: Shop) -> Shop:
    """The database with no card and no record."""
    database.empty()
    return database


@pytest.fixture
def manager() -> Iterator[IdempotencyManager]:
    """A manager that goes by the server's clock."""
    with IdempotencyManager(wait_timeout="20s") as made:
        yield made


@pytest.fixture
async def connect(shop: Shop) -> AsyncIterator[Callable[[type[Customer]], Awaitable[Customer]]]:
    """Connects, and closes with the test."""
    async with AsyncExitStack() as stack:

        async def one(kind: type[Customer]) -> Customer:
            made = kind(shop.url)
            await made.open()
            stack.push_async_callback(made.close)
            return made

        yield one


@pytest.fixture
async def customer(
    request: pytest.FixtureRequest, connect: Callable[[type[Customer]], Awaitable[Customer]]
) -> Customer:
    """Somebody with a connection, of the kind that the test asks for."""
    return await connect(getattr(request, "param", Psycopg))
