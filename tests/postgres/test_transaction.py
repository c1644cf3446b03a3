"""`execute_in_transaction` with PostgreSQL: rows and the memory of them are committed together, by every client."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy

import idempotency_manager as im
from idempotency_manager import AsyncIdempotencyManager, IdempotencyManager, current_execution
from tests.postgres.customers import CARD, Customer, every_client, one_of_each_client, settled

if TYPE_CHECKING:
    from tests.postgres.conftest import Shop

CONSTRAINTS = (psycopg.IntegrityError, sqlalchemy.exc.IntegrityError)


def refused() -> Any:
    pytest.fail("it ran")


# ---------------------------------------------------------------- a transaction of the call's own


@every_client
async def test_row_and_record_are_committed_together(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    assert await customer.run(manager, customer.adds()) == "card-1"
    assert not customer.is_open()
    assert shop.cards() == ["Pay"]
    assert shop.records() == [("inv-1", "completed", 1)]


@every_client
async def test_a_duplicate_is_answered_and_counted(manager: IdempotencyManager, shop: Shop, customer: Customer) -> None:
    for _ in range(3):
        assert await customer.run(manager, customer.adds()) == "card-1"
    assert not customer.is_open()
    assert shop.cards() == ["Pay"]
    assert shop.records() == [("inv-1", "completed", 3)]


@every_client
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
async def test_what_an_executor_did_that_raises_is_undone_and_forgotten(
    manager: IdempotencyManager, shop: Shop, customer: Customer, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        await customer.run(manager, customer.adds(result=error))
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert not customer.is_open()
    assert (shop.cards(), shop.records()) == ([], [])
    assert await customer.run(manager, customer.adds()) == "card-1"
    assert shop.cards() == ["Pay"]


@every_client
async def test_an_error_of_the_database_reaches_the_caller_as_it_is(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    shop.change("INSERT INTO cards VALUES ('Pay')")
    with pytest.raises(CONSTRAINTS) as caught:
        await customer.run(manager, customer.adds())
    assert not hasattr(caught.value, "__notes__")
    assert not customer.is_open()
    assert shop.records() == []


@every_client
async def test_a_constraint_that_is_checked_by_the_commit_undoes_the_record_too(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    shop.change("CREATE TABLE others (card text REFERENCES cards (title) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(CONSTRAINTS):
        await customer.run(manager, customer.executor(lambda: customer.execute("INSERT INTO others VALUES ('no')")))
    assert not customer.is_open()
    assert shop.select("SELECT * FROM others") == shop.records() == []


@every_client
async def test_an_error_that_is_an_answer_is_recorded_without_the_rows(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    for _ in range(2):
        with pytest.raises(LookupError, match="no invoice"):
            await customer.run(manager, customer.adds(result=LookupError("no invoice")), replay_errors=(LookupError,))
    assert shop.cards() == []
    assert shop.records() == [("inv-1", "failed", 2)]


# ---------------------------------------------------------------- the caller's transaction


@every_client
async def test_in_an_open_transaction_the_end_is_left_to_the_caller(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    await settled(customer.begin())
    await settled(customer.execute("INSERT INTO cards VALUES ('first')"))
    assert await customer.run(manager, customer.adds()) == "card-1"
    assert customer.is_open()
    assert (shop.cards(), shop.records()) == ([], [])
    await settled(customer.commit())
    assert shop.cards() == ["first", "Pay"]
    assert shop.records() == [("inv-1", "completed", 1)]


@every_client
async def test_a_caller_that_rolls_back_undoes_both(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    for _ in range(2):
        await settled(customer.begin())
        assert await customer.run(manager, customer.adds()) == "card-1"
        await settled(customer.rollback())
        assert (shop.cards(), shop.records()) == ([], [])


@every_client
async def test_a_failure_undoes_only_what_the_executor_did(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    await settled(customer.begin())
    await settled(customer.execute("INSERT INTO cards VALUES ('mine')"))
    with pytest.raises(ValueError, match="no"):
        await customer.run(manager, customer.adds(result=ValueError("no")))
    with pytest.raises(CONSTRAINTS):
        await customer.run(manager, customer.adds("mine"))
    assert customer.is_open()
    await settled(customer.execute("INSERT INTO cards VALUES ('after')"))
    await settled(customer.commit())
    assert shop.cards() == ["mine", "after"]
    assert shop.records() == []


@every_client
async def test_a_savepoint_of_the_executors_own_is_its_own(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    def fails() -> None:
        with customer.nested():
            customer.execute("INSERT INTO cards VALUES ('twice'), ('twice')")

    async def afails() -> None:
        async with customer.nested():
            await customer.execute("INSERT INTO cards VALUES ('twice'), ('twice')")

    async def aexecutor() -> str:
        with pytest.raises(CONSTRAINTS):
            await afails()
        await customer.execute("INSERT INTO cards VALUES ('instead')")
        return "card-2"

    def executor() -> str:
        with pytest.raises(CONSTRAINTS):
            fails()
        customer.execute("INSERT INTO cards VALUES ('instead')")
        return "card-2"

    assert await customer.run(manager, aexecutor if customer.is_async else executor) == "card-2"
    assert shop.cards() == ["instead"]
    assert shop.records() == [("inv-1", "completed", 1)]


@one_of_each_client
async def test_several_actions_share_one_transaction(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    await settled(customer.begin())
    for title in ("a", "b", "a"):
        await customer.run(manager, customer.adds(title), {**CARD, "params": {"title": title}})
    await settled(customer.commit())
    assert shop.cards() == ["a", "b"]
    assert [attempts for _, _, attempts in shop.records()] == [2, 1]


@one_of_each_client
async def test_an_action_inside_an_action_is_undone_with_the_outer_one(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    inner = {**CARD, "signal_id": "inner"}
    outer = customer.executor(lambda: customer.run_now(manager, inner), result=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await customer.run(manager, outer)
    assert (shop.cards(), shop.records()) == ([], [])


# ---------------------------------------------------------------- a transaction that can't be shared


@every_client
async def test_a_transaction_that_has_failed_is_refused(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    await settled(customer.begin())
    with pytest.raises((psycopg.Error, sqlalchemy.exc.SQLAlchemyError)):
        await settled(customer.execute("SELECT 1 / 0"))
    with pytest.raises(im.StoreUnavailableError, match="roll it back"):
        await customer.run(manager, refused)
    await settled(customer.rollback())
    assert await customer.run(manager, customer.adds()) == "card-1"


@every_client
async def test_a_transaction_that_is_read_only_is_refused(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    await settled(customer.begin())
    await settled(customer.execute("SET TRANSACTION READ ONLY"))
    with pytest.raises(im.StoreUnavailableError, match="read-only"):
        await customer.run(manager, refused)
    await settled(customer.rollback())


@every_client
async def test_an_executor_that_goes_on_after_an_error_is_undone_and_told(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    async def aswallows() -> None:
        with pytest.raises((psycopg.Error, sqlalchemy.exc.SQLAlchemyError)):
            await customer.execute("SELECT 1 / 0")

    def swallows() -> None:
        with pytest.raises((psycopg.Error, sqlalchemy.exc.SQLAlchemyError)):
            customer.execute("SELECT 1 / 0")

    await settled(customer.begin())
    await settled(customer.execute("INSERT INTO cards VALUES ('mine')"))
    with pytest.raises(im.StoreUnavailableError, match="savepoint"):
        await customer.run(manager, aswallows if customer.is_async else swallows, replay_errors=(Exception,))
    await settled(customer.commit())
    assert shop.cards() == ["mine"]
    assert shop.records() == []


# ---------------------------------------------------------------- sync and async


@pytest.mark.parametrize("customer", [c for c in [*every_client.args[1]] if c.is_async], indirect=True)
async def test_a_plain_executor_may_be_given_to_an_asynchronous_call(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    assert await customer.run(manager, lambda: 7) == 7
    assert await customer.run(manager, refused) == 7


@pytest.mark.parametrize("customer", [c for c in [*every_client.args[1]] if c.is_async], indirect=True)
async def test_the_asynchronous_manager_does_the_same(shop: Shop, customer: Customer) -> None:
    async with AsyncIdempotencyManager() as manager:
        for _ in range(2):
            assert await manager.execute_in_transaction(customer.connection, CARD, customer.adds()) == "card-1"
            assert await manager.aexecute_in_transaction(customer.connection, CARD, customer.adds()) == "card-1"
    assert shop.cards() == ["Pay"]


@every_client
async def test_a_connection_of_the_other_kind_is_refused(manager: IdempotencyManager, customer: Customer) -> None:
    call: Any = manager.execute_in_transaction if customer.is_async else manager.aexecute_in_transaction
    with pytest.raises(im.ConfigurationError, match="aexecute" if customer.is_async else "thread"):
        await settled(call(customer.connection, CARD, refused))


@one_of_each_client
async def test_the_executor_has_its_execution(manager: IdempotencyManager, shop: Shop, customer: Customer) -> None:
    seen: list[Any] = []

    async def look() -> None:
        await asyncio.sleep(0)
        seen.append(current_execution())

    await customer.run(
        manager, customer.executor(look if customer.is_async else lambda: seen.append(current_execution()))
    )
    assert (seen[0].key, seen[0].attempt_count) == (manager.generate_key(CARD), 1)
    assert current_execution() is None


@one_of_each_client
async def test_an_executor_that_asks_for_its_own_key_is_refused(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Any
) -> None:
    other = await connect(type(customer))
    for inner in (customer, other):
        with pytest.raises(im.ReentrantCallError, match="inv-1"):
            await customer.run(manager, customer.executor(partial(inner.run_now, manager, CARD)))
    assert shop.records() == []


@one_of_each_client
async def test_events_are_told_after_the_commit(manager: IdempotencyManager, shop: Shop, customer: Customer) -> None:
    seen: list[Any] = []
    manager.configure(on_event=lambda event: seen.append((event.kind, len(shop.records()))))
    for _ in range(2):
        await customer.run(manager, customer.adds())
    assert seen == [("executed", 1), ("replayed", 1)]
