"""A command's output: passed on as it comes, and kept up to a bound."""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import sys
import termios
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 65_536


@dataclass(slots=True)
class Stream:
    """One of the two streams of a command.

    The first `limit` bytes are kept, the rest is passed on, counted and forgotten: the bound holds whatever comes, and
    what is kept is what a reader of the beginning would have seen.
    """

    source: int
    sink: int | None
    limit: int
    kept: bytearray = field(default_factory=bytearray)
    dropped: int = 0

    def take(self, data: bytes) -> None:
        """Pass data on, and keep what there is room for."""
        room = max(0, self.limit - len(self.kept))
        self.kept += data[:room]
        self.dropped += max(0, len(data) - room)
        if self.sink is not None and not write_all(self.sink, data):
            self.sink = None  # the reader has gone; the command is to finish all the same


def write_all(sink: int, data: bytes) -> bool:
    """Write all of it, however slowly it is taken; answers whether it was taken."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(sink, rest) :]
        except BlockingIOError:  # somebody has set the terminal we share to non-blocking
            select.select([], [sink], [])
        except OSError:
            return False
    return True


class Pump:
    """Moves both streams in a thread of its own, so that the main thread can wait for the command and for signals."""

    def __init__(self, *streams: Stream) -> None:
        """Start to move."""
        self._selector = selectors.DefaultSelector()
        for stream in streams:
            self._selector.register(stream.source, selectors.EVENT_READ, stream.take)
        self._over, self._end = os.pipe()
        self._selector.register(self._over, selectors.EVENT_READ, None)
        self._thread = Thread(target=self._move, name="idempotency-output", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Move what is in the pipes, and stop.

        To be called when the command has ended. Not at the end of its streams: a process that it left in the
        background may hold them open for ever.
        """
        os.close(self._end)
        self._thread.join()
        self._selector.close()
        os.close(self._over)

    def _move(self) -> None:
        ended = False
        while not ended:
            ready = [key for key, _ in self._selector.select()]
            ended = any(key.data is None for key in ready)
            for key in ready:
                if key.data is not None and not ended and not _read(key.fd, key.data, _CHUNK):
                    self._selector.unregister(key.fd)
        for key in self._selector.get_map().values():
            if key.data is not None:
                _read_what_is_there(key.fd, key.data)


def _read(source: int, take: Callable[[bytes], None], size: int) -> int:
    """Read once; answers with how much came, which is nothing at the end of the stream."""
    data = os.read(source, size)
    take(data)
    return len(data)


def _read_what_is_there(source: int, take: Callable[[bytes], None]) -> None:
    """Read what is in a pipe, and not what a process in the background goes on to write into it."""
    left = int.from_bytes(fcntl.ioctl(source, termios.FIONREAD, bytes(4)), sys.byteorder)
    while left > 0:
        read = _read(source, take, min(left, _CHUNK))
        left = left - read if read else 0
