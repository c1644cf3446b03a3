"""From the start to the end of a block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Lifetime(ABC):
    """What starts with a block and ends with it, even where only a part of it started."""

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and remove what it left."""
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Start what isn't running, and wait until it answers."""

    @abstractmethod
    def close(self) -> None:
        """End it at once and remove what it left; does nothing the second time."""
