"""A wire between a store and its server that a test can cut, block, and take answers from."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self

PATIENCE = 10.0
_CHUNK = 1 << 16


@dataclass(eq=False)
class _Connection:
    near: socket.socket
    far: socket.socket
    is_deaf: bool = False
    """Whether the next answer is lost, and the connection with it."""
    threads: list[threading.Thread] = field(default_factory=list)

    def close(self) -> None:
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Wire:
    """Listens on a port of its own, and leads to a server's.

    A wire that is blocked takes connections and bytes, and gives nothing back.
    """

    def __init__(self, server: tuple[str, int], host: str = "127.0.0.1") -> None:
        self._server = server
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._is_open = threading.Event()
        self._is_open.set()
        self._closed = False
        self._marker: bytes | None = None
        self._answer_lost = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mend()
        self.cut()
        self._acceptor.join(PATIENCE)

    def cut(self) -> None:
        """Cut the connections that there are."""
        with self._lock:
            there_are = list(self._connections)
        for connection in there_are:
            connection.close()

    def block(self) -> None:
        """Let nothing pass from now on, either way; nobody is told."""
        self._is_open.clear()

    def mend(self) -> None:
        """Let everything pass again, what was kept back included."""
        self._is_open.set()

    def lose_answer_to(self, marker: str) -> None:
        """Pass the next request that holds this text, keep back the answer to it, and cut the connection."""
        self._answer_lost.clear()
        self._marker = marker.encode()

    def answer_was_lost(self) -> bool:
        """Wait until it was."""
        return self._answer_lost.wait(PATIENCE)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._is_open.wait()
        try:
            far = socket.create_connection(self._server, timeout=PATIENCE)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        connection = _Connection(near, far)
        with self._lock:
            self._connections.add(connection)
        if self._closed:
            connection.close()
        answers = threading.Thread(target=self._pass, args=(connection, far, near), daemon=True)
        answers.start()
        self._pass(connection, near, far)
        answers.join()
        near.close()
        far.close()
        with self._lock:
            self._connections.discard(connection)

    def _pass(self, connection: _Connection, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._is_open.wait()
                if source is connection.near:
                    self._look(connection, data)
                elif connection.is_deaf:
                    self._answer_lost.set()
                    break
                target.sendall(data)
        connection.close()

    def _look(self, connection: _Connection, request: bytes) -> None:
        with self._lock:
            if self._marker is not None and self._marker in request:
                self._marker = None
                connection.is_deaf = True
