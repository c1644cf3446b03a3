"""This package over its memory store: what its SQLite store costs on top is the disk and SQLite."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.workload import create_card, create_card_later
from idempotency_manager import IdempotencyManager

from .on_disk import Guarded


@contextmanager
def guard(folder: Path, synchronous: str, *, look_first: bool) -> Iterator[Guarded]:  # noqa: ARG001 - it has no file
    """The action, its records in this process."""
    with IdempotencyManager("memory://", max_cache_size=None) as manager:
        yield Guarded(
            manager.idempotent(create_card, target="trello"), manager.idempotent(create_card_later, target="trello")
        )
