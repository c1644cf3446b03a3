"""Sharing the transaction of a connection to PostgreSQL, whichever client gave it.

Nothing is locked but the key's record: whoever puts it down first has it until the transaction ends, and others who try
wait for that, because the primary key makes them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import count

from ._core import POSTGRES_SCHEMA_LOCK, POSTGRES_SCHEMA_VERSION
from ._transaction_backend import CommitLostError, KeyBusyError
from ._transaction_link import is_lost, sqlstate
from ._transaction_postgres_errors import is_the_callers, not_writable, swallowed, translated
from ._transaction_postgres_sql import (
    ABOUT,
    CLAIM,
    FINISH,
    HAS_TABLES,
    NEXT_FENCE,
    SET_TIMEOUTS,
    SWEEP,
    TAKE,
    VERSION,
    WHICH_TRANSACTION,
    row_of,
    values_of,
)
from ._transaction_schema import postgres_statements
from .exceptions import ConfigurationError, StoreUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from typing import Any, NoReturn

    from ._transaction_drive import Steps
    from ._transaction_link import Link
    from ._transaction_row import Row

_OLDEST = 130_000
"""PostgreSQL 13."""
_LONGEST = 2**31 - 1
"""What a timeout can hold, in milliseconds."""
_LONGER = 1000
"""How much longer all waits of a call may be than one, in milliseconds: the server has more to do than to wait."""
_MAKING_TABLES = "SELECT pg_advisory_xact_lock(CAST(%(number)s AS bigint))"
_SWEEPS_EVERY = 8
"""How many executions share the round trip that removes expired records; a process's first one takes it."""
_EXECUTIONS = count()
_CHECKED: set[Any] = set()
"""Databases whose tables are known to be of a version that is known here."""
_TRANSIENT = ("40001", "40P01")


@dataclass(slots=True)
class _Savepoint:
    handle: Any
    is_over: bool = False


