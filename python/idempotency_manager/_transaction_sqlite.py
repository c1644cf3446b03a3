"""Sharing the transaction of a `sqlite3.Connection`.

The connection is the caller's, and so are its settings. Its `row_factory` is put aside for each cursor; its
`text_factory` and its converters never see a value, because every column is read as the result of an expression, and
every text as bytes. Statements that control transactions are written out, because `commit()` does nothing with
`autocommit=True`.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from os import fsdecode
from os.path import samefile

from ._core import SQLITE_SCHEMA_VERSION
from ._transaction_row import Row
from ._transaction_schema import statements
from .exceptions import ConfigurationError, StoreError, StoreUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

    from ._transaction_drive import Steps

_OLDEST = (3, 37, 0)
"""The first SQLite with STRICT tables."""

_NAMES = ("key", "signal_id", "action_type", "target", "owner", "owner_process")
_TEXTS = (*_NAMES, "state", "latch", "error", "error_type", "error_args", "params", "context")
_NUMBERS = ("fence", "attempts", "started_at", "lease_until", "executed_at", "expires_at")
_COLUMNS = (*_TEXTS, *_NUMBERS, "fingerprint", "result")
_END = ("state", "executed_at", "expires_at", "lease_until", "result", "error", "error_type", "error_args")
_ENCODINGS = {b"a": "utf-8", b"a\0": "utf-16-le", b"\0a": "utf-16-be"}
"""How the letter a lies in a database of each encoding."""

# Nothing but the names of columns above is put into a statement.
_FIND = f"""
SELECT {", ".join(f"CAST({name} AS BLOB) AS {name}" for name in _TEXTS)},
       {", ".join(f"{name} + 0 AS {name}" for name in _NUMBERS)},
       CAST(fingerprint AS BLOB) AS fingerprint, CAST(result AS BLOB) AS result,
       typeof(result) = 'text', CAST('a' AS BLOB)
FROM main.idempotency_records
WHERE key = ? AND namespace_id = (SELECT id FROM main.idempotency_namespaces WHERE name = ?)
"""  # noqa: S608
# What is written here is in the indexes at once (`settled`): a store puts in only what it has left out itself, which it
# looks for among the newest fences alone.
_CLAIM = f"""
INSERT INTO main.idempotency_records (namespace_id, {", ".join(_COLUMNS)})
VALUES ((SELECT id FROM main.idempotency_namespaces WHERE name = :namespace), {", ".join(f":{c}" for c in _COLUMNS)})
ON CONFLICT (key, namespace_id) DO UPDATE SET
    settled = 1, {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "key")}
"""  # noqa: S608
_FINISH = f"""
UPDATE main.idempotency_records SET {", ".join(f"{name} = :{name}" for name in _END)} WHERE fence = :fence
RETURNING 1
"""  # noqa: S608
_NAMESPACE = "INSERT INTO main.idempotency_namespaces (name) VALUES (?)"
_COUNT = "UPDATE main.idempotency_records SET attempts = attempts + 1 WHERE fence = ?"
_ABOUT = """
SELECT (SELECT value FROM main.idempotency_meta WHERE name = 'schema') + 0,
       (SELECT id FROM main.idempotency_namespaces WHERE name = ?) + 0
"""
_SWEEP = """
DELETE FROM main.idempotency_records WHERE fence IN (
    SELECT fence FROM main.idempotency_records
    WHERE namespace_id = (SELECT id FROM main.idempotency_namespaces WHERE name = ?)
    AND settled = 1 AND state IN ('completed', 'failed') AND expires_at <= ? LIMIT 2
)
"""
_NEXT_FENCE = """
SELECT max(coalesce((SELECT max(fence) FROM main.idempotency_records), 0),
           coalesce((SELECT value FROM main.idempotency_meta WHERE name = 'fence'), 0)) + 1
