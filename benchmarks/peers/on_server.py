"""What a user would pick instead when the records are on a server: each over the server at a URL that it is given.

As with the other peers, nothing is imported before it is asked for.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from .on_disk import ONCE, THIS, Guarded

POWERTOOLS = "Powertools"
REDIS, POSTGRES = "redis", "postgresql"
MODULES = {THIS: "this_package", POWERTOOLS: "powertools", ONCE: "once"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A record for those who have nothing but a client: its key and its encoded result, both at hand."""

    key: str
    result: str


Connect = Callable[[str], AbstractContextManager[Guarded]]
"""Opens the records on the server at a URL."""


def connector(name: str) -> Connect:
    """How that peer connects."""
    return partial(_connect, name)


def _connect(name: str, url: str) -> AbstractContextManager[Guarded]:
    connected: AbstractContextManager[Guarded] = import_module(f"{__package__}.{MODULES[name]}").connect(url)
    return connected
