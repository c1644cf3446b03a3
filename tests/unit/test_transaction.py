"""`execute_in_transaction`: rows and the memory of them are committed together, or neither is."""

from __future__ import annotations

import logging
import sqlite3
from collections import UserDict
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import Action, IdempotencyManager, State, current_execution
from tests.unit.shop import CARD, Shop, adds_card, every_mode, modes_that_begin_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock


def run(manager: IdempotencyManager, connection: Any, executor: Callable[[], Any], **options: Any) -> Any:
    return manager.execute_in_transaction(connection, CARD, executor, **options)


@pytest.fixture
def key(manager: IdempotencyManager) -> str:
    return manager.generate_key(CARD)


# ---------------------------------------------------------------- a transaction of the call's own


@modes_that_begin_nothing
def test_row_and_record_are_committed_together(
    manager: IdempotencyManager, shop: Shop, key: str, options: dict[str, Any]
) -> None:
    with closing(shop.connect(**options)) as connection:
        assert run(manager, connection, adds_card(connection)) == "card-1"
        assert not connection.in_transaction
    assert shop.cards() == ["Pay"]
    assert shop.records() == [(key, "completed", 1)]


@modes_that_begin_nothing
def test_a_duplicate_is_answered_and_counted(
    manager: IdempotencyManager, shop: Shop, key: str, options: dict[str, Any]
) -> None:
    with closing(shop.connect(**options)) as connection:
        for _ in range(3):
            assert run(manager, connection, adds_card(connection)) == "card-1"
        assert not connection.in_transaction
    assert shop.cards() == ["Pay"]
    assert shop.records() == [(key, "completed", 3)]


@modes_that_begin_nothing
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), TimeoutError(), SystemExit(3)], ids=repr)
def test_what_an_executor_did_that_raises_is_undone_and_forgotten(
    manager: IdempotencyManager, shop: Shop, options: dict[str, Any], error: BaseException
) -> None:
    with closing(shop.connect(**options)) as connection:
        with pytest.raises(type(error)) as caught:
            run(manager, connection, adds_card(connection, result=error))
        assert caught.value is error
        assert not connection.in_transaction
        assert (shop.cards(), shop.records()) == ([], [])
        assert run(manager, connection, adds_card(connection)) == "card-1"
    assert shop.cards() == ["Pay"]


