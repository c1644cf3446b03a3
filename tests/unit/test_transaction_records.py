"""Records that are there already when a transaction asks: of earlier transactions, and of a store on the same file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import idempotency_manager as im
from idempotency_manager import NOT_EXECUTED, IdempotencyManager, State, current_execution
from idempotency_manager._core import claim_owner
from idempotency_manager._transaction_schema import statements
from tests.unit.shop import CARD, Shop, adds_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from idempotency_manager.testing import ManualClock


def run(
    manager: IdempotencyManager, connection: sqlite3.Connection, executor: Callable[[], Any], **options: Any
) -> Any:
    return manager.execute_in_transaction(connection, CARD, executor, **options)


def refused() -> Any:
    pytest.fail("it ran")


def attempts() -> int:
    """The count that an executor, or a reconciler, is told."""
    execution = current_execution()
    assert execution is not None
    return execution.attempt_count


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """One that has the tables already, as a store makes them."""
    with closing(shop.connect()) as connection:
        for statement in statements():
            connection.execute(statement)
        connection.execute("INSERT INTO idempotency_namespaces (name) VALUES ('another'), ('idempotency')")
        connection.commit()
    return shop


def micros(clock: ManualClock, later: str | float = 0) -> int:
    moment = clock.now() + (timedelta(seconds=later) if isinstance(later, float | int) else timedelta())
    return int(moment.timestamp() * 1_000_000)


def put(shop: Shop, manager: IdempotencyManager, clock: ManualClock, **columns: Any) -> None:
    """Put a record of CARD down as a store would have."""
    row = {
        "fence": 41,
        "namespace_id": 2,
        "key": manager.generate_key(CARD),
        "state": "in_progress",
        "signal_id": "inv-1",
        "action_type": "create_card",
        "target": "shop",
        "owner": "elsewhere:7",
        "owner_process": "99",
        "attempts": 1,
        "started_at": micros(clock, -60),
        "expires_at": micros(clock, 3600),
        **columns,
    }
    columns_and_values = f"({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
    shop.change(f"INSERT INTO idempotency_records {columns_and_values}", *row.values())


def record(shop: Shop, columns: str) -> Any:
    [found] = shop.select(f"SELECT {columns} FROM idempotency_records")  # noqa: S608 - the tests' own
    return found


# ---------------------------------------------------------------- time


def test_an_expired_record_is_as_nothing(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    for title, wait in [("a", 3599.999999), ("b", 0.000001), ("c", 0)]:
        run(manager, connection, adds_card(connection, title), ttl="1h")
        clock.advance(wait)
    assert shop.cards() == ["a", "c"]
    assert record(shop, "attempts, fence") == (1, 2)


def test_a_failure_over_an_expired_record_leaves_it_as_it_was(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    manager.configure(enable_auto_cleanup=False)
    run(manager, connection, lambda: None, ttl="1h")
    before = record(shop, "*")
    clock.advance("1h")
    with pytest.raises(ValueError, match="no"):
        run(manager, connection, adds_card(connection, result=ValueError("no")))
    assert record(shop, "*") == before


def test_the_ttl_starts_when_the_executor_ends(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    run(manager, connection, lambda: clock.advance("20s"), ttl="1m")
    assert record(shop, "executed_at - started_at, expires_at - executed_at") == (20_000_000, 60_000_000)


@pytest.mark.parametrize("ttl", [0, "5", "1s"])
def test_a_ttl_that_can_t_be_is_refused(manager: IdempotencyManager, connection: sqlite3.Connection, ttl: Any) -> None:
    with pytest.raises(im.ConfigurationError, match="ttl"):
        run(manager, connection, refused, ttl=ttl)


def test_each_call_removes_a_few_expired_records(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, key="in doubt", state="in_doubt", expires_at=0)
    for number in range(5):
        action = {**CARD, "signal_id": f"inv-{number}"}
        manager.execute_in_transaction(connection, action, lambda: None, ttl="1h" if number else "2h")
    clock.advance("1h")
    for left in (["in doubt", "inv-0:", "inv-3:", "inv-4:", "new-1:"], ["in doubt", "inv-0:", "new-1:", "new-2:"]):
        action = {**CARD, "signal_id": left[-1].rstrip(":")}
        manager.execute_in_transaction(connection, action, lambda: None)
        keys = [key for key, _, _ in shop.records()]
        assert [key.startswith(start) for key, start in zip(keys, left, strict=True)] == [True] * len(left)


def test_without_auto_cleanup_expired_records_stay(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    manager.configure(enable_auto_cleanup=False)
    run(manager, connection, lambda: None, ttl="1h")
    clock.advance("1h")
    manager.execute_in_transaction(connection, {**CARD, "signal_id": "inv-2"}, lambda: None)
    assert len(shop.records()) == 2


# ---------------------------------------------------------------- another's claim


def test_a_live_claim_of_a_store_is_in_progress(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, lease_until=micros(clock, 1))
    with pytest.raises(im.AlreadyInProgressError, match="elsewhere:7") as caught:
        run(manager, connection, refused)
    assert (caught.value.record.state, caught.value.record.attempt_count) == (State.IN_PROGRESS, 2)
    assert not connection.in_transaction
    assert record(shop, "attempts, fence") == (2, 41)


@pytest.mark.parametrize(
    "columns", [{"lease_until": 0}, {"lease_until": 0, "latch": "dispatched"}, {"state": "in_doubt", "error": "why"}]
)
def test_what_a_store_left_in_doubt_is_in_doubt(
    manager: IdempotencyManager,
    shop: Shop,
    connection: sqlite3.Connection,
    clock: ManualClock,
    columns: dict[str, Any],
) -> None:
    put(shop, manager, clock, **columns)
    with pytest.raises(im.InDoubtError, match=r"elsewhere:7.*resolve_in_doubt") as caught:
        run(manager, connection, refused)
    assert (caught.value.record.state, caught.value.record.error) == (State.IN_DOUBT, columns.get("error"))
    [note] = caught.value.__notes__
    assert str(shop.path) in note
    assert record(shop, "attempts") == (2,)


def test_a_lapsed_claim_that_was_never_dispatched_runs(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, lease_until=micros(clock), latch="armed")
    assert run(manager, connection, attempts) == 2
    assert record(shop, "state, attempts, latch, fence") == ("completed", 2, None, 42)


def test_the_owner_of_a_record_is_the_process_that_ran_it(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, lease_until=micros(clock), latch="armed")
    run(manager, connection, adds_card(connection))
    assert record(shop, "owner, owner_process") == claim_owner()


def test_a_claim_of_a_process_that_has_died_is_in_doubt_at_once(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    script = "from idempotency_manager._core import claim_owner; print(*claim_owner(), sep='\\n')"
    owner, process = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    put(shop, manager, clock, lease_until=micros(clock, 3600), owner=owner, owner_process=process)
    with pytest.raises(im.InDoubtError) as caught:
        run(manager, connection, refused)
    assert caught.value.record.owner == owner
    assert run(manager, connection, adds_card(connection), on_in_doubt="retry") == "card-1"


def test_retry_takes_a_doubt_over(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, state="in_doubt", error="why")
    assert run(manager, connection, adds_card(connection), on_in_doubt="retry") == "card-1"
    expected = ("completed", 2, 42, micros(clock, -60), None)
    assert record(shop, "state, attempts, fence, started_at, error") == expected


def test_a_retry_that_fails_leaves_the_doubt(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, state="in_doubt", error="why")
    before = record(shop, "*")
    with pytest.raises(ValueError, match="no"):
        run(manager, connection, adds_card(connection, result=ValueError("no")), on_in_doubt="retry")
    assert record(shop, "*") == before


def test_a_reconciler_that_finds_the_row_completes_it(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    events: list[Any] = []
    manager.configure(on_event=events.append, on_in_doubt=lambda found: f"found for {found.signal_id} by {attempts()}")
    put(shop, manager, clock, state="in_doubt", error="why")
    assert run(manager, connection, refused) == run(manager, connection, refused) == "found for inv-1 by 2"
    assert [event.kind for event in events] == ["resolved", "replayed"]
    assert record(shop, "state, attempts, fence, error") == ("completed", 3, 42, None)


def test_a_reconciler_that_finds_nothing_lets_it_run(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, state="in_doubt")
    assert run(manager, connection, adds_card(connection), on_in_doubt=lambda _: NOT_EXECUTED) == "card-1"
    assert shop.cards() == ["Pay"]


@pytest.mark.parametrize("found", ["found", NOT_EXECUTED])
def test_a_reconciler_may_execute_other_actions(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock, found: Any
) -> None:
    def look(_: Any) -> Any:
        other = {**CARD, "signal_id": "inv-2"}
        manager.execute_in_transaction(connection, other, adds_card(connection, "other"))
        return found

    put(shop, manager, clock, state="in_doubt")
    run(manager, connection, lambda: None, on_in_doubt=look)
    fences = shop.select("SELECT signal_id, fence, state FROM idempotency_records ORDER BY fence")
    assert fences == [("inv-2", 42, "completed"), ("inv-1", 43, "completed")]


def test_a_reconciler_that_raises_leaves_the_doubt(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    def lost(_: Any) -> Any:
        raise ConnectionError("the board")

    put(shop, manager, clock, state="in_doubt")
    before = record(shop, "*")
    with pytest.raises(ConnectionError, match="the board"):
        run(manager, connection, refused, on_in_doubt=lost)
    assert record(shop, "*") == before
    assert not connection.in_transaction


# ---------------------------------------------------------------- other params, final errors


def test_other_params_of_a_live_key_are_a_mismatch(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    run(manager, connection, adds_card(connection))
    with pytest.raises(im.ParamsMismatchError) as caught:
        manager.execute_in_transaction(connection, {**CARD, "params": {"title": "Other"}}, refused)
    assert (caught.value.record.state, caught.value.record.result) == (State.COMPLETED, "card-1")
    assert record(shop, "attempts") == (2,)
    assert run(manager, connection, refused) == "card-1"


def test_without_verify_params_other_params_are_a_duplicate(
    manager: IdempotencyManager, connection: sqlite3.Connection
) -> None:
    manager.configure(include_params_in_key=False)
    run(manager, connection, adds_card(connection))
    assert manager.execute_in_transaction(connection, {**CARD, "params": {"title": "Other"}}, refused) == "card-1"


def test_a_record_without_a_fingerprint_fits_any_params(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, state="completed", result='"by hand"', executed_at=micros(clock))
    assert run(manager, connection, refused) == "by hand"


def test_a_codec_that_can_t_read_a_record_hides_nothing_else(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    class Broken:
        def encode(self, result: str, /) -> bytes:
            return result.encode()

        def decode(self, data: bytes, /) -> str:
            raise LookupError(data)

    manager.configure(include_params_in_key=False, verify_params=True, codec=Broken(), on_event=lambda event: None)
    run(manager, connection, lambda: "card")
    with pytest.raises(LookupError):
        run(manager, connection, refused)
    assert record(shop, "attempts") == (2,)
    with pytest.raises(im.ParamsMismatchError) as caught:
        manager.execute_in_transaction(connection, {**CARD, "params": {"title": "Other"}}, refused)
    with pytest.raises(LookupError):
        _ = caught.value.record.result


class CardExistsError(Exception):
    """What the application's own rules say."""


