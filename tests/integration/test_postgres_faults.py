"""A PostgreSQL that is full, read-only, restricted, locked or short of connections: what a caller meets."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from idempotency_manager import ResultNotRecordedError, State, StoreError
from servers import PostgresServer
from servers.testing import started
from tests.integration.servers_world import (
    HASTY,
    NOT_RECORDED_SECONDS,
    PATIENT,
    Effect,
    World,
    action,
    at_most,
    both,
    refused,
    run,
    until,
    with_parts,
    works,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from idempotency_manager import IdempotencyManager

SECRET = "w0rker-secret"  # noqa: S105 - it is what must not be shown
LARGE = 200_000


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server whose settings tests change, and change back."""
    with started(PostgresServer()) as server:
        yield server


@pytest.fixture
def database(server: PostgresServer) -> Iterator[str]:
    """An empty database."""
    with server.fresh_database() as name:
        yield name


@pytest.fixture
def world(server: PostgresServer) -> Iterator[World]:
    with World(server) as world:
        yield world


@pytest.fixture
def manager(world: World, server: PostgresServer, database: str) -> IdempotencyManager:
    """A manager on the empty database."""
    return world.manager(with_parts(server.url_of(database), **PATIENT))


def said(call: Callable[[], object], effect: Effect, *words: str) -> str:
    """Check that the store said no before anything happened, and said why."""
    with pytest.raises(StoreError) as caught:
        call()
    assert effect.count == 0
    text = str(caught.value)
    for word in words:
        assert word.lower() in text.lower(), text
    assert SECRET not in text
    return text


# ---------------------------------------------------------------------------------------------- no space


class Disk:
    """A small disk for one database, mounted where this user may."""

    words = ("space",)

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.folder = server, folder

    def fill(self) -> None:
        with (self.folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"f" * 4096)

    def free(self) -> None:
        (self.folder / "filler").unlink()


class Quota:
    """A limit on the size of a file, which anybody may set for processes of his own."""

    words = ("too large",)

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    def fill(self) -> None:
        self._limit(16 << 20)  # a segment of the log is as large, and must not be refused

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        backends = self.server.sql("SELECT pid FROM pg_stat_activity").split()
        for process in (self.server.process_id, *map(int, backends)):
            with contextlib.suppress(ProcessLookupError):  # psql's own
                resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextlib.contextmanager
def small_disk(server: PostgresServer) -> Iterator[Path | None]:
    """A folder of the server's on a disk of 24 MB; none where this user may not mount one."""
    folder = server.folder / "small"
    folder.mkdir()
    owner = pwd.getpwuid((server.folder / "data").stat().st_uid)
    command = ["/bin/mount", "-t", "tmpfs", "-o", f"size=24m,mode=700,uid={owner.pw_uid}", "tmpfs", str(folder)]
    try:
        is_mounted = not os.geteuid() and not subprocess.run(command, capture_output=True, check=False).returncode
        yield folder if is_mounted else None
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], capture_output=True, check=False)
        folder.rmdir()


class TestAFullDisk:
    def test_what_does_not_fit_is_refused_or_comes_with_the_error(self, server: PostgresServer, world: World) -> None:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(small_disk(server))
            name, where = f"small_{os.getpid()}", ""
            if folder:
                server.sql(f"CREATE TABLESPACE small LOCATION '{folder}'")
                stack.callback(server.sql, "DROP TABLESPACE small")
                where = " TABLESPACE small"
            server.sql(f"CREATE DATABASE {name}{where}")
            stack.callback(server.sql, f"DROP DATABASE {name} WITH (FORCE)")
            disk = Disk(server, folder) if folder else Quota(server)
            manager = world.manager(with_parts(server.url_of(name), **PATIENT), store_params=True)
            works(manager, "before")

            disk.fill()
            effect = Effect("r" * LARGE)
            with pytest.raises(StoreError) as caught:
                for number in range(1000):
                    manager.execute({**action(number), "params": {"text": os.urandom(LARGE).hex()}}, effect)
            assert any(word in str(caught.value) for word in disk.words)
            before = effect.count
            with pytest.raises(ResultNotRecordedError) as carried:
                for number in range(1000):
                    run(manager, Effect(os.urandom(LARGE).hex()), awaited=False, name=f"result {number}")
            assert len(carried.value.result) == 2 * LARGE
            assert any(word in str(carried.value) for word in disk.words)
            assert effect.count == before
            assert run(manager, Effect(), awaited=False, name="before") == "before"

            disk.free()
            works(manager, "after")


# ---------------------------------------------------------------------------------------------- read-only


class TestAReadOnlyServer:
    @pytest.fixture
    def begin(self, server: PostgresServer) -> Iterator[Callable[[], None]]:
        """Has the server take no writes, of sessions that there are, either; the test ends it."""

        def read_only(value: str) -> None:
            server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            server.sql("SELECT pg_reload_conf()")
            until(lambda: server.sql("SHOW default_transaction_read_only") == value)

        yield lambda: read_only("on")
        read_only("off")

    @both
    def test_nothing_runs(self, manager: IdempotencyManager, begin: Callable[[], None], *, awaited: bool) -> None:
        works(manager, "before", awaited=awaited)
        begin()
        effect = Effect()
        said(lambda: run(manager, effect, awaited=awaited), effect, "read-only")

    def test_at_the_start_it_is_said(
        self, world: World, server: PostgresServer, database: str, begin: Callable[[], None]
    ) -> None:
        begin()
        effect = Effect()
        said(lambda: run(world.manager(server.url_of(database)), effect, awaited=False), effect, "read-only")

    @both
    def test_a_result_comes_with_the_error(
        self, manager: IdempotencyManager, begin: Callable[[], None], *, awaited: bool
    ) -> None:
        works(manager, "before", awaited=awaited)
        with at_most(NOT_RECORDED_SECONDS + 1), pytest.raises(ResultNotRecordedError, match="read-only") as caught:
            run(manager, Effect("card 7", begin), awaited=awaited)
        assert caught.value.result == "card 7"


