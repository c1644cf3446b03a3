"""A connection is the caller's: whatever its settings, it serves, and is left as it was."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from tests.unit.shop import CARD, Shop, adds_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from idempotency_manager import IdempotencyManager


def raises(*_: object) -> Any:
    message = "a factory of the application's own"
    raise AssertionError(message)


def run(manager: IdempotencyManager, connection: sqlite3.Connection, executor: Callable[[], Any]) -> Any:
    return manager.execute_in_transaction(connection, CARD, executor)


@pytest.mark.parametrize("factory", [sqlite3.Row, raises, lambda _, row: dict(enumerate(row))])
def test_any_row_factory_serves(manager: IdempotencyManager, connection: sqlite3.Connection, factory: Any) -> None:
    connection.row_factory = factory
    assert [run(manager, connection, adds_card(connection)) for _ in range(2)] == ["card-1", "card-1"]
    assert connection.row_factory is factory


@pytest.mark.parametrize("factory", [bytes, bytearray, lambda data: data.decode().upper(), lambda _: None])
def test_any_text_factory_serves(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, factory: Any
) -> None:
    connection.text_factory = factory
    got = [run(manager, connection, adds_card(connection, result="Привет")) for _ in range(2)]
    assert got == ["Привет", "Привет"]
    assert connection.text_factory is factory
    assert shop.cards() == ["Pay"]


def test_executors_see_the_applications_own_factories(
    manager: IdempotencyManager, connection: sqlite3.Connection
) -> None:
    connection.row_factory, connection.text_factory = sqlite3.Row, bytes
    got = run(manager, connection, lambda: connection.execute("SELECT 'x' AS title").fetchone()["title"])
    assert got == b"x"


def test_converters_of_the_application_see_no_value_of_ours(manager: IdempotencyManager, shop: Shop) -> None:
    seen: list[bytes] = []
    before = dict(sqlite3.converters)
    for name in ("TEXT", "INTEGER", "BLOB", "ANY"):
        sqlite3.register_converter(name, seen.append)
    detect = sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES
    try:
        with closing(shop.connect(detect_types=detect)) as connection:
            assert [run(manager, connection, lambda: 7) for _ in range(2)] == [7, 7]
    finally:
        sqlite3.converters.clear()
        sqlite3.converters.update(before)
    assert seen == []


class Guarded(sqlite3.Connection):
    """A class of the application's own, which does not expect others to use its methods."""

    def cursor(self, *_: Any) -> Any:
        raises()

    def commit(self) -> None:
        raises()

    def rollback(self) -> None:
        raises()


def test_a_class_of_the_applications_own_serves(manager: IdempotencyManager, shop: Shop) -> None:
    with closing(shop.connect(factory=Guarded)) as connection:
        assert [run(manager, connection, lambda: 7) for _ in range(2)] == [7, 7]
        with pytest.raises(ValueError, match="no"):
            manager.execute_in_transaction(connection, {**CARD, "signal_id": "b"}, fails)
        assert not connection.in_transaction


def fails() -> None:
    raise ValueError("no")


def test_a_database_in_memory_serves(manager: IdempotencyManager) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE cards (title)")
        assert [run(manager, connection, adds_card(connection)) for _ in range(2)] == ["card-1", "card-1"]
        assert connection.execute("SELECT count(*) FROM cards").fetchone() == (1,)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_a_database_of_any_encoding_serves(manager: IdempotencyManager, encoding: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        assert [run(manager, connection, lambda: "Привет") for _ in range(2)] == ["Привет", "Привет"]
        assert connection.execute("SELECT result FROM idempotency").fetchone() == ('"Привет"',)


def test_foreign_keys_may_be_on(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = on")
    assert [run(manager, connection, adds_card(connection)) for _ in range(2)] == ["card-1", "card-1"]


def test_a_query_that_is_being_read_goes_on(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    shop.change("INSERT INTO cards VALUES ('a'), ('b'), ('c')")
    rows: Iterator[Any] = connection.execute("SELECT title FROM cards WHERE title <> 'Pay'")
    assert next(rows) == ("a",)
    assert run(manager, connection, lambda: 7) == 7
    assert list(rows) == [("b",), ("c",)]


def test_a_connection_of_another_thread_is_refused(manager: IdempotencyManager, connection: sqlite3.Connection) -> None:
    caught: list[BaseException] = []

    def use() -> None:
        try:
            run(manager, connection, lambda: pytest.fail("it ran"))
        except im.IdempotencyError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert isinstance(caught[0], im.ConfigurationError)
    assert "thread" in str(caught[0])


def test_threads_with_a_connection_each_run_an_action_once(manager: IdempotencyManager, shop: Shop) -> None:
    start = threading.Barrier(4)
    got: list[Any] = []

    def race() -> None:
        with closing(shop.connect(timeout=30)) as connection:
            start.wait()
            got.append(run(manager, connection, adds_card(connection)))

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["card-1"] * 4
    assert shop.cards() == ["Pay"]
    assert [attempts for _, _, attempts in shop.records()] == [4]


def test_an_sqlite_without_strict_tables_is_refused(
    manager: IdempotencyManager, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(im.ConfigurationError, match=r"3\.37"):
        run(manager, connection, lambda: pytest.fail("it ran"))
