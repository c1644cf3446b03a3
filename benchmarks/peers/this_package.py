"""This package: its defaults, and no cap on entries, as none of the others has one here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.workload import create_card, create_card_later
from idempotency_manager import IdempotencyManager

from . import THIS, Peer
from .on_disk import Guarded

FILE = "records.db"


def _decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    manager = IdempotencyManager("memory://", max_cache_size=None)
    guarded: Callable[..., Any] = manager.idempotent(function, target="trello")
    return guarded


@contextmanager
def guard(folder: Path, synchronous: str, *, look_first: bool) -> Iterator[Guarded]:  # noqa: ARG001 - it reads and claims in one step
    """The action, its records in a SQLite file in that folder."""
    with IdempotencyManager(f"sqlite:///{folder / FILE}?synchronous={synchronous.lower()}") as manager:
        yield Guarded(
            manager.idempotent(create_card, target="trello"), manager.idempotent(create_card_later, target="trello")
        )


@contextmanager
def connect(url: str) -> Iterator[Guarded]:
    """The action, its records on the server at that URL."""
    with IdempotencyManager(url) as manager:
        yield Guarded(
            manager.idempotent(create_card, target="trello"), manager.idempotent(create_card_later, target="trello")
        )


PEER = Peer(THIS, _decorate, _decorate)
