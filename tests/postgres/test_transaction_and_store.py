"""Transactions in an application's database, and a store in the same one: one memory."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager
from idempotency_manager.testing import ManualClock
from tests.postgres.customers import CARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import PostgresServer
    from tests.postgres.conftest import Shop


@pytest.fixture
def store(shop: Shop) -> Iterator[IdempotencyManager]:
    """A manager whose own store is the application's database."""
    with IdempotencyManager(shop.url, lease="1h", default_ttl="2h") as made:
        yield made


@pytest.fixture
def connection(shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shop.url) as made:
        yield made


def refused() -> Any:
    pytest.fail("it ran")


def test_each_answers_what_the_other_has_executed(
    store: IdempotencyManager, shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    odd = {"a\0\U0010ffff0": (1, b"\0")}
    assert store.execute_in_transaction(connection, CARD, lambda: odd) == odd
    assert store.execute(CARD, refused) == odd
    other = {**CARD, "signal_id": "inv\0-2"}
    assert store.execute(other, lambda: odd) == odd
    assert store.execute_in_transaction(connection, other, refused) == odd
    found = store.get_record(store.generate_key(other))
    assert found is not None
    assert (found.signal_id, found.attempt_count) == ("inv\0-2", 2)
    assert sorted(store.find_keys_by_target("shop")) == sorted(store.generate_key(each) for each in (CARD, other))
    assert store.cache_info().current_size == 2


@pytest.mark.parametrize("first", ["store", "transaction"])
def test_either_makes_the_tables_for_both(postgres_server: PostgresServer, first: str) -> None:
    with postgres_server.fresh_database() as name:
        url = postgres_server.url_of(name)
        with IdempotencyManager(url) as store, psycopg.connect(url) as connection:
            if first == "store":
                store.execute({**CARD, "signal_id": "first"}, lambda: None)
            assert store.execute_in_transaction(connection, CARD, lambda: 7) == 7
            assert store.execute(CARD, refused) == 7


def test_a_stores_claim_is_met_at_once_and_not_held_up(
    store: IdempotencyManager, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("SELECT 1")
    with store.claim(CARD) as attempt:
        with pytest.raises(im.AlreadyInProgressError) as caught:
            store.execute_in_transaction(connection, CARD, refused)
        assert caught.value.record.owner is not None
        attempt.complete("by the store")
    connection.rollback()
    assert store.execute_in_transaction(connection, CARD, refused) == "by the store"


def test_a_store_waits_for_a_transaction_and_is_answered(
    store: IdempotencyManager, shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("SELECT 1")
    store.execute_in_transaction(connection, CARD, lambda: "by the transaction")
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(store.execute(CARD, refused)))
    thread.start()
    give_up = time.monotonic() + 20
    while not shop.waiting() and time.monotonic() < give_up:
        time.sleep(0.005)
    connection.commit()
    thread.join()
    assert answers == ["by the transaction"]


def test_a_doubt_that_a_transaction_left_is_settled_by_the_store(
    store: IdempotencyManager, connection: psycopg.Connection[Any]
) -> None:
    def breaks_off() -> None:
        connection.commit()
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        store.execute_in_transaction(connection, CARD, breaks_off)
    [doubt] = store.get_in_doubt()
    assert doubt.error == "ValueError: half-way"
    store.resolve_in_doubt(doubt.key, result="looked at")
    assert store.execute_in_transaction(connection, CARD, refused) == "looked at"


def test_a_doubt_that_a_store_left_is_taken_over(
    store: IdempotencyManager, shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    with pytest.raises(TimeoutError):
        store.execute(CARD, lambda: (_ for _ in ()).throw(TimeoutError()))
    with pytest.raises(im.InDoubtError):
        store.execute_in_transaction(connection, CARD, refused)
    [(before,)] = shop.select("SELECT fence FROM idempotency_records")
    assert store.execute_in_transaction(connection, CARD, lambda: "again", on_in_doubt="retry") == "again"
    [(after,)] = shop.select("SELECT fence FROM idempotency_records")
    assert after > before
    assert store.execute(CARD, refused) == "again"


def test_a_store_cleans_up_after_transactions(store: IdempotencyManager, connection: psycopg.Connection[Any]) -> None:
    with IdempotencyManager(clock=ManualClock(datetime.now(UTC) - timedelta(days=3))) as long_ago:
        for number in range(3):
            long_ago.execute_in_transaction(connection, {**CARD, "signal_id": f"t{number}"}, lambda: None)
    assert store.cleanup_expired() == 3
    assert store.cache_info().current_size == 0
