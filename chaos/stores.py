"""Where the records are kept, by name: a context manager that gives a URL for everybody."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'records.db'}"


@contextmanager
def _memory(_folder: Path) -> Iterator[str]:
    yield "memory://"


STORES: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "sqlite": _sqlite,
    # Each process has a memory of its own, so this run must fail: it shows that the audit would notice.
    "memory": _memory,
}
