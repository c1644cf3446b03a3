"""What PostgreSQL's statements need of a client's connection, and what clients' errors have in common."""

from __future__ import annotations

from typing import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._transaction_drive import Steps


class Link(Protocol):
    """A caller's connection as its client gives it. Errors are the client's own."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the client raises."""

    @property
    def place(self) -> tuple[str, str, str]:
        """The server's host and port, and the database."""

    def is_open(self) -> bool:
        """Tell whether a transaction is open; False on a connection that is closed."""

    def is_alive(self, savepoint: Any) -> bool:
        """Tell whether the savepoint may be there still, as far as the client knows."""

    def is_failed(self, error: BaseException) -> bool:
        """Tell whether the transaction has failed, so that it can only be undone, as far as client and error know."""

    def execute(self, statement: str, values: Mapping[str, Any] | None = None) -> Steps[list[Any]]:
        """Run a statement, in which `%(name)s` stands for a value; give its rows as tuples."""

    def begin(self) -> Steps[None]:
        """Begin a transaction, at the latest before the next statement."""

    def commit(self) -> Steps[None]:
        """Commit it."""

    def rollback(self) -> Steps[None]:
        """Undo it."""

    def save(self) -> Steps[Any]:
        """Set a savepoint."""

    def release(self, savepoint: Any) -> Steps[None]:
        """Forget a savepoint, and keep what was done since."""

    def undo(self, savepoint: Any) -> Steps[None]:
        """Undo what was done since a savepoint, and forget it."""

    def flush(self) -> Steps[None]:
        """Write what the client has kept to itself as yet."""


def driver_error(error: BaseException) -> BaseException:
    """Give what the driver raised, without what SQLAlchemy puts around it: statement and values."""
    return getattr(error, "orig", None) or error


def sqlstate(error: BaseException) -> str | None:
    """Give the five letters by which PostgreSQL names an error; None for one that is not the server's."""
    driver = driver_error(error)
    # psycopg and asyncpg; psycopg2
    state = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
    return state if isinstance(state, str) else None


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is gone, so that nobody knows what became of the statement."""
    state = sqlstate(error)
    if state is None:
        # The driver's own; what SQLAlchemy refuses by itself never left this process.
        return driver_error(error) is not error or type(error).__module__.partition(".")[0] != "sqlalchemy"
    return state.startswith(("08", "57P"))
