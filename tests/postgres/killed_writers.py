"""A program whose children add a card in a transaction and are killed on the way; it prints what is left.

`python -m tests.postgres.killed_writers URL OWNER`: a process of its own, with no threads, so that it can fork. OWNER
is who begins the transaction: the "call" or the "caller".
"""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg

from idempotency_manager import IdempotencyManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CARD = {"signal_id": "inv-1", "action": "create_card", "target": "shop"}


def write(connection: psycopg.Connection[Any], owner: str) -> Any:
    """Add a card once, in a transaction of this call or of its caller."""

    def add() -> str:
        connection.execute("INSERT INTO cards (title) VALUES ('Pay')")
        return "card-1"

    with IdempotencyManager(wait_timeout="20s") as manager:
        if owner == "caller":
            connection.execute("SELECT 1")
        result = manager.execute_in_transaction(connection, CARD, add)
        connection.commit()
        return result


def dies_before(number: int) -> Callable[[], bool]:
    """Make this process kill itself before its n-th statement; tells whether there are so many."""
    statements = count(1)
    executed = psycopg.Cursor.execute
    last = 0

    def execute(self: Any, *words: Any, **options: Any) -> Any:
        nonlocal last
        last = next(statements)
        if last == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return executed(self, *words, **options)

    psycopg.Cursor.execute = execute  # type: ignore[method-assign]
    return lambda: last == number - 1


def killed(url: str, owner: str, number: int) -> int:
    """Run a writer that is killed before its n-th statement, or at the latest when it has returned."""
    child = os.fork()
    if child == 0:
        has_done_all = dies_before(number)
        with psycopg.connect(url) as connection:
            write(connection, owner)
            if has_done_all():
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(url: str, owner: str) -> Iterator[dict[str, Any]]:
    """Kill one writer before its first statement, the next before its second, until one lives; another follows each."""
    for number in count(1):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("TRUNCATE cards")
            connection.execute("TRUNCATE idempotency_records")
        status = killed(url, owner, number)
        with psycopg.connect(url) as connection:
            answer = write(connection, owner)  # waits for what the server has not heard of as yet
            cards = connection.execute("SELECT count(*) FROM cards").fetchall()
            records = connection.execute("SELECT state, attempts FROM idempotency_records").fetchall()
        yield {"status": status, "answer": answer, "cards": cards, "records": records}
        if status == 0:
            break


if __name__ == "__main__":
    sys.stdout.write(json.dumps(list(run(*sys.argv[1:]))))
