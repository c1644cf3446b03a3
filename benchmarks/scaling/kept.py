"""How many bytes a record takes on each engine, and how many it makes the engine write.

Run as a module with a number of records and the length of a body, it prints the bytes that a process grows by with the
memory store.
"""

import asyncio
import gc
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks._fresh import number_from
from benchmarks._report import Facts
from benchmarks.memory import resident_bytes
from benchmarks.peers.on_disk import CROWD
from servers import PostgresServer, RedisServer

from .subjects import MEMORY, POSTGRES, REDIS, SQLITE, running
from .work import call_all, guarded, open_manager

RECORDS, QUICK_RECORDS = 100_000, 2_000
BODIES = (0, 1_000)
SHORT = 57
"""Bytes of the encoded result without a body."""

BODY_MEMBER = len(',"body":""')
PACKED = "hash-max-listpack-value 2048"
"""A setting of Redis, by which it keeps hashes with longer values packed, too; its own is 64."""

WARM = range(10**7, 10**7 + 1_000)

CAPTION = (
    "{records:,} first calls of different actions, each completed with a result of so many bytes of JSON, then what "
    "the engine takes, less what it took before, divided by their number. memory: resident memory of the process. "
    "SQLite: the file after the manager was closed. Redis: used_memory, which has the tables of keys and of expiries "
    "in it. PostgreSQL: pg_total_relation_size of the table, which has its indexes and the dead versions of rows in "
    "it, as it is at once, and after VACUUM FULL, which leaves a fifth of each page free (fillfactor 80) for the ends"
    " of claims to come. Written: what the server's log of writes grew by (Redis: the append-only file, without a "
    "rewrite; PostgreSQL: WAL)."
)


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes for each record.

    Attributes:
        engine: Which engine.
        result: Bytes of the encoded result.
        kept: Bytes that the engine keeps.
        written: Bytes that it writes to its log; None where it has none, or was not asked.
        remark: What else there is to say.
    """

    engine: str
    result: int
    kept: float
    written: float | None = None
    remark: str = ""


def measure(*, quick: bool) -> list[Kept]:
    """Fills each engine, with short and with longer results."""
    records = QUICK_RECORDS if quick else RECORDS
    ways = (in_memory, in_a_file, on_redis, on_postgres)
    found = [way(records, body) for way in ways for body in BODIES]
    return [*found, on_redis(records, max(BODIES), PACKED)]


def table(found: list[Kept], *, quick: bool) -> Facts:
    """What was found, in words."""
    rows = [
        (
            one.engine,
            f"{one.result:,} B",
            f"{one.kept:,.0f} B",
            "" if one.written is None else f"{one.written:,.0f} B",
            one.remark,
        )
        for one in found
    ]
    caption = CAPTION.format(records=QUICK_RECORDS if quick else RECORDS)
    return Facts("A record's bytes", caption, ("engine", "result", "kept", "written", ""), tuple(rows))


def of_result(body: int) -> int:
    """Bytes of the encoded result with such a body."""
    return SHORT + (body + BODY_MEMBER if body else 0)


def in_memory(records: int, body: int) -> Kept:
    """In a process of its own."""
    grown = number_from("-m", __spec__.name, str(records), str(body))
    return Kept(MEMORY, of_result(body), grown / records)


def in_a_file(records: int, body: int) -> Kept:
    """In a SQLite file; `normal` writes the same bytes and waits less."""
    with running(SQLITE) as subject:
        fill(f"{subject.url}?synchronous=normal", range(records), body)
        file = Path(subject.url.removeprefix("sqlite:///"))
        return Kept(SQLITE, of_result(body), file.stat().st_size / records)


def on_redis(records: int, body: int, packed: str = "") -> Kept:
    """On a Redis; its first records come before, so that what is there once is not counted."""
    with running(REDIS) as subject:
        server = subject.server
        assert isinstance(server, RedisServer)
        if packed:
            server.command("CONFIG", "SET", *packed.split())
        fill(subject.url, WARM, body)
        before = _redis_sizes(server)
        fill(subject.url, range(records), body)
        used, log = (after - least for after, least in zip(_redis_sizes(server), before, strict=True))
        alone = _memory_usage(server)
        remark = f"MEMORY USAGE of one: {alone:,.0f} B" + (f"; {packed}" if packed else "")
        return Kept(REDIS, of_result(body), used / records, log / records, remark)


def _redis_sizes(server: RedisServer) -> tuple[int, int]:
    return int(server.info("memory")["used_memory"]), int(server.info("persistence")["aof_current_size"])


def _memory_usage(server: RedisServer) -> float:
    """The median of some records, without the tables that they are in."""
    sizes = []
    with server.connect() as connection:
        for _ in range(200):
            key = connection.command("RANDOMKEY")
            if str(key).count(":") > 1:
                sizes.append(int(str(connection.command("MEMORY", "USAGE", str(key), "SAMPLES", 0))))
    return sorted(sizes)[len(sizes) // 2]


def on_postgres(records: int, body: int) -> Kept:
    """On a PostgreSQL."""
    with running(POSTGRES) as subject:
        server = subject.server
        assert isinstance(server, PostgresServer)
        fill(subject.url, WARM, body)
        before = _postgres_size(server), int(server.sql(WAL))
        fill(subject.url, range(records), body)
        size, log = _postgres_size(server) - before[0], int(server.sql(WAL)) - before[1]
        indexes = int(server.sql(f"SELECT pg_indexes_size('{TABLE}')"))
        server.sql(f"VACUUM FULL {TABLE}")
        anew = _postgres_size(server) / (records + len(WARM))
        remark = f"indexes {indexes / records:,.0f} B of it; after VACUUM FULL {anew:,.0f} B"
        return Kept(POSTGRES, of_result(body), size / records, log / records, remark)


TABLE = "idempotency_records"
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"


def _postgres_size(server: PostgresServer) -> int:
    return int(server.sql(f"SELECT pg_total_relation_size('{TABLE}')"))


def fill(url: str, numbers: range, body: int) -> None:
    """Does each action once, by many tasks."""
    with open_manager(url) as manager:
        asyncio.run(call_all(guarded(manager, "x" * body), numbers, CROWD))


def growth(records: int, body: int) -> int:
    """The bytes that this process grows by with so many records in its memory store."""
    with open_manager("memory://") as manager:
        later = guarded(manager, "x" * body)
        asyncio.run(call_all(later, WARM, CROWD))
        gc.collect()
        before = resident_bytes()
        asyncio.run(call_all(later, range(records), CROWD))
        gc.collect()
        return resident_bytes() - before


if __name__ == "__main__":
    sys.stdout.write(f"{growth(int(sys.argv[1]), int(sys.argv[2]))}\n")
