"""A private PostgreSQL, and PgBouncer in front of it, are what their options say."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import psycopg
import pytest

from servers import Certificates, PgBouncer, PostgresServer, ServerError
from servers.testing import needed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One with everything: the disk is waited for, TLS, a password with a quote in it."""
    with needed():
        certificates = Certificates(tmp_path_factory.mktemp("certificates"))
        server = PostgresServer(fsync=True, password="s'3c\"ret", certificates=certificates, tls_only=True)
        started = server.__enter__()
    with contextlib.closing(started):
        yield started


def test_what_was_committed_survives_a_kill(guarded: PostgresServer) -> None:
    port = guarded.port
    guarded.sql("CREATE TABLE kept AS SELECT 1 AS number")
    guarded.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(guarded.url)
    guarded.start()
    assert guarded.port == port
    assert guarded.sql("SELECT number FROM kept") == "1"
    assert guarded.sql("SHOW fsync") == "on"


def test_the_port_asks_for_tls_and_for_the_password(guarded: PostgresServer) -> None:
    with psycopg.connect(guarded.url) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert row == (True,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(guarded.url, password="wrong")
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(guarded.url, sslmode="disable")


def test_pgbouncer_asks_for_the_same_password(guarded: PostgresServer) -> None:
    with needed(), PgBouncer(guarded) as bouncer:
        with psycopg.connect(bouncer.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match=r"SASL|password"):
            psycopg.connect(bouncer.url, password="wrong")


def test_pgbouncer_lends_a_connection_for_one_transaction(pgbouncer_url: str) -> None:
    with (
        psycopg.connect(pgbouncer_url, autocommit=True) as one,
        psycopg.connect(pgbouncer_url, autocommit=True) as other,
    ):
        query = "SELECT pg_backend_pid()"
        with one.transaction():
            lent = one.execute(query).fetchone()
            assert other.execute(query).fetchone() != lent
        with one.transaction(), other.transaction():
            assert one.execute(query).fetchone() != other.execute(query).fetchone()


def test_a_database_of_a_test_is_empty_and_then_gone(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as name, psycopg.connect(postgres_server.url_of(name)):
        assert name in postgres_server.sql("SELECT datname FROM pg_database")
        assert postgres_server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == "0"
    assert name not in postgres_server.sql("SELECT datname FROM pg_database")


def test_a_statement_that_fails_is_an_error(postgres_server: PostgresServer) -> None:
    with pytest.raises(ServerError, match="no_such_table"):
        postgres_server.sql("SELECT * FROM no_such_table")


def test_a_paused_server_does_not_answer(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        postgres_server.pause()
        with socket.create_connection(postgres_server.address) as fresh:
            fresh.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # asks for TLS
            fresh.settimeout(0.05)
            with pytest.raises(TimeoutError):
                fresh.recv(1)
        postgres_server.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as somebody else")
def test_what_refuses_to_run_as_root_runs_as_nobody_special(postgres_server: PostgresServer, tmp_path: Path) -> None:
    assert postgres_server.folder.stat().st_uid != 0