def test_an_error_of_the_database_reaches_the_caller_as_it_is(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    shop.change("INSERT INTO cards VALUES ('Pay')")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        run(manager, connection, adds_card(connection))
    assert shop.records() == []


def test_a_constraint_that_is_checked_by_the_commit_undoes_the_record_too(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    shop.change("CREATE TABLE owners (card TEXT REFERENCES cards (title) DEFERRABLE INITIALLY DEFERRED)")
    connection.execute("PRAGMA foreign_keys = on")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        run(manager, connection, lambda: connection.execute("INSERT INTO owners VALUES ('nobody')").rowcount)
    assert not connection.in_transaction
    assert shop.select("SELECT * FROM owners") == shop.records() == []


def test_a_failure_commits_nothing_at_all(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    with pytest.raises(ValueError, match="no"):
        run(manager, connection, adds_card(connection, result=ValueError("no")))
    assert shop.select("SELECT name FROM sqlite_master WHERE name LIKE 'idempotency%'") == []


def test_rows_that_an_executor_has_left_unread_are_named(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def executor(cursor: sqlite3.Cursor) -> Any:
        return cursor.execute("INSERT INTO cards VALUES ('a'), ('b') RETURNING title").fetchone()

    cursor = connection.cursor()
    with pytest.raises(im.StoreUnavailableError, match=r"fetchall\(\)"):
        run(manager, connection, lambda: executor(cursor))
    assert not connection.in_transaction
    assert (shop.cards(), shop.records()) == ([], [])
    cursor.close()
    assert run(manager, connection, lambda: executor(connection.cursor())) == ("a",)


def test_a_commit_that_a_reader_holds_up_undoes_both(manager: IdempotencyManager, tmp_path: Any, key: str) -> None:
    shop = Shop(tmp_path / "rollback-journal.db")
    shop.change("CREATE TABLE cards (title TEXT UNIQUE)")
    with closing(shop.connect()) as connection, closing(shop.connect(isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM cards").fetchall()
        with pytest.raises(im.StoreUnavailableError, match="call again"):
            run(manager, connection, adds_card(connection))
        reader.execute("ROLLBACK")
        assert (shop.cards(), shop.records()) == ([], [])
        assert run(manager, connection, adds_card(connection)) == "card-1"
    assert shop.records() == [(key, "completed", 1)]


# ---------------------------------------------------------------- the caller's transaction


@every_mode
def test_in_an_open_transaction_the_end_is_left_to_the_caller(
    manager: IdempotencyManager, shop: Shop, key: str, options: dict[str, Any]
) -> None:
    with closing(shop.connect(**options)) as connection:
        if not connection.in_transaction:
            connection.execute("BEGIN")
        connection.execute("INSERT INTO cards VALUES ('first')")
        assert run(manager, connection, adds_card(connection)) == "card-1"
        assert connection.in_transaction
        assert (shop.cards(), shop.records()) == ([], [])
        connection.execute("COMMIT")
    assert shop.cards() == ["first", "Pay"]
    assert shop.records() == [(key, "completed", 1)]


@every_mode
def test_a_caller_that_rolls_back_undoes_both(manager: IdempotencyManager, shop: Shop, options: dict[str, Any]) -> None:
    with closing(shop.connect(**options)) as connection:
        for _ in range(2):
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            assert run(manager, connection, adds_card(connection)) == "card-1"
            connection.execute("ROLLBACK")
            assert (shop.cards(), shop.records()) == ([], [])
            if options.get("autocommit") is False:
                connection.execute("BEGIN")


@every_mode
def test_a_failure_undoes_only_what_the_executor_did(
    manager: IdempotencyManager, shop: Shop, options: dict[str, Any]
) -> None:
    with closing(shop.connect(**options)) as connection:
        if not connection.in_transaction:
            connection.execute("BEGIN")
        connection.execute("INSERT INTO cards VALUES ('mine')")
        with pytest.raises(ValueError, match="no"):
            run(manager, connection, adds_card(connection, result=ValueError("no")))
        assert connection.in_transaction
        connection.execute("INSERT INTO cards VALUES ('after')")
        connection.execute("COMMIT")
    assert shop.cards() == ["mine", "after"]
    assert shop.records() == []


def test_a_with_block_of_the_caller_commits_both(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, key: str
) -> None:
    with connection:
        connection.execute("INSERT INTO cards VALUES ('first')")
        run(manager, connection, adds_card(connection))
    assert shop.cards() == ["first", "Pay"]
    assert shop.records() == [(key, "completed", 1)]


def test_a_with_block_in_which_nothing_was_written_is_no_transaction(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def fails_after_the_call() -> None:
        with connection:
            run(manager, connection, adds_card(connection))
            raise ValueError("too late")

    with pytest.raises(ValueError, match="too late"):
        fails_after_the_call()
    assert shop.cards() == ["Pay"]
    assert len(shop.records()) == 1


def test_two_actions_share_one_transaction(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for title in ("a", "b", "a"):
            action = {**CARD, "params": {"title": title}}
            manager.execute_in_transaction(connection, action, adds_card(connection, title))
    assert shop.cards() == ["a", "b"]
    assert [attempts for _, _, attempts in shop.records()] == [2, 1]


def test_an_action_inside_an_action_is_undone_with_the_outer_one(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def outer() -> None:
        manager.execute_in_transaction(connection, {**CARD, "signal_id": "inner"}, adds_card(connection, "inner"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(manager, connection, outer)
    assert (shop.cards(), shop.records()) == ([], [])


def test_an_inner_failure_that_is_caught_leaves_the_outer_one(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, key: str
) -> None:
    def outer() -> str:
        connection.execute("INSERT INTO cards VALUES ('outer')")
        inner = adds_card(connection, "inner", ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            manager.execute_in_transaction(connection, {**CARD, "signal_id": "inner"}, inner)
        return "done"

    assert run(manager, connection, outer) == "done"
    assert shop.cards() == ["outer"]
    assert shop.records() == [(key, "completed", 1)]


# ---------------------------------------------------------------- who may write


def test_a_transaction_that_has_read_what_others_changed_is_told_how_to_begin(
    manager: IdempotencyManager, tmp_path: Any
) -> None:
    shop = Shop(tmp_path / "wal.db")
    shop.change("PRAGMA journal_mode = wal")
    shop.change("CREATE TABLE cards (title TEXT UNIQUE)")
    with closing(shop.connect(isolation_level=None)) as connection:
        run(manager, connection, adds_card(connection))
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM cards").fetchall()
        shop.change("INSERT INTO cards VALUES ('theirs')")
        with pytest.raises(im.StoreUnavailableError, match="BEGIN IMMEDIATE"):
            manager.execute_in_transaction(connection, {**CARD, "signal_id": "inv-2"}, adds_card(connection, "b"))
        connection.execute("ROLLBACK")
    assert shop.cards() == ["Pay", "theirs"]


def test_a_transaction_that_has_only_begun_reads_what_others_wrote_meanwhile(
    manager: IdempotencyManager, shop: Shop
) -> None:
    with closing(shop.connect(isolation_level=None)) as connection, closing(shop.connect()) as other:
        connection.execute("BEGIN")
        run(manager, other, adds_card(other))
        assert run(manager, connection, adds_card(connection)) == "card-1"
        connection.execute("COMMIT")
    assert shop.cards() == ["Pay"]


def test_while_somebody_else_writes_nothing_is_executed(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    with closing(shop.connect(isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(im.StoreUnavailableError, match=r"timeout=.*Nothing was executed") as caught:
            run(manager, connection, adds_card(connection))
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert repr(str(shop.path)) in str(caught.value)
        other.execute("ROLLBACK")
    assert not connection.in_transaction
    assert run(manager, connection, adds_card(connection)) == "card-1"


def test_a_database_that_can_t_be_written_is_named(manager: IdempotencyManager, shop: Shop) -> None:
    with closing(sqlite3.connect(f"file:{shop.path}?mode=ro", uri=True)) as connection:
        with pytest.raises(im.StoreUnavailableError, match="mode=ro"):
            run(manager, connection, adds_card(connection))
        assert not connection.in_transaction


def test_a_file_that_is_no_database_is_named(manager: IdempotencyManager, tmp_path: Any) -> None:
    (tmp_path / "notes.txt").write_text("no database at all" * 100)
    with (
        closing(sqlite3.connect(tmp_path / "notes.txt")) as connection,
        pytest.raises(im.StoreError, match=r"notes\.txt.*backup"),
    ):
        run(manager, connection, adds_card(connection))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("given", [None, "shop.db", object(), 5])
def test_anything_else_than_a_connection_is_refused_by_its_type(manager: IdempotencyManager, given: Any) -> None:
    with pytest.raises(im.ConfigurationError, match=rf"{type(given).__qualname__}.*sqlite3\.Connection"):
        run(manager, given, lambda: pytest.fail("it ran"))


def test_the_file_of_the_managers_own_store_is_refused(shop: Shop, connection: sqlite3.Connection) -> None:
    with (
        IdempotencyManager(f"sqlite:///{shop.path}") as manager,
        pytest.raises(im.ConfigurationError, match="two in one process"),
    ):
        run(manager, connection, lambda: pytest.fail("it ran"))


def test_a_closed_connection_is_refused(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    connection.close()
    with pytest.raises(im.ConfigurationError, match="closed"):
        run(manager, connection, lambda: pytest.fail("it ran"))


def test_a_coroutine_function_is_refused(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    async def later() -> None:
        pytest.fail("it ran")

    with pytest.raises(im.InvalidActionError, match="coroutine function"):
        run(manager, connection, later)


def test_an_executor_that_returns_an_awaitable_is_refused_and_undone(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    async def later() -> None:
        pytest.fail("it ran")

    def executor() -> Any:
        adds_card(connection)()
        return later()

    with pytest.raises(im.InvalidActionError, match="awaitable"):
        run(manager, connection, executor)
    assert (shop.cards(), shop.records()) == ([], [])


def test_an_action_without_a_signal_is_refused(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    with pytest.raises(im.InvalidActionError, match="signal_id"):
        manager.execute_in_transaction(connection, {**CARD, "signal_id": ""}, lambda: pytest.fail("it ran"))


def test_a_closed_manager_refuses(connection: sqlite3.Connection) -> None:
    manager = IdempotencyManager()
    manager.close()
    with pytest.raises(im.IdempotencyError, match="closed"):
        run(manager, connection, lambda: pytest.fail("it ran"))


@pytest.mark.parametrize("option", [{"latch": True}, {"on_concurrent": "wait"}, {"in_doubt_on": (OSError,)}])
def test_an_option_that_means_nothing_in_a_transaction_is_refused(
    manager: IdempotencyManager, connection: sqlite3.Connection, option: dict[str, Any]
) -> None:
    with pytest.raises(im.ConfigurationError, match=next(iter(option))):
        run(manager, connection, lambda: pytest.fail("it ran"), **option)


def test_an_unknown_option_is_refused(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    with pytest.raises(im.ConfigurationError, match="'retries'"):
        run(manager, connection, lambda: pytest.fail("it ran"), retries=3)


def test_an_executor_that_asks_for_its_own_key_is_refused(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    with closing(shop.connect()) as other:
        for inner in (connection, other):
            with pytest.raises(im.ReentrantCallError, match="inv-1"):
                run(manager, connection, lambda inner=inner: run(manager, inner, lambda: pytest.fail("it ran")))
    assert shop.records() == []


def test_the_same_key_in_another_database_is_another_action(
    manager: IdempotencyManager, connection: sqlite3.Connection, key: str
) -> None:
    with closing(sqlite3.connect(":memory:")) as one, closing(sqlite3.connect(":memory:")) as two:
        assert run(manager, connection, lambda: run(manager, one, lambda: run(manager, two, lambda: 7))) == 7


# ---------------------------------------------------------------- inside, and what is told


def test_the_executor_has_its_execution(manager: IdempotencyManager, connection: sqlite3.Connection, key: str) -> None:
    def executor() -> Any:
        execution = current_execution()
        assert execution is not None
        execution.dispatched()
        return execution.key, execution.uuid, execution.attempt_count, execution.remaining()

    got = run(manager, connection, executor)
    assert got[0] == key
    assert got[1] == manager.execute(CARD, lambda: current_execution().uuid)  # type: ignore[union-attr]
    assert got[2:] == (1, manager.config.lease)
    assert current_execution() is None


def test_an_execution_that_has_failed_is_no_longer_the_current_one(
    manager: IdempotencyManager, connection: sqlite3.Connection
) -> None:
    with pytest.raises(ValueError, match="no"):
        run(manager, connection, adds_card(connection, result=ValueError("no")))
    assert current_execution() is None


def test_log_and_events_are_those_of_execute(
    manager: IdempotencyManager, connection: sqlite3.Connection, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Any] = []
    manager.configure(on_event=events.append)
    with caplog.at_level(logging.DEBUG, "idempotency_manager"):
        with pytest.raises(ValueError, match="no"):
            run(manager, connection, adds_card(connection, result=ValueError("no")))
        for _ in range(2):
            run(manager, connection, adds_card(connection))
    assert [record.getMessage() for record in caplog.records] == [
        f"the execution failed: {key}",
        f"executed for the first time: {key}",
        f"duplicate execution prevented: {key}",
    ]
    assert (caplog.records[2].action_type, caplog.records[2].attempt_count) == ("create_card", 2)  # type: ignore[attr-defined]
    assert [(event.kind, event.key) for event in events] == [("failed", key), ("executed", key), ("replayed", key)]
    assert events[0].record is None
    assert [event.duration is None for event in events] == [False, False, True]
    assert {type(event) for event in events} == {im.Event}
    assert (events[1].record.state, events[1].record.result) == (State.COMPLETED, "card-1")
    assert (events[2].record.state, events[2].record.attempt_count) == (State.COMPLETED, 2)


def test_a_failure_that_is_an_answer_is_told_with_its_record(
    manager: IdempotencyManager, connection: sqlite3.Connection
) -> None:
    events: list[Any] = []
    manager.configure(on_event=events.append, replay_errors=(ValueError,))
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            run(manager, connection, adds_card(connection, result=ValueError("no")))
    assert [(event.kind, event.record.state) for event in events] == [("failed", "failed"), ("replayed", "failed")]
    assert [event.record.error for event in events] == ["ValueError: no"] * 2


def test_a_commit_that_fails_is_told_as_a_failure(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    events: list[Any] = []
    manager.configure(on_event=events.append)
    shop.change("CREATE TABLE boards (id INTEGER PRIMARY KEY)")
    shop.change("CREATE TABLE places (board REFERENCES boards DEFERRABLE INITIALLY DEFERRED)")
    connection.execute("PRAGMA foreign_keys = on")
    with pytest.raises(sqlite3.IntegrityError):
        run(manager, connection, lambda: connection.execute("INSERT INTO places VALUES (1)").rowcount)
    assert [(event.kind, event.record) for event in events] == [("failed", None)]


def test_a_listener_may_ask_for_the_same_action(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    answers: list[Any] = []

    def ask(event: Any) -> None:
        if event.kind == "executed":
            answers.append(run(manager, connection, lambda: pytest.fail("it ran again")))

    manager.configure(on_event=ask)
    run(manager, connection, adds_card(connection))
    assert answers == ["card-1"]


def test_a_listener_that_raises_changes_no_outcome(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)

    def refuse(event: Any) -> None:
        raise ValueError(event.kind)

    manager.configure(on_event=refuse)
    assert [run(manager, connection, adds_card(connection)) for _ in range(2)] == ["card-1", "card-1"]
    assert [str(each.exc_value) for each in reported] == ["executed", "replayed"]
    assert shop.cards() == ["Pay"]


# ---------------------------------------------------------------- what the record holds


@pytest.mark.parametrize(
    "params", [None, {}, {"a": 1.5, "b": (1, b"x")}, MappingProxyType({"b": 1, "a": {2}}), UserDict(a=1)], ids=repr
)
def test_the_fingerprint_is_the_one_that_the_key_begins(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, params: Any
) -> None:
    action = {**CARD, "params": params}
    manager.execute_in_transaction(connection, action, lambda: None)
    [(digest,)] = shop.select("SELECT fingerprint FROM idempotency_records")
    assert digest.hex()[:16] == manager.generate_key(action).rpartition(":")[2]
    assert len(digest) == 32


@dataclass
class Card:
    id: int
    due: datetime


def test_a_result_comes_back_as_its_type(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    card = Card(7, datetime(2026, 1, 2, tzinfo=UTC))
    got = [run(manager, connection, lambda: card, result_type=Card) for _ in range(2)]
    assert got == [card, card]
    assert got[1] is not card


@pytest.mark.parametrize("result", [None, False, 0, "", {}, b"\0", (1, {2}), float("inf"), {"$bytes": "x"}], ids=repr)
def test_any_result_is_replayed_as_it_was(
    manager: IdempotencyManager, connection: sqlite3.Connection, result: Any
) -> None:
    got = [run(manager, connection, lambda: result) for _ in range(2)]
    assert got == [result, result]
    assert type(got[1]) is type(result)


def test_a_codec_stores_its_own_bytes(manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection) -> None:
    class Reversed:
        def encode(self, result: str, /) -> bytes:
            return result[::-1].encode()

        def decode(self, data: bytes, /) -> str:
            return data.decode()[::-1]

    assert [run(manager, connection, lambda: "card", codec=Reversed()) for _ in range(2)] == ["card", "card"]
    assert shop.select("SELECT result FROM idempotency_records") == [(b"drac",)]


def test_a_result_that_has_no_encoding_is_refused_to_duplicates(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    result = object()

    def executor() -> object:
        adds_card(connection)()
        return result

    assert run(manager, connection, executor) is result
    assert "could not be stored" in caplog.text
    with pytest.raises(im.ResultUnavailableError) as caught:
        run(manager, connection, executor)
    assert caught.value.record.attempt_count == 2
    assert shop.cards() == ["Pay"]


def test_the_columns_are_those_that_a_store_writes(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, key: str, clock: ManualClock
) -> None:
    manager.configure(store_params=True)
    action = Action(**CARD, context={"by": "cron"})  # type: ignore[arg-type]
    manager.execute_in_transaction(connection, action, lambda: {"id": 1}, ttl="1h")
    start = int(clock.now().timestamp()) * 1_000_000
    columns = (
        "key, state, latch, signal_id, action_type, target, hex(fingerprint), owner_process, attempts, started_at,"
        "lease_until, executed_at, expires_at - started_at, result, error, params, context, fence"
    )
    [found] = shop.select(f"SELECT {columns} FROM idempotency_records")  # noqa: S608 - from above
    assert found[:6] == (key, "completed", None, "inv-1", "create_card", "shop")
    assert found[6][:16].lower() == key.rpartition(":")[2]
    assert found[8:12] == (1, start, None, start)
    assert found[12:] == (3_600_000_000, '{"id":1}', None, '{"title":"Pay"}', '{"by":"cron"}', 1)
    assert shop.select("SELECT name FROM idempotency_namespaces") == [("idempotency",)]
    [(owner, settled)] = shop.select("SELECT owner, settled FROM idempotency_records")
    assert settled == 1
    manager.execute(CARD, lambda: None)
    assert owner == manager.get_record(key).owner  # type: ignore[union-attr]


def test_a_context_that_can_t_be_kept_is_refused_before_anything_runs(
    manager: IdempotencyManager, connection: sqlite3.Connection
) -> None:
    with pytest.raises(im.UnsupportedParamError) as caught:
        manager.execute_in_transaction(connection, {**CARD, "context": {"by": object()}}, lambda: pytest.fail("it ran"))
    with pytest.raises(im.UnsupportedParamError) as elsewhere:
        manager.execute({**CARD, "context": {"by": object()}}, lambda: pytest.fail("it ran"))
    assert (str(caught.value), caught.value.path) == (str(elsewhere.value), elsewhere.value.path)


def test_params_that_have_only_a_canonical_form_are_kept_in_that_form(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    manager.configure(store_params=True)
    action = {**CARD, "params": {"state": State.FAILED, "card": Card(7, datetime(2026, 1, 2, tzinfo=UTC)), "n": 1}}
    manager.execute_in_transaction(connection, action, lambda: None)
    [(kept,)] = shop.select("SELECT params FROM idempotency_records")
    assert kept.startswith('{"state":"failed","card":"{')
    assert "2026-01-02" in kept
    assert kept.endswith('"n":1}')
