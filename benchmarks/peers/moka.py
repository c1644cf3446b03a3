"""moka_py.cached, told to let one of several concurrent callers run."""

from collections.abc import Callable
from typing import Any

import moka_py

from . import MOKA, Peer

ROOM = 2_000_000


def _decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    return moka_py.cached(maxsize=ROOM, wait_concurrent=True)(function)


PEER = Peer(MOKA, _decorate, _decorate)
