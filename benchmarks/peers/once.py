"""exactly-once (PyPI): `once` with the key that it derives from the arguments, over its memory or its SQLite store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from exactly_once import Store, once

from . import Peer

NAME = "exactly-once"


def _peer(make_store: Callable[[], Store]) -> Peer:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return once(make_store())(function)

    return Peer(NAME, decorate, decorate)


def durable(folder: Path) -> Peer:
    """Over a SQLite file."""
    return _peer(lambda: Store.sqlite(str(folder / "once.db")))


PEER = _peer(Store.memory)
