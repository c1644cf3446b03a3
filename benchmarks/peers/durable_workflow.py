"""DBOS: a workflow of one step, its ID the caller's, over SQLite. The ID decides; the arguments do not count.

DBOS is one object for the process and wants a database, so this peer starts it when its first function is decorated.
"""

import atexit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dbos import DBOS, SetWorkflowID

from benchmarks.workload import create_card, create_card_later

from . import Peer
from .on_disk import Guarded

NAME = "DBOS"
_numbers = count()


def durable(folder: Path) -> Peer:
    """Over a SQLite file."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        number = _start(folder)
        step = DBOS.step(name=f"step-{number}")(function)

        @DBOS.workflow(name=f"workflow-{number}")
        def workflow(**arguments: object) -> object:
            return step(**arguments)

        if number == 0:
            _launch()

        @wraps(function)
        def guarded(**arguments: object) -> object:
            with SetWorkflowID(f"{number}:{arguments['signal_id']}"):
                return workflow(**arguments)

        return guarded

    def decorate_async(function: Callable[..., Any]) -> Callable[..., Any]:
        number = _start(folder)
        step = DBOS.step(name=f"step-{number}")(function)

        @DBOS.workflow(name=f"workflow-{number}")
        async def workflow(**arguments: object) -> object:
            return await step(**arguments)

        @wraps(function)
        async def guarded(**arguments: object) -> object:
            with SetWorkflowID(f"{number}:{arguments['signal_id']}"):
                return await workflow(**arguments)

        return guarded

    return Peer(NAME, decorate, decorate_async)


@contextmanager
def guard(folder: Path, synchronous: str, *, look_first: bool) -> Iterator[Guarded]:  # noqa: ARG001 - it has no such settings
    """The action, its records in a SQLite file in that folder; once for each process."""
    peer = durable(folder)
    yield Guarded(peer.decorate(create_card), peer.decorate_async(create_card_later))


def _start(folder: Path) -> int:
    number = next(_numbers)
    if number == 0:
        url = f"sqlite:///{folder / 'dbos.db'}"
        DBOS(
            config={
                "name": "comparison",
                "system_database_url": url,
                "log_level": "CRITICAL",
            }
        )
    return number


def _launch() -> None:
    """Comes after the first workflow is registered: launching recovers the ones that a crash left behind."""
    DBOS.launch()
    atexit.register(DBOS.destroy)


_scratch = ExitStack()
atexit.register(_scratch.close)
PEER = durable(Path(_scratch.enter_context(TemporaryDirectory())))
