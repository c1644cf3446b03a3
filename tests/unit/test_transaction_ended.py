"""An executor that ends the transaction it runs in: what is known is recorded and said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from contextvars import Context
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from tests.unit.shop import CARD, Shop, adds_card, every_mode, modes_that_begin_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager import IdempotencyManager
    from idempotency_manager.testing import ManualClock


def by_statement(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")


def by_script(connection: sqlite3.Connection) -> None:
    connection.executescript("INSERT INTO cards VALUES ('of a script');")


def by_block(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("INSERT INTO cards VALUES ('in a block')")


def commits(connection: sqlite3.Connection, end: Callable[[sqlite3.Connection], None]) -> Callable[[], str]:
    """An executor that commits its card by itself."""

    def executor() -> str:
        adds_card(connection)()
        end(connection)
        return "card-1"

    return executor


def run(
    manager: IdempotencyManager, connection: sqlite3.Connection, executor: Callable[[], Any], **options: Any
) -> Any:
    return manager.execute_in_transaction(connection, CARD, executor, **options)


@pytest.mark.parametrize("end", [sqlite3.Connection.commit, by_statement, by_script, by_block])
def test_an_executor_that_commits_is_recorded_and_told(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, end: Callable[[sqlite3.Connection], None]
) -> None:
    with pytest.raises(im.TransactionEndedError, match="commit") as caught:
        run(manager, connection, commits(connection, end))
    assert (caught.value.result, caught.value.recorded) == ("card-1", True)
    assert caught.value.key == manager.generate_key(CARD)
    assert not connection.in_transaction
    assert "Pay" in shop.cards()
    assert run(manager, connection, lambda: pytest.fail("it ran again")) == "card-1"


@modes_that_begin_nothing
def test_a_commit_is_seen_in_every_mode(manager: IdempotencyManager, shop: Shop, options: dict[str, Any]) -> None:
    with closing(shop.connect(**options)) as connection:
        with pytest.raises(im.TransactionEndedError):
            run(manager, connection, commits(connection, by_statement))
        assert not connection.in_transaction
        assert run(manager, connection, lambda: pytest.fail("it ran again")) == "card-1"
    assert shop.cards() == ["Pay"]


def test_what_follows_a_commit_is_committed_with_the_record(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def executor() -> None:
        adds_card(connection)()
        connection.commit()
        connection.execute("INSERT INTO cards VALUES ('later')")  # begins another transaction

    with pytest.raises(im.TransactionEndedError):
        run(manager, connection, executor)
    assert shop.cards() == ["Pay", "later"]
    assert [state for _, state, _ in shop.records()] == ["completed"]


@every_mode
def test_in_the_callers_transaction_a_commit_is_told_too(
    manager: IdempotencyManager, shop: Shop, options: dict[str, Any]
) -> None:
    with closing(shop.connect(**options)) as connection:
        if not connection.in_transaction:
            connection.execute("BEGIN")
        with pytest.raises(im.TransactionEndedError) as caught:
            run(manager, connection, commits(connection, lambda connection: connection.execute("COMMIT")))  # type: ignore[arg-type, return-value]
        assert caught.value.recorded
        assert run(manager, connection, lambda: pytest.fail("it ran again")) == "card-1"
    assert shop.cards() == ["Pay"]


def test_between_its_commit_and_its_end_an_executor_is_seen_in_progress(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    """As another process finds it, whether this one lives on or is killed there."""
    with closing(shop.connect()) as other:

        def look(expected: type[Exception]) -> None:
            with pytest.raises(expected):
                run(im.IdempotencyManager(clock=clock), other, lambda: pytest.fail("it ran again"))

        def executor() -> None:
            connection.commit()
            look(im.ReentrantCallError)
            in_nothing = Context()  # as another process is
            in_nothing.run(look, im.AlreadyInProgressError)
            clock.advance(manager.config.lease)
            in_nothing.run(look, im.InDoubtError)

        with pytest.raises(im.TransactionEndedError):
            run(manager, connection, executor)


def test_a_failure_after_a_commit_leaves_the_action_in_doubt(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def executor() -> None:
        adds_card(connection)()
        connection.commit()
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way") as caught:
        run(manager, connection, executor)
    assert "in doubt" in caught.value.__notes__[0]
    assert shop.cards() == ["Pay"]
    with pytest.raises(im.InDoubtError, match="ValueError: half-way"):
        run(manager, connection, lambda: pytest.fail("it ran again"))


def test_how_an_executor_ended_that_commits_is_told_to_listeners(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Any] = []
    manager.configure(on_event=events.append)

    def breaks_off() -> None:
        connection.commit()
        raise ValueError("half-way")

    for executor in (breaks_off, commits(connection, by_statement), connection.rollback):
        with pytest.raises((ValueError, im.TransactionEndedError)):
            run(manager, connection, executor)
        shop.change("DELETE FROM idempotency_records")
    told = [(event.kind, event.record and str(event.record.state)) for event in events]
    assert told == [("in_doubt", "in_doubt"), ("executed", "completed"), ("failed", None)]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "left in doubt",
        *["the executor ended its transaction, so row and record were not kept together"] * 2,
    ]


def test_an_executor_that_rolls_back_is_told_that_nothing_is_recorded(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def executor() -> str:
        adds_card(connection)()
        connection.rollback()
        connection.execute("INSERT INTO cards VALUES ('later')")  # begins another transaction
        return "card-1"

    with pytest.raises(im.TransactionEndedError, match="gone") as caught:
        run(manager, connection, executor)
    assert (caught.value.result, caught.value.recorded) == ("card-1", False)
    assert not connection.in_transaction
    assert (shop.cards(), shop.records()) == ([], [])


def test_in_the_callers_transaction_what_follows_a_rollback_is_left_to_the_caller(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def executor() -> None:
        connection.rollback()
        connection.execute("INSERT INTO cards VALUES ('later')")

    connection.execute("INSERT INTO cards VALUES ('before')")
    with pytest.raises(im.TransactionEndedError):
        run(manager, connection, executor)
    assert connection.in_transaction
    connection.commit()
    assert shop.cards() == ["later"]
    assert shop.records() == []


def test_what_the_database_itself_rolls_back_has_not_happened(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    shop.change("CREATE TRIGGER full BEFORE INSERT ON cards BEGIN SELECT RAISE(ROLLBACK, 'no more cards'); END")
    with pytest.raises(sqlite3.IntegrityError, match="no more cards") as caught:
        run(manager, connection, adds_card(connection))
    assert not hasattr(caught.value, "__notes__")
    assert not connection.in_transaction
    assert (shop.cards(), shop.records()) == ([], [])


def test_an_executor_that_closes_the_connection_is_told(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def executor() -> str:
        adds_card(connection)()
        connection.close()
        return "card-1"

    with pytest.raises(im.TransactionEndedError, match="close") as caught:
        run(manager, connection, executor)
    assert (caught.value.result, caught.value.recorded) == ("card-1", False)
    assert (shop.cards(), shop.records()) == ([], [])


def test_an_executor_that_removes_its_record_gets_it_back(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    def executor() -> None:
        adds_card(connection)()
        connection.execute("DELETE FROM idempotency_records")

    run(manager, connection, executor)
    assert [state for _, state, _ in shop.records()] == ["completed"]


def test_a_disk_that_is_full_when_the_result_is_written_undoes_both(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    run(manager, connection, lambda: None)

    def executor() -> str:
        adds_card(connection)()
        [(pages,)] = connection.execute("PRAGMA page_count")
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        return "x" * 1_000_000

    with pytest.raises(im.StoreUnavailableError, match="Make room"):
        manager.execute_in_transaction(connection, {**CARD, "signal_id": "inv-2"}, executor)
    assert not connection.in_transaction
    assert shop.cards() == []
    assert len(shop.records()) == 1
