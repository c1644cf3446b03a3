"""An executor that ends the transaction it runs in: what is known is recorded and said, by every client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy

import idempotency_manager as im
from idempotency_manager import NOT_EXECUTED, IdempotencyManager
from tests.postgres.customers import (
    KINDS,
    Customer,
    Psycopg,
    PsycopgAsyncAutocommit,
    PsycopgAutocommit,
    SqlAlchemyAsyncSession,
    SqlAlchemySession,
    every_client,
    one_of_each_client,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.postgres.conftest import Shop

    Connect = Callable[[type[Customer]], Awaitable[Customer]]

ERRORS = (psycopg.Error, sqlalchemy.exc.SQLAlchemyError)


def refused() -> Any:
    pytest.fail("it ran again")


def inserts(customer: Customer, title: str = "Pay") -> Callable[[], Any]:
    return lambda: customer.execute(f"INSERT INTO cards VALUES ('{title}')")  # noqa: S608 - the tests' own


@every_client
@pytest.mark.parametrize("owner", ["call", "caller"])
async def test_an_executor_that_commits_is_recorded_and_told(
    manager: IdempotencyManager, shop: Shop, customer: Customer, owner: str
) -> None:
    if owner == "caller":
        await settled(customer.begin())
    with pytest.raises(im.TransactionEndedError, match="commit") as caught:
        await customer.run(manager, customer.executor(inserts(customer), customer.commit))
    assert (caught.value.result, caught.value.recorded) == ("card-1", True)
    assert not customer.is_open()
    assert shop.cards() == ["Pay"]
    assert await customer.run(manager, refused) == "card-1"


SESSIONS = [kind for kind in KINDS if "Session" in kind.__name__]


@pytest.mark.parametrize("customer", [kind for kind in KINDS if kind not in SESSIONS], indirect=True)
async def test_a_commit_by_a_statement_is_seen_too(manager: IdempotencyManager, shop: Shop, customer: Customer) -> None:
    with pytest.raises(im.TransactionEndedError) as caught:
        await customer.run(manager, customer.executor(inserts(customer), lambda: customer.execute("COMMIT")))
    assert caught.value.recorded
    assert not customer.is_open()
    assert shop.cards() == ["Pay"]
    assert await customer.run(manager, refused) == "card-1"


@pytest.mark.parametrize("customer", [SqlAlchemySession, SqlAlchemyAsyncSession], indirect=True)
async def test_a_commit_behind_a_sessions_back_is_told_though_it_can_t_be_recorded(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    with pytest.raises(im.TransactionEndedError) as caught:
        await customer.run(manager, customer.executor(inserts(customer), lambda: customer.execute("COMMIT")))
    assert (caught.value.result, caught.value.recorded) == ("card-1", False)
    assert not customer.is_open()
    assert shop.cards() == ["Pay"]
    assert shop.records() == [("inv-1", "in_progress", 1)]
    with pytest.raises(im.AlreadyInProgressError):
        await customer.run(manager, refused)


@every_client
async def test_what_follows_a_commit_is_committed_with_the_record(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    steps = (inserts(customer), customer.commit, customer.begin, inserts(customer, "later"))
    with pytest.raises(im.TransactionEndedError) as caught:
        await customer.run(manager, customer.executor(*steps))
    assert caught.value.recorded
    assert not customer.is_open()
    assert shop.cards() == ["Pay", "later"]
    assert shop.records() == [("inv-1", "completed", 1)]


@every_client
async def test_a_failure_after_a_commit_leaves_the_action_in_doubt(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    breaks_off = customer.executor(inserts(customer), customer.commit, result=ValueError("half-way"))
    with pytest.raises(ValueError, match="half-way") as caught:
        await customer.run(manager, breaks_off)
    assert "in doubt" in caught.value.__notes__[0]
    assert not customer.is_open()
    assert shop.cards() == ["Pay"]
    assert shop.records() == [("inv-1", "in_doubt", 1)]
    with pytest.raises(im.InDoubtError, match="ValueError: half-way") as again:
        await customer.run(manager, refused)
    assert "store in that database" in again.value.__notes__[0]


@every_client
async def test_a_statement_that_fails_after_a_commit_undoes_nothing_else(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    with pytest.raises(ERRORS):
        await customer.run(
            manager, customer.executor(inserts(customer), customer.commit, lambda: customer.execute("SELECT 1 / 0"))
        )
    with contextlib.suppress(*ERRORS):
        await settled(customer.rollback())
    assert shop.cards() == ["Pay"]
    [(_, state, _)] = shop.records()
    assert state in ("in_doubt", "in_progress")


@every_client
async def test_an_executor_that_rolls_back_is_told_that_nothing_is_recorded(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    steps = (inserts(customer), customer.rollback, customer.begin, inserts(customer, "later"))
    with pytest.raises(im.TransactionEndedError, match="gone") as caught:
        await customer.run(manager, customer.executor(*steps))
    assert (caught.value.result, caught.value.recorded) == ("card-1", False)
    assert not customer.is_open()
    assert (shop.cards(), shop.records()) == ([], [])


@every_client
async def test_in_the_callers_transaction_what_follows_a_rollback_is_left_to_the_caller(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    await settled(customer.begin())
    await settled(inserts(customer, "before")())
    steps = (customer.rollback, customer.begin, inserts(customer, "later"))
    with pytest.raises(im.TransactionEndedError):
        await customer.run(manager, customer.executor(*steps))
    assert customer.is_open()
    await settled(customer.commit())
    assert shop.cards() == ["later"]
    assert shop.records() == []


@every_client
async def test_an_executor_that_closes_the_connection_is_told(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    with pytest.raises(im.TransactionEndedError, match="close") as caught:
        await customer.run(manager, customer.executor(inserts(customer), customer.connection.close))
    assert (caught.value.result, caught.value.recorded) == ("card-1", False)
    assert (shop.cards(), shop.records()) == ([], [])


@pytest.mark.parametrize("customer", [Psycopg, PsycopgAutocommit, PsycopgAsyncAutocommit], indirect=True)
async def test_an_executor_that_undoes_what_its_caller_saved_is_told(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    await settled(customer.begin())
    await settled(customer.execute("SAVEPOINT mine"))
    with pytest.raises(im.StoreUnavailableError, match="older than this call"):
        await customer.run(manager, customer.executor(lambda: customer.execute("ROLLBACK TO mine")))
    await settled(customer.execute("ROLLBACK TO mine"))
    await settled(customer.commit())
    assert shop.records() == []


@one_of_each_client
async def test_an_executor_that_removes_its_record_gets_it_back(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    remove = customer.executor(lambda: customer.execute("DELETE FROM idempotency_records"))
    assert await customer.run(manager, remove) == "card-1"
    assert [state for _, state, _ in shop.records()] == ["completed"]


@one_of_each_client
async def test_between_its_commit_and_its_end_an_executor_is_seen_in_progress(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    seen: list[Any] = []
    steps = (inserts(customer), customer.commit, lambda: seen.extend(shop.records()))
    with pytest.raises(im.TransactionEndedError):
        await customer.run(manager, customer.executor(*steps))
    assert seen == [("inv-1", "in_progress", 1)]


@one_of_each_client
async def test_a_live_claim_is_left_to_whoever_has_it(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    """A caller's transaction that is told so does not keep the record from being finished."""
    other = await connect(Psycopg)
    told: list[Any] = []

    def meanwhile() -> None:
        with pytest.raises(im.AlreadyInProgressError) as caught:
            other.run_now(manager, {**action, "signal_id": "inv-1"}, refused)
        told.append(caught.value)

    action = {"signal_id": "inv-1", "action": "create_card", "target": "shop", "params": {"title": "Pay"}}
    other.begin()

    def asks_as_somebody_else() -> None:
        from contextvars import Context

        Context().run(meanwhile)

    with pytest.raises(im.TransactionEndedError) as caught:
        await customer.run(manager, customer.executor(customer.commit, asks_as_somebody_else))
    assert caught.value.recorded
    assert told[0].record.owner is not None
    other.rollback()
    assert shop.records() == [("inv-1", "completed", 1)]


@one_of_each_client
@pytest.mark.parametrize("found", ["found", NOT_EXECUTED], ids=["found", "not executed"])
async def test_a_reconciler_settles_a_doubt_inside_the_transaction(
    manager: IdempotencyManager, shop: Shop, customer: Customer, found: Any
) -> None:
    seen: list[Any] = []

    async def areconcile(record: Any) -> Any:
        seen.append((str(record.state), await customer.execute("SELECT title FROM cards")))
        return found

    def reconcile(record: Any) -> Any:
        seen.append((str(record.state), customer.execute("SELECT title FROM cards")))
        return found

    with pytest.raises(ValueError, match="half-way"):
        await customer.run(
            manager, customer.executor(inserts(customer), customer.commit, result=ValueError("half-way"))
        )
    look = areconcile if customer.is_async else reconcile
    expected = "found" if found == "found" else "again"
    assert await customer.run(manager, lambda: "again", on_in_doubt=look) == expected
    assert seen == [("in_doubt", [("Pay",)])]
    assert await customer.run(manager, refused) == expected
    assert shop.records() == [("inv-1", "completed", 3)]