"""
# Takes the right to write without touching a page.
_LOCK = "UPDATE main.idempotency_meta SET value = value WHERE 0"
_MISSING = "no such table: main.idempotency_meta"
_NUMBERS_OF_SAVEPOINTS = count(1)


@dataclass(slots=True)
class _Savepoint:
    name: str
    is_over: bool = False


class SqliteBackend:
    """See `Backend`."""

    waits = False  # whoever may write here has the whole database
    elsewhere = "in another process by a manager or the command line on that file"

    def __init__(self, connection: sqlite3.Connection, namespace: str) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            found = f"connection: Python's sqlite3 is built on SQLite {sqlite3.sqlite_version}"
            raise ConfigurationError(f"{found}; sharing a transaction takes 3.37 or newer: use a newer Python build")
        self._connection = connection
        self._namespace = namespace
        self._around_executor: _Savepoint | None = None
        self._file = ""
        self._file = self._find_file()

    def _find_file(self) -> str:
        try:
            listed = self._execute("PRAGMA database_list")
        except sqlite3.Error as error:
            raise self._translate(error, "look at the connection") from error
        for _, name, file in listed:
            if name in ("main", b"main"):
                return fsdecode(file) if isinstance(file, str | bytes) else str(file)
        return ""

    @property
    def place(self) -> Hashable:
        """See `Backend`. A database without a file is its connection's own."""
        return self._file or id(self._connection), self._namespace

    def shown(self) -> str:
        """See `Backend`."""
        return repr(self._file) if self._file else "the connection's database"

    def is_file(self, path: str) -> bool:
        """See `Backend`."""
        try:
            return samefile(self._file, path)  # noqa: PTH121 - both are text
        except OSError:  # one of them is not there
            return False

    def is_open(self) -> bool:
        """See `Backend`."""
        try:
            return self._connection.in_transaction
        except sqlite3.ProgrammingError:
            return False

    def now(self) -> int:
        """See `Backend`."""
        return time.time_ns() // 1000

    def begin(self) -> Steps[None]:
        """See `Backend`. At once with the right to write."""
        yield from self._run("begin a transaction", "BEGIN IMMEDIATE")

    def commit(self) -> Steps[None]:
        """See `Backend`."""
        try:
            yield from self._raw("COMMIT")
        except sqlite3.IntegrityError:  # a deferred constraint of the caller's own rows
            raise
        except sqlite3.Error as error:
            raise self._translate(error, "commit") from error

    def rollback(self) -> Steps[None]:
        """See `Backend`."""
        if self.is_open():
            yield from self._run("roll back", "ROLLBACK")

    def prepare(self) -> Steps[_Savepoint]:
        """See `Backend`."""
        doing = "write in this transaction"
        try:
            if not (yield from self._lock()):
                yield from self._create()
        except sqlite3.Error as error:
            raise self._translate(error, doing) from error
        [(version, namespace)] = yield from self._run(doing, _ABOUT, (self._namespace,))
        if version > SQLITE_SCHEMA_VERSION:
            problem = (
                f"the tables in {self.shown()} are of version {version}, and this package knows {SQLITE_SCHEMA_VERSION}"
            )
            raise StoreUnavailableError(f"{problem}: upgrade idempotency-manager. Nothing was executed")
        if namespace is None:
            yield from self._run(doing, _NAMESPACE, (self._namespace,))
        return (yield from self._save())

    def _lock(self) -> Steps[bool]:
        """Take the right to write before anything is read, for what was read can't be written after others wrote."""
        try:
            yield from self._raw(_LOCK)
        except sqlite3.OperationalError as error:
            if str(error) == _MISSING:
                return False
            raise
        return True

    def _create(self) -> Steps[None]:
        first, *others = statements()
        try:
            yield from self._raw(first)
        except sqlite3.OperationalError as error:
            # Somebody else has made them since they were looked for, and had the right to write meanwhile.
            if "already exists" in str(error) and (yield from self._lock()):
                return
            raise
        for statement in others:
            yield from self._raw(statement)

    def take(self, row: Row) -> Steps[tuple[Row, bool]]:
        """See `Backend`. The right to write keeps everybody else away."""
        found = yield from self._find(row.key)
        if found is not None:
            yield from self._run("count the call", _COUNT, (found.fence,))
            return found, False
        numbered = replace(row, fence=(yield from self.next_fence(0)))
        yield from self.claim(numbered)
        return numbered, True

    def sweep(self, now: int) -> Steps[None]:
        """See `Backend`."""
        yield from self._run("remove expired records", _SWEEP, (self._namespace, now))

    def _find(self, key: str) -> Steps[Row | None]:
        found = yield from self._run("read the record", _FIND, (key, self._namespace))
        if not found:
            return None
        *values, is_text, letter = found[0]
        encoding = _ENCODINGS[letter]
        fields: dict[str, Any] = dict(zip(_COLUMNS, values, strict=True))
        for name in (*_TEXTS, "result") if is_text else _TEXTS:
            if fields[name] is not None:
                fields[name] = fields[name].decode(encoding)
        return Row(**fields)

    def next_fence(self, than: int) -> Steps[int]:
        """See `Backend`."""
        [(fence,)] = yield from self._run("number the claim", _NEXT_FENCE)
        return max(int(fence), than + 1)

    def claim(self, row: Row) -> Steps[None]:
        """See `Backend`."""
        values = {name: getattr(row, name) for name in _COLUMNS}
        yield from self._run("write the record", _CLAIM, {"namespace": self._namespace, **values})

    def finish(self, row: Row) -> Steps[bool]:
        """See `Backend`."""
        values = {name: getattr(row, name) for name in _END}
        return bool((yield from self._run("write the record", _FINISH, {"fence": row.fence, **values})))

    def _save(self) -> Steps[_Savepoint]:
        savepoint = _Savepoint(f"idempotency_{next(_NUMBERS_OF_SAVEPOINTS)}")
        yield from self._run("set a savepoint", f"SAVEPOINT {savepoint.name}")
        return savepoint

    def release(self, savepoint: _Savepoint) -> Steps[None]:
        """See `Backend`."""
        yield from self._end("RELEASE", savepoint)

    def undo(self, savepoint: _Savepoint) -> Steps[bool]:
        """See `Backend`."""
        if savepoint.is_over:
            return False
        return (yield from self._end("ROLLBACK TO", savepoint)) and (yield from self._end("RELEASE", savepoint))

    def enter(self) -> Steps[None]:
        """See `Backend`. The savepoint is gone if the executor ends the transaction."""
        self._around_executor = yield from self._save()

    def flush(self) -> Steps[None]:
        """See `Backend`. What was executed is written."""
        yield from ()

    def leave(self) -> Steps[bool]:
        """See `Backend`."""
        assert self._around_executor is not None  # noqa: S101 - it was entered
        return (yield from self._end("RELEASE", self._around_executor))

    def is_transient(self, _error: BaseException) -> bool:
        """See `Backend`. Whoever may write is alone."""
        return False

    def _end(self, verb: str, savepoint: _Savepoint) -> Steps[bool]:
        try:
            yield from self._raw(f"{verb} {savepoint.name}")
        except sqlite3.ProgrammingError:  # closed meanwhile
            return False
        except sqlite3.Error as error:
            if str(error) == f"no such savepoint: {savepoint.name}":
                return False
            raise self._translate(error, "end a savepoint") from error
        savepoint.is_over = verb == "RELEASE"
        return True

    # ---------------------------------------------------------------- statements and their errors

    def _execute(self, statement: str, values: Any = ()) -> list[Any]:
        """Run a statement with a cursor of the plainest kind, whatever the connection's class makes of `cursor()`."""
        cursor = sqlite3.Connection.cursor(self._connection)
        try:
            cursor.row_factory = None
            return cursor.execute(statement, values).fetchall()
        finally:
            cursor.close()

    def _raw(self, statement: str, values: Any = ()) -> Steps[list[Any]]:
        rows: list[Any] = yield partial(self._execute, statement, values)
        return rows

    def _run(self, doing: str, statement: str, values: Any = ()) -> Steps[list[Any]]:
        try:
            return (yield from self._raw(statement, values))
        except sqlite3.Error as error:
            raise self._translate(error, doing) from error

    def _translate(self, error: sqlite3.Error, doing: str) -> Exception:
        if isinstance(error, sqlite3.ProgrammingError):
            return ConfigurationError(f"connection: {error}")
        problem = f"can't {doing} in {self.shown()}: {error}"
        name = getattr(error, "sqlite_errorname", None) or ""
        remedy = _remedy(name, doing, str(error))
        kind = StoreError if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) else StoreUnavailableError
        return kind(f"{problem}. {remedy}")


