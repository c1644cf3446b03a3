"""This package: its memory store, its defaults, and no cap on entries, as none of the others has one here."""

from collections.abc import Callable
from typing import Any

from idempotency_manager import IdempotencyManager

from . import THIS, Peer


def _decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    manager = IdempotencyManager("memory://", max_cache_size=None)
    guarded: Callable[..., Any] = manager.idempotent(function, target="trello")
    return guarded


PEER = Peer(THIS, _decorate, _decorate)
