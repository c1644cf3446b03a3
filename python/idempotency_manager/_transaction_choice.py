"""Which connection is of which database."""

from __future__ import annotations

from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._transaction_backend import Backend


def backend_for(connection: Any, namespace: str, wait: int, *, awaits: bool) -> Backend:
    """Choose by the connection's type.

    Args:
        connection: The caller's.
        namespace: Keeps applications apart that share a database.
        wait: How long to wait for a key, in microseconds.
        awaits: Whether the call can await.

    Raises:
        ConfigurationError: It is of no type that is known here, or can't be used.
    """
    given = f"{type(connection).__module__}.{type(connection).__qualname__}"
    for cls in type(connection).__mro__:
        name = f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"
        if name in _REGISTRIES:
            return backend_for(connection(), namespace, wait, awaits=awaits)
        known = _BACKENDS.get(name)
        if known is None:
            continue
        opener, is_asynchronous = known
        if is_asynchronous and not awaits:
            raise ConfigurationError(f"connection: {given} is asynchronous; use aexecute_in_transaction with it")
        if awaits and not is_asynchronous:
            raise ConfigurationError(
                f"connection: {given} would block the event loop; give an asynchronous connection, or call "
                "IdempotencyManager.execute_in_transaction in a thread, with a connection that the thread has made"
            )
        return opener(connection, namespace, wait)
    problem = f"connection: {given} is no connection whose transaction can be shared"
    raise ConfigurationError(
        f"{problem}; give a sqlite3.Connection of the standard library, a psycopg 3 connection, or a connection or "
        "session of SQLAlchemy"
    )


# Each imports its client only for those who have such a connection.


def _sqlite(connection: Any, namespace: str, _wait: int) -> Backend:
    from ._transaction_sqlite import SqliteBackend  # noqa: PLC0415

    return SqliteBackend(connection, namespace)


def _psycopg(connection: Any, namespace: str, wait: int) -> Backend:
    from ._transaction_postgres import PostgresBackend  # noqa: PLC0415
    from ._transaction_psycopg import PsycopgLink  # noqa: PLC0415

    return PostgresBackend(PsycopgLink(connection), namespace, wait)


def _sqlalchemy(connection: Any, namespace: str, wait: int) -> Backend:
    from ._transaction_postgres import PostgresBackend  # noqa: PLC0415
    from ._transaction_sqlalchemy import SqlAlchemyLink  # noqa: PLC0415

    return PostgresBackend(SqlAlchemyLink(connection), namespace, wait)


# By name, so that no client is imported for those who use another; True: it is asynchronous.
_BACKENDS: dict[str, tuple[Callable[[Any, str, int], Backend], bool]] = {
    "sqlite3.Connection": (_sqlite, False),
    "psycopg.Connection": (_psycopg, False),
    "psycopg.AsyncConnection": (_psycopg, True),
    "sqlalchemy.Connection": (_sqlalchemy, False),
    "sqlalchemy.Session": (_sqlalchemy, False),
    "sqlalchemy.AsyncConnection": (_sqlalchemy, True),
    "sqlalchemy.AsyncSession": (_sqlalchemy, True),
}
_REGISTRIES = {"sqlalchemy.scoped_session", "sqlalchemy.async_scoped_session"}
"""What gives the current session when it is called."""
