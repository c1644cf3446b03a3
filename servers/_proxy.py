"""A proxy between a client and a server that loses, delays and holds back what passes, as networks do."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self, TypeAlias

from servers._passage import Cut, Passage
from servers._ports import HOST, HeldPort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers._passage import Address

Matches: TypeAlias = "bytes | Callable[[bytes], bool]"

_PATIENCE_SECONDS = 30.0


class Proxy:
    """Listens on a free port and passes everything on to one server, until it is told otherwise.

    What it is told applies to the connections that there are and to later ones. All of it can be told while clients are
    at work, from any thread.
    """

    host = HOST

    def __init__(self, server: Address, *, quiet: float = 0.05) -> None:
        """Describe it; it begins with `with`.

        Args:
            server: Host and port, or the path of a socket.
            quiet: An answer counts as whole when nothing has followed for so many seconds.
        """
        self._server, self._quiet = server, quiet
        self._held: HeldPort | None = None
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._lock = threading.Lock()
        self._passages: set[Passage] = set()
        self._threads: list[threading.Thread] = []
        self.cuts: list[Cut] = []
        self.delay_seconds = 0.0
        self.holds_answers = self.swallows = False
        self.accepted = 0

    def __enter__(self) -> Self:
        """Listen."""
        self._held = HeldPort()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        """Break all connections, and listen no more."""
        self.refuse()
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
        if self._held:
            self._held.release()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._held.number if self._held else 0

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        return self.host, self.port

    def through(self, url: str) -> str:
        """Give a store's URL with this proxy's port in place of the server's."""
        if isinstance(self._server, str):
            message = "a URL with a socket's path has no port to replace"
            raise TypeError(message)
        host, port = self._server
        return url.replace(f"{host}:{port}", f"{self.host}:{self.port}")

    # ---------------------------------------------------------------- what it can be told

    def pass_everything(self) -> None:
        """Be a good network again: listen, delay nothing, hold nothing back, forget cuts that have not happened."""
        self.delay_seconds, self.holds_answers, self.swallows = 0.0, False, False
        with self._lock:
            self.cuts.clear()
        self.accept()

    def delay(self, seconds: float) -> None:
        """Pass each answer on so much later."""
        self.delay_seconds = seconds

    def cut(self) -> None:
        """Break all connections that there are, with a reset, wherever they are in their work."""
        with self._lock:
            passages = list(self._passages)
        for passage in passages:
            passage.break_off()
        for passage in passages:
            passage.ended.wait(_PATIENCE_SECONDS)

    def refuse(self) -> None:
        """Break all connections and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        if self._acceptor:
            self._acceptor.join(_PATIENCE_SECONDS)  # the connection that it may have in hand is to break, too
        self.cut()

    def accept(self) -> None:
        """Accept connections, where they were refused."""
        if self._listener is None:
            self._listener = socket.create_server(self.address, backlog=128)
            self._acceptor = self._begin(self._accept_from, self._listener)

    def black_hole(self) -> None:
        """Accept connections and requests, pass nothing on, and answer nothing; nothing breaks either.

        What has been swallowed is lost: connections that lost something break when this ends.
        """
        self.swallows = True

    @contextlib.contextmanager
    def hold_answers(self) -> Iterator[None]:
        """Let requests pass and hold all answers back, until the block ends."""
        self.holds_answers = True
        try:
            yield
        finally:
            self.holds_answers = False

    def cut_after_request(self, matches: Matches, times: int = 1) -> Cut:
        """Pass a request on, wait until the server has answered it, then lose the answer and break the connection.

        Args:
            matches: Bytes that the request holds, or a function that is asked about the bytes that a client has sent
                since the last answer.
            times: How many connections break so, one after the other.
        """
        return self._plan(matches, times, after_the_answer=True)

    def cut_before_request(self, matches: Matches, times: int = 1) -> Cut:
        """Lose a request and break its connection: the server never sees it."""
        return self._plan(matches, times, after_the_answer=False)

    # ---------------------------------------------------------------- how

    def _plan(self, matches: Matches, times: int, *, after_the_answer: bool) -> Cut:
        wanted = matches
        holds = (lambda sent: wanted in sent) if isinstance(wanted, bytes) else wanted
        cut = Cut(holds, times, after_the_answer)
        with self._lock:
            self.cuts.append(cut)
        return cut

    def cut_for(self, sent: bytes) -> Cut | None:
        """Take the cut that a request is to meet."""
        with self._lock:
            for cut in self.cuts:
                if cut.matches(sent):
                    cut.times -= 1
                    if not cut.times:
                        self.cuts.remove(cut)
                    return cut
        return None

    def _begin(self, run: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept_from(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                passage = Passage(self, client, self._server, self._quiet)
                with self._lock:
                    self._passages.add(passage)
                self._begin(self._serve, passage)

    def _serve(self, passage: Passage) -> None:
        try:
            passage.carry()
        finally:
            with self._lock:
                self._passages.discard(passage)
