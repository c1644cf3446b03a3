"""Processes, servers and connections that die in a transaction: row and memory of it are both there, or neither."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import idempotency_manager as im
from idempotency_manager import IdempotencyManager
from servers import PostgresServer, Proxy
from servers.testing import needed
from tests.postgres.customers import KINDS, Customer, Psycopg, every_client, settled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.postgres.conftest import Shop

    Connect = Callable[[type[Customer]], Awaitable[Customer]]

ROOT = Path(__file__).parents[2]


def refused() -> Any:
    pytest.fail("it ran again")


@pytest.mark.parametrize("owner", ["call", "caller"])
def test_killed_before_any_statement_it_has_left_both_or_neither(shop: Shop, owner: str) -> None:
    command = [sys.executable, "-m", "tests.postgres.killed_writers", shop.url, owner]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert ran.returncode == 0, ran.stderr
    *killed, last = json.loads(ran.stdout)
    assert len(killed) > 7
    assert {each["status"] for each in killed} == {-signal.SIGKILL}
    assert last["status"] == 0
    for each in [*killed, last]:
        assert each["answer"] == "card-1"
        assert each["cards"] == [[1]]
    attempts = [each["records"] for each in [*killed, last]]
    assert attempts[0] == [["completed", 1]], "what was killed before the commit has left nothing"
    assert attempts[-1] == [["completed", 2]], "what came through is answered"
    assert attempts == sorted(attempts)


@pytest.mark.parametrize("customer", [kind for kind in KINDS if kind.driver in ("", "psycopg")], indirect=True)
async def test_a_connection_that_breaks_before_the_commit_leaves_nothing(
    manager: IdempotencyManager, shop: Shop, customer: Customer, connect: Connect
) -> None:
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "

    def cut() -> None:
        shop.select(f"{end} pg_backend_pid()")

    with pytest.raises(im.StoreUnavailableError, match="connection is lost"):
        await customer.run(manager, customer.executor(lambda: customer.execute("INSERT INTO cards VALUES ('a')"), cut))
    assert (shop.cards(), shop.records()) == ([], [])
    another = await connect(type(customer))
    assert await another.run(manager, another.adds()) == "card-1"


@every_client
@pytest.mark.parametrize("is_done", [True, False], ids=["and the answer is lost", "and does not arrive"])
async def test_a_connection_that_breaks_during_the_commit_leaves_a_doubt_that_the_next_call_settles(  # noqa: PLR0913, PLR0917
    manager: IdempotencyManager,
    shop: Shop,
    proxy_factory: Callable[..., Proxy],
    postgres_server: PostgresServer,
    customer: Customer,
    is_done: bool,
) -> None:
    events: list[Any] = []
    manager.configure(on_event=lambda event: events.append((event.kind, event.record)))
    proxy = proxy_factory(postgres_server)
    far = type(customer)(proxy.through(shop.url))
    await far.open()
    cut = proxy.cut_after_request if is_done else proxy.cut_before_request
    cut(b"COMMIT")
    with pytest.raises(im.InDoubtError, match="or neither is") as caught:
        await far.run(manager, far.adds())
    assert "resolve_in_doubt" not in str(caught.value)
    assert caught.value.record.state == "in_doubt"
    assert events == [("in_doubt", None)]
    await settled(far.close())
    assert await customer.run(manager, customer.adds(result="card-2")) == ("card-1" if is_done else "card-2")
    assert shop.cards() == ["Pay"]


async def test_a_commit_whose_answer_is_lost_of_a_mere_duplicate_leaves_no_doubt(
    manager: IdempotencyManager, shop: Shop, proxy_factory: Callable[..., Proxy], postgres_server: PostgresServer
) -> None:
    proxy = proxy_factory(postgres_server)
    far = Psycopg(proxy.through(shop.url))
    await far.open()
    assert await far.run(manager, far.adds()) == "card-1"
    proxy.cut_after_request(b"COMMIT")
    assert await far.run(manager, refused) == "card-1"
    await far.close()


def test_a_server_that_crashes_before_the_commit_has_kept_nothing(manager: IdempotencyManager) -> None:
    with needed(), PostgresServer(settings={"restart_after_crash": "off"}) as server:
        server.sql("CREATE TABLE cards (title text)")
        with psycopg.connect(server.url) as connection:

            def executor() -> str:
                connection.execute("INSERT INTO cards VALUES ('Pay')")
                server.kill()
                return "card-1"

            action = {"signal_id": "inv-1", "action": "create_card", "target": "shop"}
            with pytest.raises(im.StoreUnavailableError, match="connection is lost"):
                manager.execute_in_transaction(connection, action, executor)
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT * FROM cards").fetchall() == []
            assert manager.execute_in_transaction(connection, action, lambda: "again") == "again"
