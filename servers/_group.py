"""Servers that belong together."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Generic, TypeVar

from servers._lifetime import Lifetime
from servers._server import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

S = TypeVar("S", bound=Server)


class Group(Lifetime, Generic[S]):
    """Several servers that start and end together."""

    def __init__(self, members: Sequence[S]) -> None:
        self.members = list(members)

    def start(self) -> None:
        """Start those that aren't running, at the same time, and wait until each answers."""
        beginning = [member for member in self.members if not member.is_running]
        for member in beginning:
            member.launch()
        for member in beginning:
            member.wait_until_it_answers()

    def close(self) -> None:
        """End them at once and remove what they left; does nothing the second time."""
        with ExitStack() as stack:
            for member in self.members:
                stack.callback(member.close)
