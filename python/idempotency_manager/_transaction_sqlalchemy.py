"""A connection or session of SQLAlchemy 2, synchronous or not: an asynchronous one runs a synchronous one inside.

Begin, savepoints and end go by its own methods, so that a session knows what became of its objects; so does every
statement, so that any driver for PostgreSQL serves.
"""

from __future__ import annotations

import re
from functools import cache, partial

import sqlalchemy
from sqlalchemy.exc import PendingRollbackError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.interfaces import Dialect

    from ._transaction_drive import Steps

    Subject: TypeAlias = "Connection | Session"


_AS_IT_IS: dict[str, Any] = {"no_parameters": True}


@cache
def _clause(statement: str) -> sqlalchemy.TextClause:
    return sqlalchemy.text(re.sub(r"%\((\w+)\)s", r":\1", statement))


class SqlAlchemyLink:
    """See `Link`."""

    errors = (SQLAlchemyError,)

    def __init__(self, connection: Connection | Session | AsyncConnection | AsyncSession) -> None:
        self._subject: Subject
        self._in_it: Callable[[Callable[[Any], Any]], Any]
        if isinstance(connection, AsyncConnection):
            if connection.sync_connection is None:
                raise ConfigurationError(
                    "connection: it is not connected as yet; await it, or enter it by `async with`"
                )
            self._subject, self._in_it = connection.sync_connection, connection.run_sync
        elif isinstance(connection, AsyncSession):
            self._subject, self._in_it = connection.sync_session, connection.run_sync
        else:
            self._subject, self._in_it = connection, self._here
        if not isinstance(self._subject, Session) and self._subject.closed:
            raise ConfigurationError("connection: it is closed")
        bind = self._bind()
        self._check(bind.dialect)
        url = bind.engine.url
        self._place = url.host or "", str(url.port or 5432), url.database or ""

    def _here(self, body: Callable[[Any], Any]) -> Any:
        return body(self._subject)

    def _bind(self) -> Any:
        if not isinstance(self._subject, Session):
            return self._subject
        try:
            return self._subject.get_bind()
        except SQLAlchemyError as error:
            raise ConfigurationError(f"connection: the session is bound to no database: {error}") from error

    def _check(self, dialect: Dialect) -> None:
        if dialect.name == "sqlite":
            raise ConfigurationError(
                "connection: through SQLAlchemy only PostgreSQL is served; for SQLite give a sqlite3.Connection"
            )
        if dialect.name != "postgresql":
            raise ConfigurationError(
                f"connection: its database is {dialect.name}; only PostgreSQL and SQLite are served"
            )

    @property
    def place(self) -> tuple[str, str, str]:
        """See `Link`."""
        return self._place

    def is_open(self) -> bool:
        """See `Link`."""
        return self._subject.in_transaction()

    def is_alive(self, savepoint: Any) -> bool:
        """See `Link`. One that a failed flush has undone is alive, for it has not been left."""
        if not isinstance(self._subject, Session):
            return bool(savepoint.is_active)
        nested = self._subject.get_nested_transaction()
        while nested is not None and nested is not savepoint:
            nested = nested.parent
        return nested is savepoint

    def is_failed(self, error: BaseException) -> bool:
        """See `Link`."""
        return isinstance(error, PendingRollbackError)

    def execute(self, statement: str, values: Mapping[str, Any] | None = None) -> Steps[list[Any]]:
        """See `Link`."""

        def body(subject: Subject) -> list[Any]:
            connection = subject.connection() if isinstance(subject, Session) else subject
            if values is None:  # nothing in it is a mark for a value
                result: sqlalchemy.CursorResult[Any] = connection.exec_driver_sql(statement, None, _AS_IT_IS)
            else:
                result = connection.execute(_clause(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

        rows: list[Any] = yield partial(self._in_it, body)
        return rows

    def begin(self) -> Steps[None]:
        """See `Link`."""
        yield partial(self._in_it, lambda subject: subject.begin())

    def commit(self) -> Steps[None]:
        """See `Link`."""
        yield partial(self._in_it, lambda subject: subject.commit())

    def rollback(self) -> Steps[None]:
        """See `Link`."""
        yield partial(self._in_it, lambda subject: subject.rollback())

    def save(self) -> Steps[Any]:
        """See `Link`."""
        return (yield partial(self._in_it, lambda subject: subject.begin_nested()))

    def release(self, savepoint: Any) -> Steps[None]:
        """See `Link`."""
        yield partial(self._in_it, lambda _: savepoint.commit())

    def undo(self, savepoint: Any) -> Steps[None]:
        """See `Link`."""
        yield partial(self._in_it, lambda _: savepoint.rollback())

    def flush(self) -> Steps[None]:
        """See `Link`. A session has kept what its objects are to write."""
        if isinstance(self._subject, Session):
            yield partial(self._in_it, lambda subject: subject.flush())
