"""A connection is the caller's: whatever its settings, it serves, and is left as it was, or it is refused by name."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.adapt import Dumper, Loader
from psycopg.rows import dict_row

import idempotency_manager as im
from idempotency_manager import IdempotencyManager
from servers import PostgresServer
from servers.testing import needed
from tests.postgres.customers import CARD, KINDS, Customer, every_client, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import PgBouncer
    from tests.postgres.conftest import Shop


def refused() -> Any:
    pytest.fail("it ran")


def run(manager: IdempotencyManager, connection: psycopg.Connection[Any], result: Any = 7) -> Any:
    return manager.execute_in_transaction(connection, CARD, lambda: result)


@pytest.fixture
def connection(shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shop.url) as made:
        yield made


class Loud(Loader):
    """A conversion of the application's own, which knows no values but its own."""

    def load(self, data: Any) -> Any:
        raise AssertionError(data)


class LoudDumper(Dumper):
    def dump(self, obj: Any) -> Any:
        raise AssertionError(obj)


def test_row_factories_cursors_and_conversions_of_the_applications_own_see_nothing_of_ours(
    manager: IdempotencyManager, connection: psycopg.Connection[Any]
) -> None:
    connection.row_factory = dict_row
    connection.cursor_factory = psycopg.RawCursor
    for kind in ("text", "int4", "int8", "bool", "bytea", "numeric"):
        connection.adapters.register_loader(kind, Loud)
    for python in (str, int, bytes):
        connection.adapters.register_dumper(python, LoudDumper)
    assert [run(manager, connection, "Привет") for _ in range(2)] == ["Привет", "Привет"]
    assert connection.row_factory is dict_row


def test_a_codecs_bytes_are_kept_as_bytes(manager: IdempotencyManager, shop: Shop, connection: Any) -> None:
    class Reversed:
        def encode(self, result: str, /) -> bytes:
            return result[::-1].encode()

        def decode(self, data: bytes, /) -> str:
            return data.decode()[::-1]

    for _ in range(2):
        assert manager.execute_in_transaction(connection, CARD, lambda: "card", codec=Reversed()) == "card"
    assert shop.select("SELECT result, result_bytes FROM idempotency_records") == [(None, b"drac")]


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_transaction_of_the_calls_own_is_as_the_connection_says(
    manager: IdempotencyManager, connection: psycopg.Connection[Any], autocommit: bool
) -> None:
    connection.autocommit = autocommit
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.deferrable = False
    connection.read_only = False
    seen = manager.execute_in_transaction(
        connection, CARD, lambda: connection.execute("SHOW transaction_isolation").fetchone()
    )
    assert seen == ("repeatable read",)
    connection.read_only = True
    with pytest.raises(im.StoreUnavailableError, match="read-only"):
        run(manager, connection)
    assert not connection.pgconn.transaction_status


