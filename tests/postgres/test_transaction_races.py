"""Two transactions of one key: the second waits for the first to end, and no longer than it is told to."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy

import idempotency_manager as im
from idempotency_manager import IdempotencyManager
from idempotency_manager._transaction_link import sqlstate
from tests.postgres.customers import CARD, Customer, Psycopg, every_client, one_of_each_client, settled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.postgres.conftest import Shop

    Connect = Callable[[type[Customer]], Awaitable[Customer]]

OTHER = {**CARD, "signal_id": "inv-2"}


def refused() -> Any:
    pytest.fail("it ran")


def start(customer: Customer, manager: IdempotencyManager, executor: Any, action: Any = CARD) -> asyncio.Future[Any]:
    """Run beside this task: in another one, or in a thread."""
    if customer.is_async:
        task: asyncio.Future[Any] = asyncio.ensure_future(customer.run_now(manager, action, executor))
        return task
    return asyncio.ensure_future(asyncio.to_thread(customer.run_now, manager, action, executor))


async def until_waiting(shop: Shop) -> None:
    async with asyncio.timeout(20):
        while not shop.waiting():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)


def until_waiting_here(shop: Shop) -> None:
    give_up = time.monotonic() + 20
    while not shop.waiting():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def holds_until_waited_for(shop: Shop, customer: Customer, has_begun: threading.Event) -> Callable[[], Any]:
    """An executor that adds a card and ends when another transaction waits for it."""
    wait = (lambda: until_waiting(shop)) if customer.is_async else (lambda: until_waiting_here(shop))
    return customer.executor(lambda: customer.execute("INSERT INTO cards VALUES ('Pay')"), has_begun.set, wait)


async def set_isolation(customer: Customer, level: str) -> None:
    await settled(customer.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}"))
    await settled(customer.commit())


async def started(shop: Shop, customer: Customer, manager: IdempotencyManager, executor: Any) -> asyncio.Future[Any]:
    """Start a call, and wait until it waits."""
    call = start(customer, manager, executor)
    await until_waiting(shop)
    return call


# ---------------------------------------------------------------- waiting


@every_client
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
async def test_the_second_waits_for_the_first_and_is_answered(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect, isolation: str
) -> None:
    second = await connect(type(customer))
    for each in (customer, second):
        await set_isolation(each, isolation)
    has_begun = threading.Event()
    running = start(customer, manager, holds_until_waited_for(shop, customer, has_begun))
    await asyncio.to_thread(has_begun.wait, 20)
    assert await start(second, manager, refused) == "card-1"
    assert await running == "card-1"
    assert not second.is_open()
    assert shop.cards() == ["Pay"]
    assert shop.records() == [("inv-1", "completed", 2)]


@every_client
async def test_the_second_runs_when_the_first_is_rolled_back(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    second = await connect(type(customer))
    await settled(customer.begin())
    assert await customer.run(manager, customer.adds()) == "card-1"
    call = await started(shop, second, manager, second.adds("theirs", "card-2"))
    await settled(customer.rollback())
    assert await call == "card-2"
    assert shop.cards() == ["theirs"]
    assert shop.records() == [("inv-1", "completed", 1)]


@one_of_each_client
async def test_threads_and_tasks_that_race_run_an_action_once(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    others = [customer, *[await connect(type(customer)) for _ in range(7)]]
    calls = [start(each, manager, each.adds()) for each in others]
    assert await asyncio.gather(*calls) == ["card-1"] * 8
    assert shop.cards() == ["Pay"]
    assert shop.records() == [("inv-1", "completed", 8)]


async def test_another_key_is_not_waited_for(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    second = await connect(Psycopg)
    customer.begin()
    await customer.run(manager, customer.adds())
    assert await second.run(manager, second.adds("theirs"), OTHER) == "card-1"
    assert shop.cards() == ["theirs"]
    customer.commit()


async def test_what_was_waited_for_is_as_new_as_what_was_not(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    """An executor that commits by itself leaves a claim: it must be believed for a whole lease from its beginning."""
    manager.configure(lease="1s", default_ttl="1h")
    second = await connect(Psycopg)
    customer.begin()
    await customer.run(manager, customer.adds())
    call = await started(shop, second, manager, second.executor(second.commit))
    await asyncio.sleep(1.1)  # longer than a lease, and than what is too long
    customer.rollback()
    with pytest.raises(im.TransactionEndedError):
        await call
    [(age,)] = shop.select("SELECT executed_at - started_at FROM idempotency_records")
    assert age < 500_000


# ---------------------------------------------------------------- no longer than told to


@every_client
async def test_a_wait_that_is_too_long_ends(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    manager.configure(wait_timeout="150ms")
    second = await connect(type(customer))
    await settled(customer.begin())
    await customer.run(manager, customer.adds())
    with pytest.raises(im.AlreadyInProgressError, match=r"after 0\.\d+ s of waiting") as caught:
        await second.run(manager, refused)
    assert "neither been committed nor rolled back" in caught.value.__notes__[0]
    assert caught.value.record.state == "in_progress"
    assert not second.is_open()
    await settled(customer.commit())
    assert await second.run(manager, refused) == "card-1"


@every_client
async def test_who_would_rather_not_wait_does_not(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    second = await connect(type(customer))
    await settled(customer.begin())
    await customer.run(manager, customer.adds())
    before = time.monotonic()
    with pytest.raises(im.AlreadyInProgressError):
        await second.run(manager, refused, on_concurrent="raise")
    assert time.monotonic() - before < 5
    await settled(customer.rollback())


@every_client
async def test_the_callers_transaction_outlives_a_wait_in_vain(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    manager.configure(on_concurrent="raise")
    second = await connect(type(customer))
    await settled(customer.begin())
    await customer.run(manager, customer.adds())
    await settled(second.begin())
    await settled(second.execute("INSERT INTO cards VALUES ('mine')"))
    with pytest.raises(im.AlreadyInProgressError):
        await second.run(manager, refused)
    shown = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    assert await settled(second.execute(shown)) == [("0", "0")]
    await settled(second.execute("INSERT INTO cards VALUES ('after')"))
    await settled(second.commit())
    await settled(customer.rollback())
    assert shop.cards() == ["mine", "after"]


async def test_waits_for_several_transactions_are_one_wait(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idempotency_manager._transaction_postgres._LONGER", 0)
    manager.configure(wait_timeout="2s")
    first, second = await connect(Psycopg), await connect(Psycopg)
    for each in (first, second, customer):
        each.begin()
    await first.run(manager, first.adds())
    before = time.monotonic()
    calls = [start(each, manager, lambda: "held on to") for each in (second, customer)]
    await asyncio.sleep(1.5)
    first.rollback()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - before < 3
    assert {str(type(answer).__name__) for answer in answers} == {"str", "AlreadyInProgressError"}


@every_client
@pytest.mark.parametrize("own", ["0", "7s"])
@pytest.mark.parametrize("name", ["lock_timeout", "statement_timeout"])
async def test_the_connections_own_timeouts_are_as_before(
    manager: IdempotencyManager, shop: Shop, customer: Customer, own: str, name: str
) -> None:
    seen: list[Any] = []

    async def alook() -> None:
        seen.extend(await customer.execute(f"SHOW {name}"))

    def look() -> None:
        seen.extend(customer.execute(f"SHOW {name}"))

    await settled(customer.execute(f"SET {name} = '{own}'"))
    await settled(customer.commit())
    await settled(customer.begin())
    for action in (CARD, CARD, OTHER):
        await customer.run(manager, alook if customer.is_async else look, action)
        if customer.is_async:
            await alook()
        else:
            look()
    await settled(customer.commit())
    assert seen == [(own,)] * 5


async def test_a_callers_own_statement_timeout_is_named(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    second = await connect(Psycopg)
    customer.begin()
    await customer.run(manager, customer.adds())
    second.execute("SET statement_timeout = '100ms'")
    second.commit()
    with pytest.raises(im.StoreUnavailableError, match="statement_timeout"):
        await second.run(manager, refused)
    assert not second.is_open()


# ---------------------------------------------------------------- what others did meanwhile


SERIALIZATION = (psycopg.errors.SerializationFailure, sqlalchemy.exc.DBAPIError)


@every_client
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_in_the_callers_own_snapshot_what_others_did_is_the_callers_to_run_again(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect, isolation: str
) -> None:
    other = await connect(Psycopg)
    await set_isolation(customer, isolation)
    await settled(customer.begin())
    await settled(customer.execute("SELECT 1 FROM cards"))
    await other.run(manager, other.adds())
    with pytest.raises(SERIALIZATION) as caught:
        await customer.run(manager, refused)
    assert sqlstate(caught.value) == "40001"
    await settled(customer.rollback())
    await settled(customer.begin())
    assert await customer.run(manager, refused) == "card-1"
    await settled(customer.commit())
    assert shop.records() == [("inv-1", "completed", 2)]


@one_of_each_client
async def test_a_commit_that_can_t_be_serialized_keeps_nothing(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    other = await connect(Psycopg)
    for each in (customer, other):
        await set_isolation(each, "SERIALIZABLE")

    def meanwhile() -> None:
        other.execute("SELECT count(*) FROM cards")
        other.execute("INSERT INTO cards VALUES ('theirs')")
        other.commit()

    skew = customer.executor(
        lambda: customer.execute("SELECT count(*) FROM cards"),
        lambda: other.execute("SELECT 1"),
        lambda: customer.execute("INSERT INTO cards VALUES ('mine')"),
        meanwhile,
    )
    other.execute("SELECT count(*) FROM cards")
    with pytest.raises(SERIALIZATION) as caught:
        await customer.run(manager, skew)
    assert sqlstate(caught.value) == "40001"
    assert not customer.is_open()
    assert shop.cards() == ["theirs"]
    assert shop.records() == []


@one_of_each_client
async def test_of_two_that_lock_each_other_one_is_told_and_the_other_comes_through(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    second = await connect(type(customer))
    for each in (customer, second):
        await settled(each.execute("SET deadlock_timeout = '50ms'"))
        await settled(each.commit())
        await settled(each.begin())
    await customer.run(manager, lambda: 1, CARD)
    await second.run(manager, lambda: 2, OTHER)
    calls = [start(customer, manager, lambda: 1, OTHER), start(second, manager, lambda: 2, CARD)]
    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    failed = done.pop()
    error = failed.exception()
    assert error is not None
    assert sqlstate(error) == "40P01"
    loser, winner = (customer, second) if failed is calls[0] else (second, customer)
    await settled(loser.rollback())
    await calls[1 if failed is calls[0] else 0]
    await settled(winner.commit())
    assert [state for _, state, _ in shop.records()] == ["completed"] * 2


# ---------------------------------------------------------------- waits that are broken off


@pytest.mark.parametrize("customer", [c for c in every_client.args[1] if c.is_async], indirect=True)
@pytest.mark.parametrize("owner", ["call", "caller"])
async def test_a_task_that_is_cancelled_while_it_waits_leaves_nothing(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect, owner: str
) -> None:
    first = await connect(Psycopg)
    first.begin()
    await first.run(manager, first.adds())
    if owner == "caller":
        await settled(customer.begin())
    call = await started(shop, customer, manager, refused)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    if owner == "caller":
        await settled(customer.rollback())
    assert not customer.is_open()
    first.rollback()
    assert shop.records() == []
    assert await customer.run(manager, customer.adds()) == "card-1"


@pytest.mark.parametrize("customer", [c for c in every_client.args[1] if c.is_async], indirect=True)
async def test_a_task_that_is_cancelled_inside_its_executor_leaves_nothing(
    manager: IdempotencyManager, shop: Shop, customer: Customer
) -> None:
    entered = asyncio.Event()

    async def forever() -> None:
        await customer.execute("INSERT INTO cards VALUES ('Pay')")
        entered.set()
        await asyncio.Event().wait()

    call = start(customer, manager, forever)
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not customer.is_open()
    assert (shop.cards(), shop.records()) == ([], [])
    assert await customer.run(manager, customer.adds()) == "card-1"


def test_ctrl_c_ends_a_wait(manager: IdempotencyManager, shop: Shop) -> None:
    with psycopg.connect(shop.url) as first, psycopg.connect(shop.url) as second:
        manager.execute_in_transaction(first, {**CARD, "signal_id": "x"}, lambda: None)
        first.execute("SELECT 1")
        manager.execute_in_transaction(first, CARD, lambda: None)
        main = threading.get_ident()

        def press() -> None:
            until_waiting_here(shop)
            signal.pthread_kill(main, signal.SIGINT)

        presser = threading.Thread(target=press)
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            manager.execute_in_transaction(second, CARD, refused)
        presser.join()
        assert not second.pgconn.transaction_status
        first.rollback()
        assert manager.execute_in_transaction(second, CARD, lambda: "again") == "again"
