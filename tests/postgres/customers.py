"""Whoever has a connection to PostgreSQL, by each client that is served: what they do, whether it is awaited or not."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager import IdempotencyManager

CARD = {"signal_id": "inv-1", "action": "create_card", "target": "shop", "params": {"title": "Pay"}}


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Customer:
    """One connection, and what an application does with it."""

    is_async = False
    driver = ""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: Any = None

    async def open(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        await settled(self.connection.close())

    def execute(self, statement: str) -> Any:
        """Give the rows, or what gives them when it is awaited."""
        raise NotImplementedError

    def begin(self) -> Any:
        raise NotImplementedError

    def commit(self) -> Any:
        return self.connection.commit()

    def rollback(self) -> Any:
        return self.connection.rollback()

    def nested(self) -> Any:
        """What a block enters for a savepoint of its own."""
        raise NotImplementedError

    def is_open(self) -> bool:
        raise NotImplementedError

    def executor(self, *steps: Callable[[], Any], result: Any = "card-1") -> Callable[[], Any]:
        """An executor that does this, and gives a result or raises it."""

        def ended() -> Any:
            if isinstance(result, BaseException):
                raise result
            return result

        async def awaited() -> Any:
            for step in steps:
                await settled(step())
            return ended()

        def plain() -> Any:
            for step in steps:
                step()
            return ended()

        return awaited if self.is_async else plain

    def adds(self, title: str = "Pay", result: Any = "card-1") -> Callable[[], Any]:
        """An executor that adds a card."""
        return self.executor(lambda: self.execute(f"INSERT INTO cards VALUES ('{title}')"), result=result)  # noqa: S608 - the tests' own

    async def run(
        self, manager: IdempotencyManager, executor: Callable[[], Any], action: Any = CARD, **options: Any
    ) -> Any:
        """Execute in this connection's transaction."""
        return await settled(self.run_now(manager, action, executor, **options))

    def run_now(
        self, manager: IdempotencyManager, action: Any, executor: Callable[[], Any] | None = None, **options: Any
    ) -> Any:
        """The same, from inside another executor; by itself it adds a card."""
        call = manager.aexecute_in_transaction if self.is_async else manager.execute_in_transaction
        return call(self.connection, action, executor or self.adds(), **options)


class Psycopg(Customer):
    options: dict[str, Any] = {}  # noqa: RUF012 - read only

    async def open(self) -> None:
        self.connection = psycopg.connect(self.url, **self.options)

    def execute(self, statement: str) -> Any:
        cursor = self.connection.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def begin(self) -> Any:
        return self.connection.execute("BEGIN" if self.connection.autocommit else "SELECT 1")

    def nested(self) -> Any:
        return self.connection.transaction()

    def is_open(self) -> bool:
        return bool(self.connection.pgconn.transaction_status)


class PsycopgAutocommit(Psycopg):
    options = {"autocommit": True}  # noqa: RUF012 - read only


class PsycopgAsync(Psycopg):
    is_async = True

    async def open(self) -> None:
        self.connection = await psycopg.AsyncConnection.connect(self.url, **self.options)

    async def execute(self, statement: str) -> Any:
        cursor = await self.connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


class PsycopgAsyncAutocommit(PsycopgAsync):
    options = {"autocommit": True}  # noqa: RUF012 - read only


class SqlAlchemyConnection(Customer):
    driver = "psycopg"

    @property
    def engine_url(self) -> str:
        return self.url.replace("postgresql://", f"postgresql+{self.driver}://")

    async def open(self) -> None:
        self.engine: Any = sqlalchemy.create_engine(self.engine_url, pool_size=1, max_overflow=0)
        self.connection = self.engine.connect()

    async def close(self) -> None:
        await super().close()
        await settled(self.engine.dispose())

    def execute(self, statement: str) -> Any:
        result = self.connection.execute(sqlalchemy.text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []

    def begin(self) -> Any:
        return self.connection.begin()

    def nested(self) -> Any:
        return self.connection.begin_nested()

    def is_open(self) -> bool:
        return bool(self.connection.in_transaction())


class SqlAlchemySession(SqlAlchemyConnection):
    async def open(self) -> None:
        self.engine = sqlalchemy.create_engine(self.engine_url, pool_size=1, max_overflow=0)
        self.connection = Session(self.engine)


class SqlAlchemyAsyncConnection(SqlAlchemyConnection):
    is_async = True

    async def open(self) -> None:
        self.engine = create_async_engine(self.engine_url, pool_size=1, max_overflow=0)
        self.connection = await self.engine.connect()

    async def execute(self, statement: str) -> Any:
        result = await self.connection.execute(sqlalchemy.text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []

    async def begin(self) -> Any:
        return await self.connection.begin()


class SqlAlchemyAsyncSession(SqlAlchemyAsyncConnection):
    async def open(self) -> None:
        self.engine = create_async_engine(self.engine_url, pool_size=1, max_overflow=0)
        self.connection = AsyncSession(self.engine)


class AsyncpgSession(SqlAlchemyAsyncSession):
    driver = "asyncpg"


KINDS = [
    Psycopg,
    PsycopgAutocommit,
    PsycopgAsync,
    PsycopgAsyncAutocommit,
    SqlAlchemyConnection,
    SqlAlchemySession,
    SqlAlchemyAsyncConnection,
    SqlAlchemyAsyncSession,
    AsyncpgSession,
]

every_client = pytest.mark.parametrize("customer", KINDS, indirect=True, ids=lambda kind: kind.__name__)
one_of_each_client = pytest.mark.parametrize(
    "customer",
    [Psycopg, PsycopgAsync, SqlAlchemySession, SqlAlchemyAsyncSession],
    indirect=True,
    ids=lambda kind: kind.__name__,
)
