"""What the tests of durable stores share: a file of their own, and programs that use it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from idempotency_manager import IdempotencyManager
from servers import PostgresServer, RedisServer
from servers.testing import started
from tests.integration.programs import LOCKER, Lock, Program
from tests.integration.servers_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Start(Protocol):
    """Starts a program on the file."""

    def __call__(self, code: str, *, options: str = "") -> Program: ...


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store in a file of its own."""
    return f"sqlite:///{tmp_path}/records.db"


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    """Starts programs on the file, and ends them with the test."""
    with ExitStack() as all_of_them:

        def one(code: str, *, options: str = "") -> Program:
            program = Program(code, url + options)
            all_of_them.callback(program.discard)
            return program

        yield one


@pytest.fixture
def lock(start: Start, url: str) -> Lock:
    """The file's write lock, which nobody holds as yet."""
    IdempotencyManager(url).close()  # makes the file
    return Lock(start(LOCKER))


@pytest.fixture
def durable(url: str) -> Iterator[IdempotencyManager]:
    """This process's manager on the file, with leases that no test outlives."""
    with IdempotencyManager(url, lease="1h") as manager:
        yield manager


@pytest.fixture(scope="session", params=["redis", "postgres"])
def mortal_server(request: pytest.FixtureRequest) -> Iterator[RedisServer | PostgresServer]:
    """A server that tests may kill: what it has answered for is there when it is back."""
    with started(RedisServer(appendonly=True) if request.param == "redis" else PostgresServer()) as server:
        yield server


@pytest.fixture
def world(mortal_server: RedisServer | PostgresServer) -> Iterator[World]:
    """Such a server, up, as this test alone sees it."""
    if not mortal_server.is_running:
        mortal_server.start()
    with World(mortal_server) as world:
        yield world


@pytest.fixture
def awaited(world: World) -> bool:
    """Whether a test that takes its time calls synchronously or awaits: each on one of the engines."""
    return isinstance(world.server, PostgresServer)
