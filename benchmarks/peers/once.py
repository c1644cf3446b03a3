"""exactly-once (PyPI): `once` with the key that it derives from the arguments, over each of its stores."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from exactly_once import Store, once
from exactly_once.stores.postgres import PostgresStore
from exactly_once.stores.redis import RedisStore
from exactly_once.stores.sqlite import SQLiteStore

from benchmarks.workload import create_card, create_card_later

from . import Peer
from .hand_written import TTL_S
from .on_disk import FULL, Guarded
from .on_server import POSTGRES

NAME = "exactly-once"


def _peer(make_store: Callable[[], Store]) -> Peer:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return once(make_store())(function)

    return Peer(NAME, decorate, decorate)


def durable(folder: Path) -> Peer:
    """Over a SQLite file."""
    return _peer(lambda: Store.sqlite(str(folder / "once.db")))


@contextmanager
def guard(folder: Path, synchronous: str, *, look_first: bool) -> Iterator[Guarded]:  # noqa: ARG001 - it always claims first
    """The action, its records in a SQLite file in that folder.

    It has synchronous=NORMAL and no setting for it, so FULL is set on its connection from outside.
    """
    store = SQLiteStore(str(folder / "once.db"))
    if synchronous == FULL:
        store._conn.execute("PRAGMA synchronous = FULL")  # noqa: SLF001 - see above
    yield Guarded(once(store)(create_card), once(store)(create_card_later))
    store.close()


@contextmanager
def connect(url: str) -> Iterator[Guarded]:
    """The action, its records on the server at that URL: on Redis they expire, on PostgreSQL it has no such thing."""
    store = PostgresStore(url) if url.startswith(POSTGRES) else RedisStore(url, committed_ttl=TTL_S)
    with closing(store):
        yield Guarded(once(store)(create_card), once(store)(create_card_later))


PEER = _peer(Store.memory)
