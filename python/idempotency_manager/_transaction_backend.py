"""The few things that a database must do to share a caller's transaction."""

from __future__ import annotations

from typing import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

    from ._transaction_drive import Steps
    from ._transaction_row import Row


class Backend(Protocol):
    """A caller's connection, as far as sharing its transaction goes.

    Every statement goes through that connection. What the database refuses is raised as an `IdempotencyError` that says
    what to do, but for errors that are about the caller's own rows or other transactions, which are raised as they are.
    Nothing but `begin`, `commit` and `rollback` begins or ends a transaction.
    """

    waits: bool
    """Whether one key can be waited for; else a transaction has the whole database to itself."""

    elsewhere: str
    """Where else than here a record can be settled, for people: goes on after "settle it here, or"."""

    @property
    def place(self) -> Hashable:
        """What tells this database from any other."""

    def shown(self) -> str:
        """Name the database, for people."""

    def is_file(self, path: str) -> bool:
        """Tell whether the database is this file."""

    def is_open(self) -> bool:
        """Tell whether a transaction is open; False on a connection that is closed."""

    def now(self) -> int:
        """Tell the time by the database's clock, in microseconds since 1970, once it is prepared."""

    def begin(self) -> Steps[None]:
        """Begin a transaction that may write."""

    def commit(self) -> Steps[None]:
        """Commit it.

        Raises:
            CommitLostError: Nobody knows whether it was committed.
        """

    def rollback(self) -> Steps[None]:
        """Undo it, if there is one."""

    def prepare(self) -> Steps[Any]:
        """Be sure of the right to write and of the tables, in the open transaction, and set a savepoint.

        Raises:
            StoreUnavailableError: The transaction can't write, or the tables are of a newer version.
        """

    def take(self, row: Row) -> Steps[tuple[Row, bool]]:
        """Put this record down under a new fence, or count one more attempt of the one that is there, expired or not.

        Until the transaction ends, or is undone to before this, nobody else gets at the key's record.

        Returns:
            The record as it was put down, and True; or the one that was there, uncounted, and False.

        Raises:
            KeyBusyError: Another transaction has taken the key, and has not ended in time.
        """

    def sweep(self, now: int) -> Steps[None]:
        """Remove a few finished records whose time was over before `now`: on average more than one call adds."""

    def next_fence(self, than: int) -> Steps[int]:
        """Give a number above every fence that was ever issued here, and above this one."""

    def claim(self, row: Row) -> Steps[None]:
        """Put the record down under its own fence, in place of any other of its key."""

    def finish(self, row: Row) -> Steps[bool]:
        """Write the end of the record that has this fence; False if there is none."""

    def release(self, savepoint: Any) -> Steps[None]:
        """Forget a savepoint, and keep what was done since."""

    def undo(self, savepoint: Any) -> Steps[bool]:
        """Undo what was done since the savepoint, and forget it; False if the transaction that had it has ended."""

    def enter(self) -> Steps[None]:
        """Note that an executor is about to run."""

    def flush(self) -> Steps[None]:
        """Write what the executor has left unwritten. What is raised here is the executor's."""

    def leave(self) -> Steps[bool]:
        """Note that the executor has returned; False if it has ended the transaction that it was in."""

    def is_transient(self, error: BaseException) -> bool:
        """Tell whether a transaction that ended so would come through if it ran again from its start."""


class KeyBusyError(Exception):
    """Another transaction has the key, and has not ended in time. Nobody outside of a call sees this."""


class CommitLostError(Exception):
    """The connection broke during the commit. Nobody outside of a call sees this."""
