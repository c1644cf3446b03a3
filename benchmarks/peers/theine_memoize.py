"""theine.Memoize with the key that it makes itself."""

from collections.abc import Callable
from typing import Any

from theine import Memoize

from . import THEINE, Peer

ROOM = 2_000_000


def _decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    guarded: Callable[..., Any] = Memoize(ROOM, None)(function)
    return guarded


PEER = Peer(THEINE, _decorate, _decorate)