def _remedy(name: str, doing: str, text: str) -> str:
    """Say what to do about an SQLite error, and what became of the effect."""
    if doing == "commit":
        undone = "Row and record are committed together or not at all: call again, and the answer will tell"
    else:
        undone = "Nothing was executed, or it is undone together with its record"
    if name == "SQLITE_BUSY_SNAPSHOT":
        advice = (
            "The transaction has read before it came to write, and somebody else wrote meanwhile: begin it with "
            "BEGIN IMMEDIATE, or let this call be the first thing in it, and run it again from its start"
        )
    elif "statements in progress" in text:
        advice = (
            "An INSERT … RETURNING on this connection has rows that nobody has read: fetchall(), or close its cursor"
        )
    elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        advice = (
            "Somebody else is writing: give sqlite3.connect(timeout=…) more seconds, keep transactions short, "
            "and begin those that write with BEGIN IMMEDIATE"
        )
    elif name.startswith("SQLITE_READONLY"):
        advice = "The database can't be written: look at the file's and its folder's permissions, and at mode=ro"
    elif name.startswith("SQLITE_FULL"):
        advice = "Make room on the disk"
    elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        advice = "The file is damaged or is no database: restore it from a backup"
    else:
        advice = "Look at the database"
    return f"{advice}. {undone}"
