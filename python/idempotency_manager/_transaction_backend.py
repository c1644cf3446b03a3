"""The few statements that a database needs for sharing a caller's transaction, and which connection speaks which."""

from __future__ import annotations

from typing import Protocol

from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from ._transaction_row import Row


class Backend(Protocol):
    """A caller's connection, as far as sharing its transaction goes.

    Every statement goes through that connection. What the database refuses is raised as an `IdempotencyError` that says
    what to do, and nothing but `begin`, `commit` and `rollback` begins or ends a transaction.
    """

    @property
    def place(self) -> Hashable:
        """What tells this database from any other."""

    def shown(self) -> str:
        """Name the database, for people."""

    def is_file(self, path: str) -> bool:
        """Tell whether the database is this file."""

    def is_open(self) -> bool:
        """Tell whether a transaction is open; False on a connection that is closed."""

    def begin(self) -> None:
        """Begin a transaction that may write, at once."""

    def commit(self) -> None:
        """Commit it. An error that is about the caller's own rows is raised as it is."""

    def rollback(self) -> None:
        """Undo it, if there is one."""

    def prepare(self) -> None:
        """Be sure of the right to write and of the tables, in the open transaction.

        Raises:
            StoreUnavailableError: The transaction can't write, or the tables are of a newer version.
        """

    def sweep(self, now: int) -> None:
        """Remove a few finished records whose time was over before `now`: more than one call adds."""

    def find(self, key: str) -> Row | None:
        """Read the key's record, expired or not."""

    def next_fence(self) -> int:
        """Give a number above every fence that was ever issued here."""

    def claim(self, row: Row) -> None:
        """Put the record down under its own fence, in place of any other of its key."""

    def finish(self, row: Row) -> bool:
        """Write the end of the record that has this fence; False if there is none."""

    def count(self, fence: int) -> None:
        """Count one more attempt."""

    def save(self, name: str) -> None:
        """Set a savepoint."""

    def release(self, name: str) -> bool:
        """Keep what was done since the savepoint; False if it is gone: the transaction that had it has ended."""

    def undo(self, name: str) -> bool:
        """Undo what was done since the savepoint, and release it; False as for `release`."""


def backend_for(connection: Any, namespace: str) -> Backend:
    """Choose by the connection's type.

    Raises:
        ConfigurationError: It is of no type that is known here, or can't be used.
    """
    for cls in type(connection).__mro__:
        opener = _BACKENDS.get((cls.__module__.partition(".")[0], cls.__qualname__))
        if opener is not None:
            return opener(connection, namespace)
    given = f"{type(connection).__module__}.{type(connection).__qualname__}"
    problem = f"connection: {given} is no connection whose transaction can be shared"
    raise ConfigurationError(f"{problem}; give a sqlite3.Connection of the standard library")


def _sqlite(connection: Any, namespace: str) -> Backend:
    from ._transaction_sqlite import SqliteBackend  # noqa: PLC0415 - only for those who have such a connection

    return SqliteBackend(connection, namespace)


# By name, so that no client is imported for those who use another.
_BACKENDS: dict[tuple[str, str], Callable[[Any, str], Backend]] = {("sqlite3", "Connection"): _sqlite}
