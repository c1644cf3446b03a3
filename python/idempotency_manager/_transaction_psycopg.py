"""A `psycopg.Connection`, or a `psycopg.AsyncConnection`: their methods have the same names, so one text serves both.

The connection is the caller's, and so are its settings. Statements go through a cursor of the plainest kind with the
conversions that psycopg has by itself, whatever the connection's row factory, cursor factory and adapters are.
"""

from __future__ import annotations

from functools import partial
from itertools import count

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.numeric import IntDumper
from psycopg.types.string import BytesDumper, StrDumper, TextLoader

from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._transaction_drive import Steps

_OPEN = (TransactionStatus.ACTIVE, TransactionStatus.INTRANS, TransactionStatus.INERROR)
_SAVEPOINTS = count(1)


class PsycopgLink:
    """See `Link`."""

    errors = (psycopg.Error,)

    def __init__(self, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        if connection.closed:
            raise ConfigurationError("connection: it is closed")
        if connection.pgconn.pipeline_status:
            raise ConfigurationError(
                "connection: it is in pipeline mode, in which no answer can be waited for; leave it"
            )
        if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
            raise ConfigurationError("connection: it is busy with a COPY, or with rows that are being streamed")
        self._connection = connection
        self._cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]
        if isinstance(connection, psycopg.AsyncConnection):
            self._cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)
        else:
            self._cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        adapters = self._cursor.adapters
        adapters.register_loader("text", TextLoader)
        for kind, dumper in ((str, StrDumper), (bytes, BytesDumper), (int, IntDumper)):
            adapters.register_dumper(kind, dumper)

    @property
    def place(self) -> tuple[str, str, str]:
        """See `Link`."""
        info = self._connection.info
        return info.host, str(info.port), info.dbname

    def is_open(self) -> bool:
        """See `Link`."""
        return not self._connection.closed and self._connection.pgconn.transaction_status in _OPEN

    def is_alive(self, _savepoint: str) -> bool:
        """See `Link`."""
        return self.is_open()

    def is_failed(self, _error: BaseException) -> bool:
        """See `Link`."""
        return not self._connection.closed and (self._connection.pgconn.transaction_status == TransactionStatus.INERROR)

    def execute(self, statement: str, values: Mapping[str, Any] | None = None) -> Steps[list[Any]]:
        """See `Link`."""
        cursor = self._cursor
        yield partial(cursor.execute, statement.encode(), values)
        # Only rows have a result of this kind.
        if cursor.pgresult is not None and cursor.pgresult.status == ExecStatus.TUPLES_OK:
            rows: list[Any] = yield cursor.fetchall
            return rows
        return []

    def begin(self) -> Steps[None]:
        """See `Link`. Unless the connection commits each statement by itself, psycopg begins before the first one."""
        if self._connection.autocommit:
            yield from self.execute(self._beginning())

    def _beginning(self) -> str:
        """Give the BEGIN that psycopg itself would send."""
        words = ["BEGIN"]
        if (level := self._connection.isolation_level) is not None:
            words.append(f"ISOLATION LEVEL {psycopg.IsolationLevel(level).name.replace('_', ' ')}")
        if (read_only := self._connection.read_only) is not None:
            words.append("READ ONLY" if read_only else "READ WRITE")
        if (deferrable := self._connection.deferrable) is not None:
            words.append("DEFERRABLE" if deferrable else "NOT DEFERRABLE")
        return " ".join(words)

    def commit(self) -> Steps[None]:
        """See `Link`."""
        yield from self.execute("COMMIT")

    def rollback(self) -> Steps[None]:
        """See `Link`."""
        yield from self.execute("ROLLBACK")

    def save(self) -> Steps[str]:
        """See `Link`."""
        name = f"idempotency_{next(_SAVEPOINTS)}"
        yield from self.execute(f"SAVEPOINT {name}")
        return name

    def release(self, savepoint: str) -> Steps[None]:
        """See `Link`."""
        yield from self.execute(f"RELEASE {savepoint}")

    def undo(self, savepoint: str) -> Steps[None]:
        """See `Link`."""
        yield from self.execute(f"ROLLBACK TO {savepoint}")
        yield from self.execute(f"RELEASE {savepoint}")

    def flush(self) -> Steps[None]:
        """See `Link`. What was executed is written."""
        yield from ()