def test_an_error_that_is_an_answer_is_recorded_without_the_rows(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    error = CardExistsError("inv-1", 7)
    for _ in range(2):
        with pytest.raises(CardExistsError) as caught:
            run(manager, connection, adds_card(connection, result=error), replay_errors=(CardExistsError,))
        assert caught.value.args == ("inv-1", 7)
    assert caught.value is not error
    assert shop.cards() == []
    assert record(shop, "state, attempts, error_args") == ("failed", 2, '{"$tuple":["inv-1",7]}')
    with pytest.raises(im.PreviousFailureError, match="CardExistsError"):
        run(manager, connection, refused)


def test_an_error_that_proves_that_nothing_happened_is_no_answer(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    options = {"replay_errors": (Exception,), "not_executed_on": (CardExistsError,)}
    with pytest.raises(CardExistsError):
        run(manager, connection, adds_card(connection, result=CardExistsError()), **options)
    assert shop.records() == []


def test_in_the_callers_transaction_a_final_error_is_recorded_when_the_caller_commits(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    connection.execute("INSERT INTO cards VALUES ('mine')")
    with pytest.raises(CardExistsError):
        run(manager, connection, adds_card(connection, result=CardExistsError()), replay_errors=(CardExistsError,))
    connection.commit()
    assert shop.cards() == ["mine"]
    assert record(shop, "state, attempts") == ("failed", 1)


# ---------------------------------------------------------------- namespaces, fences


def test_namespaces_are_kept_apart(shop: Shop, connection: sqlite3.Connection) -> None:
    for name in ("another", "a new one", "another"):
        with IdempotencyManager(namespace=name) as manager:
            run(manager, connection, lambda: None)
    counted = "SELECT namespace, attempts FROM idempotency ORDER BY fence"
    assert shop.select(counted) == [("another", 2), ("a new one", 1)]


def test_a_fence_is_above_all_that_were_ever_issued(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    put(shop, manager, clock, key="another")
    run(manager, connection, lambda: None)
    assert shop.select("SELECT max(fence) FROM idempotency_records") == [(42,)]
    shop.change("DELETE FROM idempotency_records")
    run(manager, connection, lambda: None)
    assert record(shop, "fence") == (43,)


# ---------------------------------------------------------------- tables


def test_tables_of_a_newer_version_are_left_alone(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    shop.change("UPDATE idempotency_meta SET value = 2 WHERE name = 'schema'")
    with pytest.raises(im.StoreUnavailableError, match=r"version 2.*upgrade"):
        run(manager, connection, refused)
    assert not connection.in_transaction


def test_the_applications_own_version_is_left_alone(
    manager: IdempotencyManager, shop: Shop, connection: sqlite3.Connection
) -> None:
    shop.change("PRAGMA user_version = 17")
    run(manager, connection, lambda: None)
    assert shop.select("PRAGMA user_version") == [(17,)]


def test_tables_are_made_in_the_same_transaction(manager: IdempotencyManager) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE cards (title)")
        connection.execute("BEGIN")
        run(manager, connection, adds_card(connection))
        connection.rollback()
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("cards",)]
        run(manager, connection, adds_card(connection))
        assert connection.execute("SELECT state FROM idempotency").fetchall() == [("completed",)]


def test_a_table_of_the_applications_own_that_is_in_the_way_is_named(manager: IdempotencyManager) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE idempotency_records (mine)")
        with pytest.raises(im.StoreUnavailableError, match="idempotency_records already exists"):
            run(manager, connection, refused)
        assert not connection.in_transaction
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("idempotency_records",)]
