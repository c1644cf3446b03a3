"""Makes pytest run the Python of README.md and docs/: the blocks of one page run in order and share their names."""

import os
import tempfile
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from idempotency_manager import IdempotencyManager, get_manager
from idempotency_manager._default import set_manager

pytest_plugins = ["tests.servers_fixtures"]  # pytest takes this line from the outermost conftest only


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


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=_enter_page,
    teardown=_leave_page,
).pytest()
