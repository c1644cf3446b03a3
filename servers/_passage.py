"""One client's connection through a proxy."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Address: TypeAlias = "tuple[str, int] | str"

_CHUNK = 65_536
_RESET_ON_CLOSE = b"\x01\x00\x00\x00\x00\x00\x00\x00"
_PATIENCE_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.005  # while the time of an answer has not come


@dataclass(slots=True)
class Cut:
    """A connection that is going to break at one request.

    Attributes:
        matches: Tells whether a request is the one.
        times: How many of them are still to come.
        after_the_answer: Whether the server sees it and answers.
        happened: Set when it has, the last time: the connection is broken.
        lost: What the server answered last, or b"" where the request itself was lost.
    """

    matches: Callable[[bytes], bool]
    times: int
    after_the_answer: bool
    happened: threading.Event = field(default_factory=threading.Event)
    lost: bytes = b""

    def has_happened(self) -> None:
        """Tell those who wait, when it was the last time."""
        if not self.times:
            self.happened.set()

    def wait(self, seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until it has happened as often as it was to happen.

        Raises:
            TimeoutError: It has not.
        """
        if not self.happened.wait(seconds):
            message = "the request that was to be cut has not come"
            raise TimeoutError(message)


class Rules(Protocol):
    """What a passage asks its proxy before each step."""

    delay_seconds: float
    holds_answers: bool
    swallows: bool

    def cut_for(self, sent: bytes) -> Cut | None:
        """Take the cut that a request is to meet."""


class Passage:
    """A client's connection, and the one to the server that stands for it, carried by one thread."""

    def __init__(self, rules: Rules, client: socket.socket, server: Address, quiet: float) -> None:
        self._rules, self._client, self._server, self._quiet = rules, client, server, quiet
        self._upstream: socket.socket | None = None
        self._answers: deque[tuple[float, bytes]] = deque()
        self._unanswered = b""
        self._has_swallowed = self._is_broken = False
        self.ended = threading.Event()

    def carry(self) -> None:
        """Carry what comes, until one end hangs up or the connection is broken off."""
        with contextlib.suppress(OSError), selectors.DefaultSelector() as selector:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(self._client, selectors.EVENT_READ)
            while not self._is_broken:
                if self._upstream is None and not self._rules.swallows and not self._has_swallowed:
                    self._upstream = _connected(self._server)
                    selector.register(self._upstream, selectors.EVENT_READ)
                if not self._step({key.fileobj for key, _ in selector.select(self._pause())}):
                    break
        self._close()

    def break_off(self) -> None:
        """Have the connection reset, from any thread."""
        self._is_broken = True
        for end in (self._client, self._upstream):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RD)  # wakes the thread that carries

    def _step(self, ready: set[object]) -> bool:
        """Carry what is ready; tell whether it goes on."""
        if self._is_broken:
            return False
        if self._has_swallowed and not self._rules.swallows:
            self._is_broken = True
            return False
        if self._client in ready and not self._request(self._client.recv(_CHUNK)):
            return False
        if self._upstream in ready and self._upstream is not None:
            answer = self._upstream.recv(_CHUNK)
            if not answer:
                self._answer_in_time(everything=True)
                return False
            self._unanswered = b""
            self._answers.append((time.monotonic() + self._rules.delay_seconds, answer))
        self._answer_in_time()
        return True

    def _request(self, data: bytes) -> bool:
        if not data:
            return False
        if self._rules.swallows:
            self._has_swallowed = True
            return True
        self._unanswered += data
        cut = self._rules.cut_for(self._unanswered)
        if cut is None or cut.after_the_answer:
            self._to_server(data)
        if cut is not None:
            self._is_broken = True
            if cut.after_the_answer:
                cut.lost = self._last_answer()
            # Before anybody is told: one who then looks at the connection finds it broken.
            self._close()
            cut.has_happened()
        return cut is None

    def _to_server(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.sendall(data)

    def _last_answer(self) -> bytes:
        """Take what the server answers, until nothing more comes."""
        answer = b""
        if self._upstream is not None:
            self._upstream.settimeout(_PATIENCE_SECONDS)
            with contextlib.suppress(TimeoutError):
                while data := self._upstream.recv(_CHUNK):
                    answer += data
                    self._upstream.settimeout(self._quiet)
        return answer

    def _answer_in_time(self, *, everything: bool = False) -> None:
        if self._rules.swallows:
            self._has_swallowed |= bool(self._answers)
            self._answers.clear()
        while self._answers and not self._rules.holds_answers:
            due, answer = self._answers[0]
            if due > time.monotonic() and not everything:
                break
            self._answers.popleft()
            self._client.sendall(answer)

    def _pause(self) -> float | None:
        return _LOOK_EVERY_SECONDS if self._answers or self._has_swallowed else None

    def _close(self) -> None:
        if self._is_broken:
            with contextlib.suppress(OSError):
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._client.close()
        if self._upstream is not None:
            self._upstream.close()
        self.ended.set()


def _connected(server: Address) -> socket.socket:
    if isinstance(server, str):
        made = socket.socket(socket.AF_UNIX)
        made.connect(server)
        return made
    made = socket.create_connection(server, timeout=_PATIENCE_SECONDS)
    made.settimeout(None)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