# ---------------------------------------------------------------------------------------------- rights


class TestAUserWithFewRights:
    @pytest.fixture
    def worker(self, server: PostgresServer, database: str) -> Iterator[str]:
        """The URL of the database for a user who may connect, and nothing else."""
        server.sql(f"CREATE ROLE worker LOGIN PASSWORD '{SECRET}'")
        server.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database)
        yield with_parts(server.url_of(database), user=f"worker:{SECRET}", **PATIENT)
        server.sql("DROP OWNED BY worker CASCADE", database)
        server.sql("DROP ROLE worker")

    def test_one_who_may_not_make_the_table_is_told_how_somebody_else_can(self, world: World, worker: str) -> None:
        effect = Effect()
        said(lambda: run(world.manager(worker), effect, awaited=False), effect, "worker", "schema --print")

    def test_one_who_may_not_use_the_table_is_told_what_is_missing(
        self, world: World, worker: str, manager: IdempotencyManager
    ) -> None:
        works(manager, "makes it")
        effect = Effect()
        said(lambda: run(world.manager(worker), effect, awaited=False), effect, "permission denied", "grant")

    def test_rights_on_what_is_there_are_enough(
        self, world: World, worker: str, manager: IdempotencyManager, server: PostgresServer, database: str
    ) -> None:
        works(manager, "makes it")
        for rights in (
            "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public",
            "USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public",
        ):
            server.sql(f"GRANT {rights} TO worker", database)
        one = world.manager(worker)
        works(one, "s1")
        assert run(one, Effect(), awaited=False, name="makes it") == "makes it"
        assert one.clear_all() == 2

    def test_a_limit_of_connections_is_named(self, world: World, worker: str, server: PostgresServer) -> None:
        server.sql("ALTER ROLE worker CONNECTION LIMIT 0")
        effect = Effect()
        url = worker.replace("10s", "400ms")
        refused(lambda: run(world.manager(url), effect, awaited=False), effect, "too many connections", within=2)


def test_a_database_that_does_not_exist_is_named(world: World, server: PostgresServer) -> None:
    effect = Effect()
    url = with_parts(server.url_of("of_nobody"), **PATIENT)
    said(lambda: run(world.manager(url), effect, awaited=False), effect, "of_nobody")


# ---------------------------------------------------------------------------------------------- what others do


class TestWhatOthersDoToTheServer:
    @both
    def test_sessions_that_are_terminated_are_made_again(
        self, manager: IdempotencyManager, server: PostgresServer, database: str, *, awaited: bool
    ) -> None:
        def terminate() -> None:
            server.sql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",  # noqa: S608
                "postgres",
            )

        works(manager, "before", awaited=awaited)
        terminate()
        effect = Effect("kept", terminate)
        assert run(manager, effect, awaited=awaited) == "kept"
        terminate()
        assert run(manager, effect, awaited=awaited) == "kept"
        assert effect.count == 1

    @both
    def test_a_table_that_is_locked_is_waited_for_no_longer_than_asked(
        self, world: World, server: PostgresServer, database: str, *, awaited: bool
    ) -> None:
        manager = world.manager(with_parts(server.url_of(database), **HASTY))
        works(manager, "before", awaited=awaited)
        effect = Effect()
        where = {"host": str(server.folder), "port": server.port, "user": "postgres", "dbname": database}
        with psycopg.connect(**where) as other:  # type: ignore[arg-type]
            other.execute("LOCK TABLE idempotency_records IN ACCESS EXCLUSIVE MODE")
            refused(lambda: run(manager, effect, awaited=awaited), effect)
        until(lambda: manager.get_record(manager.generate_key(action())) is None)
        works(manager, "s1", awaited=awaited)

    @pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
    def test_transactions_that_can_not_be_serialised_are_run_again(
        self, world: World, server: PostgresServer, database: str, isolation: str
    ) -> None:
        server.sql(f"ALTER DATABASE {database} SET default_transaction_isolation = '{isolation}'", "postgres")
        manager = world.manager(with_parts(server.url_of(database), **PATIENT))
        effects = [Effect(number) for number in range(30)]
        gate = threading.Barrier(8)

        def worker() -> list[object]:
            gate.wait()
            return [run(manager, effect, awaited=False, name=number) for number, effect in enumerate(effects)]

        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(worker) for _ in range(8)]
        assert [answer.result() for answer in answers] == [list(range(30))] * 8
        assert {effect.count for effect in effects} == {1}

    def test_a_slow_statement_of_anothers_settings_does_not_change_ours(
        self, world: World, server: PostgresServer, database: str
    ) -> None:
        for setting in ("search_path = 'nowhere'", "timezone = 'Asia/Tokyo'", "datestyle = 'SQL, DMY'"):
            server.sql(f"ALTER DATABASE {database} SET {setting}", "postgres")
        server.sql("CREATE SCHEMA nowhere", database)
        manager = world.manager(with_parts(server.url_of(database), **PATIENT))
        works(manager, "s1")
        record = manager.get_record(manager.generate_key(action()))
        assert record is not None
        assert record.state is State.COMPLETED
        assert record.executed_at is not None
        assert record.executed_at >= record.started_at