class PostgresBackend:
    """See `Backend`."""

    waits = True
    elsewhere = "by a manager or the command line with a store in that database"

    def __init__(self, link: Link, namespace: str, wait: int) -> None:
        self._link = link
        self._namespace = namespace
        self._wait = min(max(wait // 1000, 1), _LONGEST - _LONGER)
        self._timeouts: dict[str, str] = {}
        """The caller's own."""
        self._may_sweep = False
        self._transaction: str | None = None
        """The server's number of the transaction that the record was taken in."""
        self._savepoint: _Savepoint | None = None
        self._clock = time.time_ns() // 1000, time.perf_counter_ns()

    @property
    def place(self) -> Hashable:
        """See `Backend`."""
        return "postgresql", self._link.place, self._namespace

    def shown(self) -> str:
        """See `Backend`."""
        host, port, database = self._link.place
        return f"the database {database!r} at {host}:{port}"

    def is_file(self, _path: str) -> bool:
        """See `Backend`."""
        return False

    def is_open(self) -> bool:
        """See `Backend`."""
        return self._link.is_open()

    def now(self) -> int:
        """See `Backend`. The server's, as it was when it was last asked, and what has elapsed here since."""
        then, elapsed = self._clock
        return then + (time.perf_counter_ns() - elapsed) // 1000

    # ---------------------------------------------------------------- the transaction

    def begin(self) -> Steps[None]:
        """See `Backend`."""
        try:
            yield from self._link.begin()
        except self._link.errors as error:
            self._refuse(error, "begin a transaction")

    def commit(self) -> Steps[None]:
        """See `Backend`."""
        try:
            yield from self._link.commit()
        except self._link.errors as error:
            if is_lost(error):
                raise CommitLostError from error
            raise

    def rollback(self) -> Steps[None]:
        """See `Backend`."""
        if not self._link.is_open():
            return
        try:
            yield from self._link.rollback()
        except self._link.errors:
            return  # it is out of reach, and the server undoes what it hears no more of

    def prepare(self) -> Steps[_Savepoint]:
        """See `Backend`. A timeout that is set after the savepoint is undone with it."""
        savepoint = yield from self._save()
        try:
            if not (yield from self._look()):
                yield from self._create()
                yield from self.release(savepoint)
                savepoint = yield from self._save()
            if self._link.place not in _CHECKED:
                yield from self._check_version()
        except BaseException:
            yield from self.undo(savepoint)
            raise
        return savepoint

    def _look(self) -> Steps[bool]:
        """Look at the transaction, and let no statement that follows take too long; False if there are no tables."""
        [answer] = yield from self._run("look at the transaction", ABOUT, {"limit": self._wait + _LONGER})
        version, encoding, isolation, is_read_only, is_standby, records, clock, lock, statement, _ = answer
        self._see(clock)
        self._may_sweep = isolation == "read committed"
        self._timeouts = {"lock": lock, "statement": statement}
        if int(version) < _OLDEST:
            raise ConfigurationError(f"connection: PostgreSQL {int(version) // 10_000} is too old; use 13 or newer")
        if encoding != "UTF8":
            raise ConfigurationError(
                f"connection: its client_encoding is {encoding}, which lacks characters that records have; connect "
                "with client_encoding=utf8"
            )
        if is_read_only == "on":
            raise not_writable(self.shown(), standby=is_standby == "true")
        return records is not None

    def _check_version(self) -> Steps[None]:
        [(version,)] = yield from self._run("look at the tables", VERSION)
        if int(version) > POSTGRES_SCHEMA_VERSION:
            known = f"this package knows {POSTGRES_SCHEMA_VERSION}"
            problem = f"the tables in {self.shown()} are of version {version}, and {known}"
            raise StoreUnavailableError(f"{problem}: upgrade idempotency-manager. Nothing was executed")
        _CHECKED.add(self._link.place)

    def _create(self) -> Steps[None]:
        doing = "make the tables"
        yield from self._run(doing, SET_TIMEOUTS, {**self._timeouts, "lock": str(self._wait)})
        yield from self._run(doing, _MAKING_TABLES, {"number": POSTGRES_SCHEMA_LOCK})
        [(records,)] = yield from self._run(doing, HAS_TABLES)
        if records is None:
            for statement in postgres_statements():
                yield from self._run(doing, statement)
        yield from self._run(doing, SET_TIMEOUTS, self._timeouts)

    def _save(self) -> Steps[_Savepoint]:
        self._transaction = None
        try:
            self._savepoint = _Savepoint((yield from self._link.save()))
        except self._link.errors as error:
            self._refuse(error, "set a savepoint")
        return self._savepoint

    def release(self, savepoint: _Savepoint) -> Steps[None]:
        """See `Backend`."""
        try:
            yield from self._link.release(savepoint.handle)
        except self._link.errors as error:
            self._refuse(error, "end a savepoint")
        savepoint.is_over = True

    def undo(self, savepoint: _Savepoint) -> Steps[bool]:
        """See `Backend`."""
        if savepoint.is_over:
            return False
        savepoint.is_over = True
        try:
            # Asked for first, because a savepoint that is not there would make another transaction fail.
            if (yield from self._is_same(savepoint)) is False:
                return False
            yield from self._link.undo(savepoint.handle)
        except self._link.errors:
            return False  # it has ended, or is out of reach
        return True

    def _is_same(self, savepoint: _Savepoint) -> Steps[bool | None]:
        """Tell whether this is the transaction that the savepoint is in; None if it has failed and can't tell."""
        if not self._link.is_open() or not self._link.is_alive(savepoint.handle):
            return False
        if self._transaction is None:  # nothing of the caller's has run since
            return None
        try:
            [(number,)] = yield from self._link.execute(WHICH_TRANSACTION)
        except self._link.errors as error:
            if self._is_failed(error):
                return None
            raise
        return bool(number == self._transaction)

    def enter(self) -> Steps[None]:
        """See `Backend`. The transaction's number is known."""
        yield from ()

    def flush(self) -> Steps[None]:
        """See `Backend`."""
        yield from self._link.flush()

    def leave(self) -> Steps[bool]:
        """See `Backend`."""
        assert self._savepoint is not None  # noqa: S101 - it was entered
        try:
            is_same = yield from self._is_same(self._savepoint)
        except self._link.errors as error:
            self._refuse(error, "look at the transaction")
        if is_same is None:
            raise swallowed(self.shown())
        return is_same

    def is_transient(self, error: BaseException) -> bool:
        """See `Backend`."""
        return isinstance(error, self._link.errors) and sqlstate(error) in _TRANSIENT

    # ---------------------------------------------------------------- records

    def take(self, row: Row) -> Steps[tuple[Row, bool]]:
        """See `Backend`."""
        values = {**values_of(row, self._namespace), **self._timeouts, "wait": str(self._wait)}
        began = time.monotonic()
        try:
            [answer] = yield from self._link.execute(TAKE, values)
        except self._link.errors as error:
            if self._has_waited(error, began):
                raise KeyBusyError from error
            self._refuse(error, "write the record")
        *columns, is_new, self._transaction, clock, _, _ = answer
        self._see(clock)
        found = row_of(columns)
        if is_new == "true":
            return replace(row, fence=found.fence), True
        return replace(found, attempts=found.attempts - 1), False

    def _has_waited(self, error: BaseException, began: float) -> bool:
        """Tell whether the key was waited for in vain: for one transaction, or for several, one after the other."""
        state = sqlstate(error)
        return state == "55P03" or (state == "57014" and (time.monotonic() - began) * 1000 > self._wait)

    def sweep(self, now: int) -> Steps[None]:
        """See `Backend`. A transaction that sees what was there when it began would fail over what has changed."""
        if self._may_sweep and next(_EXECUTIONS) % _SWEEPS_EVERY == 0:
            values = {"namespace": self._namespace, "now": now, "limit": 2 * _SWEEPS_EVERY}
            yield from self._run("remove expired records", SWEEP, values)

    def next_fence(self, than: int) -> Steps[int]:
        """See `Backend`."""
        [(fence,)] = yield from self._run("number the claim", NEXT_FENCE, {"than": than})
        return int(fence)

    def claim(self, row: Row) -> Steps[None]:
        """See `Backend`."""
        yield from self._run("write the record", CLAIM, values_of(row, self._namespace))

    def finish(self, row: Row) -> Steps[bool]:
        """See `Backend`."""
        return bool((yield from self._run("write the record", FINISH, values_of(row, self._namespace))))

    # ---------------------------------------------------------------- statements and their errors

    def _see(self, clock: str) -> None:
        self._clock = int(clock), time.perf_counter_ns()

    def _run(self, doing: str, statement: str, values: Mapping[str, Any] | None = None) -> Steps[list[Any]]:
        try:
            return (yield from self._link.execute(statement, values))
        except self._link.errors as error:
            self._refuse(error, doing)

    def _is_failed(self, error: BaseException) -> bool:
        return sqlstate(error) == "25P02" or self._link.is_failed(error)

    def _refuse(self, error: Exception, doing: str) -> NoReturn:
        """Raise what says what to do about an error; one that is the caller's to deal with as it is."""
        if is_the_callers(error):
            raise error
        failed = sqlstate(error) in (None, "25P02") and self._is_failed(error)
        raise translated(error, doing, self.shown(), failed=failed) from error
