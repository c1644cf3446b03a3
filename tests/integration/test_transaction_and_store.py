"""Transactions in an application's database, and a store on the same file in another process: one memory."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State
from idempotency_manager.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAY = {"signal_id": "inv-1", "action": "pay", "target": "shop", "params": {"cents": 5}}

# A process with a store on the file. It runs the lines that it is given, one by one, and answers each with JSON.
STORE = """
import json, sys
from idempotency_manager import IdempotencyManager
manager = IdempotencyManager("sqlite:///" + sys.argv[1])
action = json.loads(sys.argv[2])
key = manager.generate_key(action)
for line in sys.stdin:
    print(json.dumps(eval(line), default=str), flush=True)
"""


# A process whose executor commits by itself, and which is killed before it can say how it ended.
KILLED = """
import json, os, signal, sqlite3, sys
from idempotency_manager import IdempotencyManager
connection = sqlite3.connect(sys.argv[1], timeout=30)

def executor():
    connection.commit()
    os.kill(os.getpid(), signal.SIGKILL)

IdempotencyManager().execute_in_transaction(connection, json.loads(sys.argv[2]), executor)
"""


class Store:
    """A process of its own: one must not open a file by two SQLite libraries."""

    def __init__(self, file: Path) -> None:
        command = [sys.executable, "-c", STORE, str(file), json.dumps(PAY)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, expression: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "shop.db"
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("PRAGMA user_version = 17")
        connection.execute("CREATE TABLE payments (cents INTEGER)")
    return made


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with closing(sqlite3.connect(file)) as connection, IdempotencyManager() as manager:
        # The tables of the application's database are made by the application's own connection.
        manager.execute_in_transaction(connection, {**PAY, "signal_id": "first"}, lambda: None)
    made = Store(file)
    yield made
    made.kill()


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, timeout=30)) as made:
        yield made


def refused() -> Any:
    pytest.fail("it ran")


def test_a_store_answers_what_a_transaction_has_executed(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=None)
    result = {"paid": (5, None)}
    assert manager.execute_in_transaction(connection, PAY, lambda: result) == result
    assert store.ask("manager.execute(action, exit)") == {"paid": [5, None]}
    shown = "[str(record.state), record.attempt_count, record.signal_id] for record in [manager.get_record(key)]"
    assert store.ask(f"[{shown}]") == [["completed", 2, "inv-1"]]
    assert manager.execute_in_transaction(connection, PAY, refused) == result


def test_a_store_that_knows_a_record_sees_what_a_transaction_makes_of_it(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=None)
    store.ask("manager.mark_executed(key, 'by hand')")
    assert manager.execute_in_transaction(connection, PAY, refused) == "by hand"
    assert store.ask("manager.execute(action, exit)") == "by hand"
    with connection:
        connection.execute("DELETE FROM idempotency_records")
    assert store.ask("manager.get_record(key)") is None
    assert manager.execute_in_transaction(connection, PAY, lambda: "again") == "again"
    assert store.ask("manager.execute(action, exit)") == "again"


def test_a_transaction_meets_a_stores_claim(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=None)
    store.ask("globals().update(block=manager.claim(action)) or str(globals().update(attempt=block.__enter__()))")
    with pytest.raises(im.AlreadyInProgressError) as caught:
        manager.execute_in_transaction(connection, PAY, refused)
    assert caught.value.record.owner is not None
    assert caught.value.record.owner.endswith(f":{store.process.pid}")
    store.ask("attempt.complete('paid') or block.__exit__(None, None, None)")
    assert manager.execute_in_transaction(connection, PAY, refused) == "paid"


def test_what_a_killed_store_left_is_in_doubt_at_once_and_can_be_taken_over(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection, file: Path
) -> None:
    manager.configure(clock=None)
    store.ask("str(globals().update(block=manager.claim(action)) or block.__enter__())")
    store.kill()
    with pytest.raises(im.InDoubtError):
        manager.execute_in_transaction(connection, PAY, refused)
    assert manager.execute_in_transaction(connection, PAY, lambda: "paid", on_in_doubt="retry") == "paid"
    taken_over = "SELECT state, settled FROM idempotency_records WHERE signal_id = 'inv-1'"
    assert connection.execute(taken_over).fetchone() == ("completed", 1)
    another = Store(file)
    assert another.ask("manager.find_keys_by_signal_id('inv-1')") == [manager.generate_key(PAY)]
    another.kill()
    assert_indexes_are_right(connection)


def test_what_a_killed_transaction_had_committed_too_early_is_in_doubt_at_once(store: Store, file: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file), json.dumps(PAY)], check=False)
    assert killed.returncode == -signal.SIGKILL
    states = "[str(record.state) for record in [manager.get_record(key)]]"
    assert store.ask(states) == ["in_doubt"]
    assert store.ask("manager.execute(action, lambda: 'paid', on_in_doubt='retry')") == "paid"


def test_what_a_transaction_left_in_doubt_is_settled_by_a_store(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=None)

    def executor() -> None:
        connection.execute("INSERT INTO payments VALUES (5)")
        connection.commit()
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        manager.execute_in_transaction(connection, PAY, executor)
    found = store.ask("[(record.signal_id, str(record.state), record.error) for record in manager.get_in_doubt()]")
    assert found == [["inv-1", str(State.IN_DOUBT), "ValueError: half-way"]]
    store.ask("manager.resolve_in_doubt(key, result='paid')")
    assert manager.execute_in_transaction(connection, PAY, refused) == "paid"


def assert_indexes_are_right(connection: sqlite3.Connection) -> None:
    """Each record that the indexes do not have is one that a store will find among the newest."""
    lost = (
        "SELECT count(*) FROM idempotency_records WHERE settled = 0 AND fence <= "
        "(SELECT value FROM idempotency_meta WHERE name = 'settled')"
    )
    assert connection.execute(lost).fetchone() == (0,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_finds_and_counts_what_transactions_have_written(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=None, replay_errors=(LookupError,))

    def fails() -> None:
        raise LookupError("no invoice")

    def breaks_off() -> None:
        connection.commit()
        raise ValueError("half-way")

    # Among records that the store keeps out of its indexes for a while, in both orders.
    for number, executor in enumerate([lambda: "paid", fails, breaks_off, lambda: "paid"]):
        store.ask(f"manager.execute({{**action, 'signal_id': 's{number}', 'action': 'ship'}}, lambda: 1)")
        with suppress(LookupError, ValueError):
            manager.execute_in_transaction(connection, {**PAY, "signal_id": f"t{number}"}, executor)
        if number == 1:
            assert len(store.ask("manager.find_keys_by_target('shop')")) == len(["first", "s0", "t0", "s1", "t1"])
    keys = [manager.generate_key({**PAY, "signal_id": f"t{number}"}) for number in range(4)]
    assert sorted(store.ask("manager.find_keys_by_action_type('pay')"))[1:] == keys
    assert len(store.ask("manager.find_keys_by_target('shop')")) == 9
    assert [store.ask(f"manager.find_keys_by_signal_id('t{number}')") for number in range(4)] == [[k] for k in keys]
    assert store.ask("[record.key for record in manager.get_in_doubt()]") == [keys[2]]
    counted = "[stats.total_cached, stats.in_doubt, stats.in_progress] for stats in [manager.stats()]"
    assert store.ask(f"[{counted}]") == [[8, 1, 0]]
    assert store.ask("manager.cache_info().current_size") == 9
    listed = store.ask("[record.key for record in manager.iter_records()]")
    assert set(keys) < set(listed)
    assert_indexes_are_right(connection)


def test_a_store_cleans_up_after_transactions(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=ManualClock(datetime.now(UTC) - timedelta(days=3)))
    for number in range(3):
        manager.execute_in_transaction(connection, {**PAY, "signal_id": f"t{number}"}, lambda: None)
    assert store.ask("manager.cleanup_expired()") == 3
    assert connection.execute("SELECT signal_id FROM idempotency_records").fetchall() == [("first",)]
    assert store.ask("manager.cache_info().current_size") == 1


def test_transactions_answer_and_clean_up_after_a_store(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=None)
    for number in range(3):
        store.ask(f"manager.execute({{**action, 'signal_id': 's{number}'}}, lambda: {number})")
    answers = [
        manager.execute_in_transaction(connection, {**PAY, "signal_id": f"s{number}"}, refused) for number in range(3)
    ]
    assert answers == [0, 1, 2]
    assert len(store.ask("manager.find_keys_by_target('shop')")) == 4
    assert store.ask("manager.cleanup_expired()") == 0, "and what was there is in the indexes now"
    manager.configure(clock=ManualClock(datetime.now(UTC) + timedelta(days=3)))
    for number in range(2):
        manager.execute_in_transaction(connection, {**PAY, "signal_id": f"t{number}"}, lambda: None)
    assert len(store.ask("manager.find_keys_by_target('shop')")) == len(["t0", "t1"])
    assert_indexes_are_right(connection)


def test_fences_are_those_of_one_counter(
    manager: IdempotencyManager, store: Store, connection: sqlite3.Connection
) -> None:
    manager.configure(clock=None)
    for number in range(3):
        manager.execute_in_transaction(connection, {**PAY, "signal_id": f"a{number}"}, lambda: None)
        store.ask(f"manager.execute({{**action, 'signal_id': 'b{number}'}}, lambda: None)")
    rows = connection.execute("SELECT signal_id FROM idempotency_records ORDER BY fence").fetchall()
    assert [name for (name,) in rows] == ["first", "a0", "b0", "a1", "b1", "a2", "b2"]


def test_the_applications_version_is_left_alone(store: Store, connection: sqlite3.Connection) -> None:
    store.ask("manager.execute(action, lambda: 1)")
    assert connection.execute("PRAGMA user_version").fetchone() == (17,)
