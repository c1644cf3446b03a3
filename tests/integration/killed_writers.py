"""A program whose children add a card in a transaction and are killed on the way; it prints what they left, as JSON.

`python -m tests.integration.killed_writers HOW FOLDER JOURNAL_MODE OWNER`: a process of its own, with no threads, so
that it can fork. OWNER is who begins the transaction: the "call", the "caller", or the "caller, deferred".
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import sys
import time
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idempotency_manager import IdempotencyManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = 4096
ACTIONS = 40
ROUNDS = 8
KILLS = 25


def action(number: int = 0) -> dict[str, str]:
    return {"signal_id": f"inv-{number}", "action": "create_card", "target": "shop"}


class Writers:
    """Children that write to one database."""

    def __init__(self, file: Path, journal_mode: str, owner: str) -> None:
        self.file = file
        self.owner = owner
        with closing(self.connect()) as connection:
            connection.execute(f"PRAGMA journal_mode = {journal_mode}")
            connection.execute("CREATE TABLE cards (title TEXT)")

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=30)
        # Who is killed takes nothing away that the system has: only a power cut would, and there is none here.
        connection.execute("PRAGMA synchronous = off")
        return connection

    def write(self, connection: sqlite3.Connection, number: int = 0) -> Any:
        """Add a card once, in a transaction of this call or of its caller."""

        def add() -> str:
            connection.execute("INSERT INTO cards VALUES (?)", (f"inv-{number}",))
            return f"card-{number}"

        with IdempotencyManager() as manager:
            if self.owner == "call":
                return manager.execute_in_transaction(connection, action(number), add)
            with connection:
                connection.execute("BEGIN" if self.owner == "caller, deferred" else "BEGIN IMMEDIATE")
                return manager.execute_in_transaction(connection, action(number), add)

    def left(self) -> dict[str, Any]:
        """What everybody finds: the cards, and the signals, states and results of the records."""
        with closing(self.connect()) as connection:
            cards = [title for (title,) in connection.execute("SELECT title FROM cards ORDER BY rowid")]
            tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'idempotency_records'").fetchall()
            columns = "signal_id, state, result, attempts"
            records = connection.execute(f"SELECT {columns} FROM idempotency_records").fetchall() if tables else []  # noqa: S608
            return {"cards": cards, "records": records}


def fork(body: Callable[[], Any]) -> int:
    """Run a body in a child of its own; give its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        body()
        status = 0
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """Wait for a child; its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# ---------------------------------------------------------------- the ways to be killed


def killed_before_statement(writers: Writers, number: int) -> Callable[[], None]:
    """A writer that is killed before its n-th statement, or at the latest when it has returned."""

    def body() -> None:
        statements = count(1)
        with closing(writers.connect()) as connection:
            connection.set_trace_callback(lambda _: die() if next(statements) == number else None)
            writers.write(connection)
            last = next(statements)
            connection.set_trace_callback(None)
        if number == last:
            die()

    return body


def killed_at_size(writers: Writers, number: int) -> Callable[[], None]:
    """A writer that the kernel kills when a file of it would grow beyond a size: in the middle of a commit."""

    def body() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (number * PAGE // 2, resource.RLIM_INFINITY))
        with closing(writers.connect()) as connection:
            writers.write(connection)

    return body


def killed_and_again(
    folder: Path, journal_mode: str, owner: str, killed: Callable[[Writers, int], Callable[[], None]]
) -> Iterator[dict[str, Any]]:
    """Kill one writer at its first step, the next at its second, until one lives; one that may live follows each."""
    for has_tables in (False, True):
        for number in count(1):
            writers = Writers(folder / f"{killed.__name__}-{has_tables}-{number}.db", journal_mode, owner)
            if has_tables:
                with IdempotencyManager() as manager, closing(writers.connect()) as connection:
                    manager.execute_in_transaction(connection, action(99), lambda: None)
                    connection.execute("DELETE FROM idempotency_records")
                    connection.commit()
            status = ended(fork(killed(writers, number)))
            found = {"status": status, "step": number, "killed": writers.left()}
            with closing(writers.connect()) as connection:
                writers.write(connection)
            yield {**found, "again": writers.left()}
            if status == 0:
                break


def killed_at_random(folder: Path, journal_mode: str, owner: str) -> Iterator[dict[str, Any]]:
    """Kill a writer of many cards at random instants, and start it again, until it has come through."""
    writers = Writers(folder / "random.db", journal_mode, owner)

    def body() -> None:
        with closing(writers.connect()) as connection:
            for number in range(ACTIONS):
                writers.write(connection, number)

    for _ in range(KILLS):
        child = fork(body)
        time.sleep(random.uniform(0, 0.05))  # a random instant is what this is about
        os.kill(child, signal.SIGKILL)
        yield {"status": ended(child), "killed": writers.left()}
    yield {"status": ended(fork(body)), "again": writers.left()}


def racing(folder: Path, journal_mode: str, owner: str) -> Iterator[dict[str, Any]]:
    """Let two writers go for the same action at the same moment, over and over."""
    for number in range(ROUNDS):
        writers = Writers(folder / f"race-{number}.db", journal_mode, owner)
        gate, opener = os.pipe()

        def body(writers: Writers = writers, gate: int = gate, opener: int = opener) -> None:
            os.close(opener)
            with closing(writers.connect()) as connection:
                os.read(gate, 1)  # until the parent closes its end
                assert writers.write(connection) == "card-0"

        children = [fork(body), fork(body)]
        os.close(gate)
        os.close(opener)
        yield {"statuses": [ended(child) for child in children], "again": writers.left()}


WAYS: dict[str, Callable[[Path, str, str], Iterator[dict[str, Any]]]] = {
    "statement": partial(killed_and_again, killed=killed_before_statement),
    "size": partial(killed_and_again, killed=killed_at_size),
    "random": killed_at_random,
    "race": racing,
}

if __name__ == "__main__":
    how, folder, journal_mode, owner = sys.argv[1:]
    sys.stdout.write(json.dumps(list(WAYS[how](Path(folder), journal_mode, owner))))
