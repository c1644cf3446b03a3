"""Records that are there already when a transaction asks: of earlier ones, and of a store in the same database."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager, State, current_execution
from idempotency_manager._core import claim_owner
from idempotency_manager.testing import ManualClock
from tests.postgres.customers import CARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postgres.conftest import Shop

HOUR = 3_600_000_000


@pytest.fixture
def connection(shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shop.url) as made:
        yield made


def run(manager: IdempotencyManager, connection: Any, executor: Callable[[], Any], **options: Any) -> Any:
    return manager.execute_in_transaction(connection, CARD, executor, **options)


def refused() -> Any:
    pytest.fail("it ran")


def now() -> int:
    return time.time_ns() // 1000


def put(shop: Shop, manager: IdempotencyManager, **columns: Any) -> None:
    """Put a record of CARD down as a store would have."""
    row = {
        "namespace": "idempotency",
        "key": manager.generate_key(CARD),
        "fence": 41,
        "state": "in_progress",
        "signal_id": "inv-1",
        "owner": "elsewhere:7",
        "owner_process": "99",
        "token": "theirs",
        "attempts": 1,
        "started_at": now() - 60_000_000,
        "expires_at": now() + HOUR,
        **columns,
    }
    values = ", ".join("NULL" if value is None else f"'{value}'" for value in row.values())
    shop.change(f"INSERT INTO idempotency_records ({', '.join(row)}) VALUES ({values})")  # noqa: S608 - the tests' own


def record(shop: Shop, columns: str) -> Any:
    [found] = shop.select(f"SELECT {columns} FROM idempotency_records WHERE signal_id = 'inv-1'")  # noqa: S608
    return found


def test_an_expired_record_is_as_nothing(manager: IdempotencyManager, shop: Shop, connection: Any) -> None:
    put(shop, manager, state="completed", executed_at=1, expires_at=2, result='"old"', attempts=5)
    assert run(manager, connection, lambda: "new") == "new"
    assert record(shop, "state, attempts, result, token, fence > 41") == ("completed", 1, '"new"', None, True)


def test_a_failure_over_an_expired_record_leaves_it_as_it_was(
    manager: IdempotencyManager, shop: Shop, connection: Any
) -> None:
    put(shop, manager, state="completed", executed_at=1, expires_at=2, result='"old"')
    before = record(shop, "*")
    with pytest.raises(ZeroDivisionError):
        run(manager, connection, lambda: 1 / 0)
    assert record(shop, "*") == before


def test_executions_remove_more_expired_records_than_they_add(
    manager: IdempotencyManager, shop: Shop, connection: Any
) -> None:
    for number in range(20):
        put(shop, manager, key=f"k{number}", signal_id=f"k{number}", state="failed", executed_at=1, expires_at=2)
    put(shop, manager, key="doubt", signal_id="doubt", state="in_doubt", expires_at=2)
    for _ in range(2):
        for number in range(8):
            action = {**CARD, "signal_id": f"new{number}"}
            manager.execute_in_transaction(connection, action, lambda: None)
    assert len(shop.records()) == 20 + 1 + 8 - 16
    for number in range(8):
        manager.execute_in_transaction(connection, {**CARD, "signal_id": f"newer{number}"}, lambda: None)
    assert {signal[:3] for signal, _, _ in shop.records()} == {"dou", "new"}


def test_in_a_snapshot_nothing_is_removed(manager: IdempotencyManager, shop: Shop, connection: Any) -> None:
    put(shop, manager, key="k", signal_id="k", state="failed", executed_at=1, expires_at=2)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    for number in range(8):
        manager.execute_in_transaction(connection, {**CARD, "signal_id": f"new{number}"}, lambda: None)
    assert len(shop.records()) == 8 + 1


def test_a_live_claim_of_a_store_is_in_progress_and_counted(
    manager: IdempotencyManager, shop: Shop, connection: Any
) -> None:
    put(shop, manager, lease_until=now() + HOUR)
    with pytest.raises(im.AlreadyInProgressError, match="elsewhere:7") as caught:
        run(manager, connection, refused)
    assert (caught.value.record.state, caught.value.record.attempt_count) == (State.IN_PROGRESS, 2)
    assert record(shop, "attempts, fence, token") == (2, 41, "theirs")


def test_in_the_callers_transaction_a_live_claim_is_not_held_up(
    manager: IdempotencyManager, shop: Shop, connection: Any
) -> None:
    put(shop, manager, lease_until=now() + HOUR)
    connection.execute("SELECT 1")
    with pytest.raises(im.AlreadyInProgressError):
        run(manager, connection, refused)
    shop.change("SET lock_timeout = '1s'")
    shop.change("UPDATE idempotency_records SET attempts = attempts WHERE fence = 41")
    shop.change("RESET lock_timeout")


@pytest.mark.parametrize("columns", [{"lease_until": 0}, {"state": "in_doubt", "error": "why"}], ids=["lapsed", "said"])
def test_a_doubt_is_raised_counted_and_retried(
    manager: IdempotencyManager, shop: Shop, connection: Any, columns: dict[str, Any]
) -> None:
    put(shop, manager, **columns)
    with pytest.raises(im.InDoubtError, match=r"elsewhere:7.*resolve_in_doubt") as caught:
        run(manager, connection, refused)
    assert caught.value.record.error == columns.get("error")
    assert record(shop, "attempts") == (2,)
    with pytest.raises(ZeroDivisionError):
        run(manager, connection, lambda: 1 / 0, on_in_doubt="retry")
    assert record(shop, "attempts, token") == (2, "theirs")
    assert run(manager, connection, lambda: current_execution().attempt_count, on_in_doubt="retry") == 3  # type: ignore[union-attr]
    assert record(shop, "state, attempts, fence > 41, token, error") == ("completed", 3, True, None, None)


def test_a_fence_is_above_the_one_that_was_there_even_if_the_counter_is_not(
    manager: IdempotencyManager, shop: Shop, connection: Any
) -> None:
    """As after a standby took over that had not heard of the newest ones."""
    put(shop, manager, state="in_doubt", fence=10**12)
    assert run(manager, connection, lambda: 7, on_in_doubt="retry") == 7
    assert record(shop, "fence") == (10**12 + 1,)


def test_a_claim_of_a_process_that_has_died_is_in_doubt_at_once(
    manager: IdempotencyManager, shop: Shop, connection: Any
) -> None:
    script = "from idempotency_manager._core import claim_owner; print(*claim_owner(), sep='\\n')"
    owner, process = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    put(shop, manager, lease_until=now() + HOUR, owner=owner, owner_process=process)
    with pytest.raises(im.InDoubtError):
        run(manager, connection, refused)


def test_other_params_of_a_live_key_are_a_mismatch(manager: IdempotencyManager, shop: Shop, connection: Any) -> None:
    manager.configure(include_params_in_key=False, verify_params=True)
    run(manager, connection, lambda: "card-1")
    with pytest.raises(im.ParamsMismatchError) as caught:
        manager.execute_in_transaction(connection, {**CARD, "params": {"title": "Other"}}, refused)
    assert (caught.value.record.state, caught.value.record.result) == (State.COMPLETED, "card-1")
    assert record(shop, "attempts") == (2,)


def test_times_are_the_servers(manager: IdempotencyManager, shop: Shop, connection: Any) -> None:
    run(manager, connection, lambda: time.sleep(0.05), ttl="1h")
    columns = "executed_at - started_at, expires_at - executed_at"
    ran, kept = record(shop, columns)
    assert 50_000 <= ran < 5_000_000
    assert kept == HOUR
    [(age,)] = shop.select(
        "SELECT extract(epoch FROM clock_timestamp()) * 1000000 - executed_at FROM idempotency_records"
    )
    assert 0 <= age < 30_000_000


def test_a_clock_of_the_configuration_is_the_only_one(shop: Shop, connection: Any) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    with IdempotencyManager(clock=clock) as manager:
        run(manager, connection, lambda: clock.advance("20s"), ttl="1m")
        start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
        expected = (start, start + 20_000_000, start + 80_000_000)
        assert record(shop, "started_at, executed_at, expires_at") == expected
        clock.advance("1m")
        assert run(manager, connection, lambda: "again") == "again"


def test_namespaces_are_kept_apart(shop: Shop, connection: Any) -> None:
    for name in ("another", "a new one", "another"):
        with IdempotencyManager(namespace=name) as manager:
            run(manager, connection, lambda: None)
    counted = "SELECT namespace, attempts FROM idempotency ORDER BY fence"
    assert shop.select(counted) == [("another", 2), ("a new one", 1)]


def test_any_text_is_kept(manager: IdempotencyManager, shop: Shop, connection: Any) -> None:
    odd = "a\0b\U0010ffff0\N{SNOWMAN}'\"%(x)s:y\\"
    action = {"signal_id": odd, "action": odd, "target": odd, "context": {odd: odd}}
    manager.configure(replay_errors=(LookupError,))

    def fails() -> None:
        raise LookupError(odd)

    for _ in range(2):
        assert manager.execute_in_transaction(connection, action, lambda: {odd: odd}) == {odd: odd}
        with pytest.raises(LookupError) as caught:
            manager.execute_in_transaction(connection, CARD, fails)
        assert caught.value.args == (odd,)
    events: list[Any] = []
    manager.configure(on_event=events.append)
    manager.execute_in_transaction(connection, action, refused)
    [event] = events
    assert (event.record.signal_id, event.record.action_type, event.record.target) == (odd, odd, odd)
    assert event.record.context == {odd: odd}


def test_the_columns_are_those_that_a_store_writes(manager: IdempotencyManager, shop: Shop, connection: Any) -> None:
    manager.configure(store_params=True)
    manager.execute_in_transaction(connection, {**CARD, "context": {"by": "cron"}}, lambda: {"id": 1})
    columns = (
        "key, state, latch, signal_id, action_type, target, encode(fingerprint, 'hex'), owner, owner_process, token,"
        "attempts, lease_until, result, result_bytes, error, params, context, awaited, previous"
    )
    found = record(shop, columns)
    key = manager.generate_key(CARD)
    assert found[:6] == (key, "completed", None, "inv-1", "create_card", "shop")
    assert found[6][:16] == key.rpartition(":")[2]
    assert found[7:10] == (*claim_owner(), None)
    assert found[10:] == (1, None, '{"id":1}', None, None, '{"title":"Pay"}', '{"by":"cron"}', False, None)
