"""Fills a store's SQLite file faster than the store would: rows by the hundred thousand, in the documented tables.

Run as a module, in a process of its own: two SQLite libraries that have one file open in one process break each
other's locks.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from ._durable import ROOM, STRIDE
from ._fresh import number_from

SIGNAL_OF = 100
"""Records that share a signal."""

NAMESPACE = "idempotency"
HOUR_US = 3_600_000_000
WEEK_US = 7 * 24 * HOUR_US
MEGABYTES_OF_CACHE = 400

INSERT = """
INSERT INTO idempotency_records (
    fence, namespace_id, key, state, signal_id, action_type, target, fingerprint, owner, attempts, started_at,
    executed_at, expires_at, result
) VALUES (?, ?, ?, 'completed', ?, 'create_card', 'trello', ?, 'host:1', 1, ?, ?, ?, ?)
"""
ADD_NAMESPACE = "INSERT INTO idempotency_namespaces (name) VALUES (?) ON CONFLICT DO NOTHING"
FIND_NAMESPACE = "SELECT id FROM idempotency_namespaces WHERE name = ?"
NEWEST_FENCE = """
SELECT max((SELECT coalesce(max(fence), 0) FROM idempotency_records),
           (SELECT value FROM idempotency_meta WHERE name = 'fence'))
"""
SETTLE = """
UPDATE idempotency_records SET settled = 1
WHERE settled = 0 AND fence > (SELECT value FROM idempotency_meta WHERE name = 'settled')
"""
MOVE_MARK = """
UPDATE idempotency_meta SET value = (SELECT max(fence) FROM idempotency_records) WHERE name = 'settled'
"""

Row = tuple[int, int, str, str, bytes, int, int, int, str]


def add_rows(path: Path, numbers: range, *, expired: bool) -> None:
    """Adds a finished record for each number, in a process of its own."""
    first, end = str(numbers.start), str(numbers.stop)
    number_from("-m", __spec__.name, str(path), first, end, "expired" if expired else "alive")


def signal_of(number: int) -> str:
    """The signal of that record: in no order, as those of webhooks."""
    return f"evt_{number // SIGNAL_OF * STRIDE % ROOM:08d}"


def _insert(path: Path, numbers: range, *, expired: bool) -> int:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{MEGABYTES_OF_CACHE}000")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(ADD_NAMESPACE, (NAMESPACE,))
        (namespace,) = connection.execute(
            "SELECT id FROM idempotency_namespaces WHERE name = ?", (NAMESPACE,)
        ).fetchone()
        (fence,) = connection.execute(NEWEST_FENCE).fetchone()
        connection.execute(SETTLE)
        connection.executemany(INSERT, _rows(numbers, namespace, fence, expired=expired))
        connection.execute(MOVE_MARK)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _wait_for_the_disk(path)
    return len(numbers)


def _wait_for_the_disk(path: Path) -> None:
    """What was written here would otherwise be waited for by the next commit of whoever is measured."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _rows(numbers: range, namespace: int, fence: int, *, expired: bool) -> Iterator[Row]:
    now = time.time_ns() // 1000
    executed_at, expires_at = (now - 25 * HOUR_US, now - HOUR_US) if expired else (now, now + WEEK_US)
    for place, number in enumerate(numbers, 1):
        signal = signal_of(number)
        fingerprint = sha256(str(number).encode()).digest()
        key = f"{signal}:create_card:trello:{fingerprint.hex()[:16]}"
        result = f'{{"id":"card_{number}","url":"https://example.com/c/{number}"}}'
        yield (fence + place, namespace, key, signal, fingerprint, executed_at, executed_at, expires_at, result)


if __name__ == "__main__":
    where, start, stop, kind = sys.argv[1:]
    sys.stdout.write(f"{_insert(Path(where), range(int(start), int(stop)), expired=kind == 'expired')}\n")