def test_a_block_of_the_callers_is_the_callers_transaction(
    manager: IdempotencyManager, shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    with connection.transaction():
        run(manager, connection)
        assert shop.records() == []
        with pytest.raises(psycopg.ProgrammingError, match="forbidden"):  # psycopg's own guard
            manager.execute_in_transaction(connection, {**CARD, "signal_id": "b"}, connection.commit)
    assert shop.records() == [("inv-1", "completed", 1)]


def test_pipelines_are_refused(manager: IdempotencyManager, connection: psycopg.Connection[Any]) -> None:
    with connection.pipeline(), pytest.raises(im.ConfigurationError, match="pipeline"):
        run(manager, connection)


def test_a_connection_that_is_being_read_is_refused(
    manager: IdempotencyManager, connection: psycopg.Connection[Any]
) -> None:
    with connection.cursor() as cursor, cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
        with pytest.raises(im.ConfigurationError, match="COPY"):
            run(manager, connection)
        assert list(copy)


def test_a_closed_connection_is_refused(manager: IdempotencyManager, connection: psycopg.Connection[Any]) -> None:
    connection.close()
    with pytest.raises(im.ConfigurationError, match="closed"):
        run(manager, connection)


@every_client
async def test_another_encoding_is_refused(manager: IdempotencyManager, customer: Customer) -> None:
    await settled(customer.begin())
    await settled(customer.execute("SET LOCAL client_encoding = 'LATIN1'"))
    with pytest.raises(im.ConfigurationError, match=r"LATIN1.*client_encoding=utf8"):
        await customer.run(manager, refused)
    await settled(customer.rollback())


def test_a_connection_of_another_kind_is_refused_by_its_type(manager: IdempotencyManager) -> None:
    with pytest.raises(im.ConfigurationError, match=r"Decimal.*psycopg 3.*SQLAlchemy"):
        manager.execute_in_transaction(Decimal(1), CARD, refused)  # type: ignore[arg-type]


def test_through_pgbouncer_it_serves(manager: IdempotencyManager, pgbouncer: PgBouncer, shop: Shop) -> None:
    url = pgbouncer.url_of(shop.url.rpartition("/")[2])
    with psycopg.connect(url, prepare_threshold=None) as connection:
        assert [run(manager, connection) for _ in range(3)] == [7, 7, 7]
    assert shop.records() == [("inv-1", "completed", 3)]


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("kind", KINDS)
async def test_tables_are_made_in_the_same_transaction(
    manager: IdempotencyManager, postgres_server: PostgresServer, kind: type[Customer]
) -> None:
    with postgres_server.fresh_database() as name:
        customer = kind(postgres_server.url_of(name))
        await customer.open()
        await settled(customer.begin())
        assert await customer.run(manager, lambda: 7) == 7
        await settled(customer.rollback())
        tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'idempotency%'"
        assert await settled(customer.execute(tables)) == [(0,)]
        await settled(customer.rollback())
        with pytest.raises(LookupError):
            await customer.run(manager, customer.executor(result=LookupError("no")), replay_errors=(LookupError,))
        with pytest.raises(LookupError):
            await customer.run(manager, refused, replay_errors=(LookupError,))
        shown = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
        assert await settled(customer.execute(shown)) == [("0", "0")]
        await customer.close()


def test_tables_lie_where_the_search_path_says(
    manager: IdempotencyManager, shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    for tenant in ("one", "two"):
        connection.execute(f"CREATE SCHEMA {tenant}")
        connection.execute(f"SET search_path = {tenant}")
        connection.commit()
        assert run(manager, connection, tenant) == tenant
        shown = shop.select(f"SELECT result FROM {tenant}.idempotency_records")  # noqa: S608 - the tests' own
        assert shown == [(f'"{tenant}"',)]
    shop.change("DROP SCHEMA one, two CASCADE")


def test_tables_of_a_newer_version_are_left_alone(manager: IdempotencyManager, postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as name, psycopg.connect(postgres_server.url_of(name)) as connection:
        # As another process finds them.
        script = (
            "from idempotency_manager._transaction_schema import postgres_statements; print(*postgres_statements())"
        )
        connection.execute(subprocess.check_output([sys.executable, "-c", script]))
        connection.execute("UPDATE idempotency_meta SET value = 1000 WHERE name = 'schema'")
        connection.commit()
        with pytest.raises(im.StoreUnavailableError, match=r"version 1000.*upgrade"):
            manager.execute_in_transaction(connection, CARD, refused)


def test_a_role_that_may_not_make_tables_is_told_who_can(
    manager: IdempotencyManager, postgres_server: PostgresServer
) -> None:
    with postgres_server.fresh_database() as name:
        postgres_server.sql("CREATE ROLE app LOGIN", name)
        try:
            with psycopg.connect(postgres_server.url_of(name).replace("postgres@", "app@")) as connection:
                connection.execute("SELECT 1")
                with pytest.raises(im.StoreUnavailableError, match="idempotency schema --print"):
                    manager.execute_in_transaction(connection, CARD, refused)
                connection.execute("SELECT 1")  # the caller's transaction goes on
                connection.rollback()
                with psycopg.connect(postgres_server.url_of(name)) as owner:
                    run(manager, owner)
                with pytest.raises(im.StoreUnavailableError, match="grant it"):
                    manager.execute_in_transaction(connection, CARD, refused)
                granted = (
                    "GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_records, idempotency_counters TO app;"
                    "GRANT SELECT ON idempotency_meta, idempotency TO app;"
                    "GRANT USAGE ON SEQUENCE idempotency_fence TO app"
                )
                postgres_server.sql(granted, name)
                assert run(manager, connection) == 7
                assert manager.execute_in_transaction(connection, {**CARD, "signal_id": "b"}, lambda: 8) == 8
        finally:
            postgres_server.sql("DROP OWNED BY app; DROP ROLE app", name)


def test_tables_of_somebody_else_are_named(manager: IdempotencyManager, postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as name, psycopg.connect(postgres_server.url_of(name)) as connection:
        connection.execute("CREATE TABLE idempotency_records (mine text)")
        connection.commit()
        with pytest.raises(im.StoreUnavailableError, match="another version of this package"):
            run(manager, connection)
        assert not connection.pgconn.transaction_status


# ---------------------------------------------------------------- what is shown


def test_no_password_is_shown(manager: IdempotencyManager) -> None:
    with needed(), PostgresServer(password="s3cret/word") as server:
        with psycopg.connect(server.url) as connection:
            run(manager, connection)
            connection.read_only = True
            with pytest.raises(im.StoreUnavailableError) as caught:
                run(manager, connection)
            connection.read_only = False
            server.kill()
            with pytest.raises(im.StoreUnavailableError) as lost:
                run(manager, connection)
        for error in (caught.value, lost.value):
            assert f"'test' at {server.host}:{server.port}" in str(error)
            assert "s3cret" not in f"{error!r} {error.__cause__!r} {getattr(error, '__notes__', '')}"
