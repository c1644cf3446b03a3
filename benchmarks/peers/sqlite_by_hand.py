"""What a careful user writes in an afternoon, for records that survive: sorted JSON, SHA-256, a table, two commits.

An INSERT is the claim and an UPDATE the result. There is one connection for each thread, as sqlite3 wants it. No lease,
no owner, no doubt: a record that was claimed by a process that died is refused for ever.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import orjson

from benchmarks.workload import create_card

from .hand_written import TTL_S, key_of
from .on_disk import Guarded

FILE = "by_hand.db"
TABLE = """
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, result TEXT, expires_at REAL NOT NULL) WITHOUT ROWID
"""
CLAIM = "INSERT INTO results VALUES (?, NULL, ?) ON CONFLICT DO NOTHING"
COMPLETE = "UPDATE results SET result = ?, expires_at = ? WHERE key = ?"
LOOK = "SELECT result, expires_at FROM results WHERE key = ?"
PATIENCE_S = 120
ACTION, TARGET = create_card.__name__, "trello"


class Connections(threading.local):
    """This thread's connection."""

    def __init__(self, path: Path, synchronous: str, opened: ExitStack) -> None:
        """Opens it, once in each thread."""
        self.execute = opened.enter_context(closing(connect(path, synchronous))).execute


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection in WAL mode that commits each statement."""
    connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


@contextmanager
def guard(folder: Path, synchronous: str, *, look_first: bool) -> Iterator[Guarded]:
    """The action, its records in a table of that folder."""
    opened = ExitStack()
    mine = Connections(folder / FILE, synchronous, opened)
    mine.execute(TABLE)

    def guarded(**arguments: object) -> object:
        key = key_of(ACTION, TARGET, arguments)
        if look_first and (found := mine.execute(LOOK, (key,)).fetchone()) is not None:
            return replay(found)
        if mine.execute(CLAIM, (key, time.time() + TTL_S)).rowcount == 0:
            return replay(mine.execute(LOOK, (key,)).fetchone())
        result = create_card(**arguments)  # type: ignore[arg-type]
        mine.execute(COMPLETE, (orjson.dumps(result).decode(), time.time() + TTL_S, key))
        return result

    with opened:
        yield Guarded(guarded)  # type: ignore[arg-type]


def replay(found: tuple[str | None, float]) -> object:
    """The result of a row that is finished and has not expired."""
    result, expires_at = found
    if result is None or expires_at <= time.time():
        message = "it is running, or nobody knows"
        raise RuntimeError(message)
    return orjson.loads(result)
