"""Makes pytest run the Python of README.md and docs/: the blocks of one page run in order and share their names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sybil import Sybil
from sybil.integration import pytest as integration
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from idempotency_manager import IdempotencyManager, get_manager
from idempotency_manager._default import set_manager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import PostgresServer

pytest_plugins = ["tests.servers_fixtures", "pytester"]  # pytest takes this line from the outermost conftest only


def _enter_page(names: dict[str, Any]) -> None:
    # A page may write files and configure the default manager; the next one is to see neither.
    names["__back__"] = Path.cwd()
    names["__folder__"] = tempfile.TemporaryDirectory()
    os.chdir(names["__folder__"].name)
    names["__manager__"] = set_manager(IdempotencyManager())


def _leave_page(names: dict[str, Any]) -> None:
    get_manager().close()
    set_manager(names["__manager__"])
    os.chdir(names["__back__"])
    names["__folder__"].cleanup()


@pytest.fixture(scope="module")
def postgresql_of_the_page(postgres_server: PostgresServer) -> Iterator[None]:
    """A new database `shop`, which clients find without being told where it is."""
    where = {"PGHOST": postgres_server.host, "PGPORT": str(postgres_server.port), "PGUSER": postgres_server.user}
    postgres_server.sql("CREATE DATABASE shop")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in where.items():
            patch.setenv(name, value)
        yield
    postgres_server.sql("DROP DATABASE shop WITH (FORCE)")


_ON_POSTGRESQL = "docs/*-postgresql.md"


def _pages(patterns: list[str], excludes: list[str], fixtures: list[str]) -> Sybil:
    return Sybil(
        parsers=[PythonCodeBlockParser(), SkipParser()],
        patterns=patterns,
        excludes=excludes,
        setup=_enter_page,
        teardown=_leave_page,
        fixtures=fixtures,
    )


pytest_collect_file = integration.pytest_integration(
    _pages(["README.md", "docs/*.md"], [_ON_POSTGRESQL], []),
    _pages([_ON_POSTGRESQL], [], ["postgresql_of_the_page"]),
)
