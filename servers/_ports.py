"""Ports of the loopback interface that stay one server's own, also while it is down."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
_LAST = 65_535
_ATTEMPTS = 200


class HeldPort:
    """A free port, held by a socket that is bound to it and never listens.

    A server that sets SO_REUSEADDR, as all do, may bind and listen beside it. The kernel gives a port that is held so
    to nobody else: neither to one who asks for any free port nor to an outgoing connection. So nothing takes it between
    the choice and the server's start, or while the server is down.

    Attributes:
        number: The port.
    """

    def __init__(self, companion: int = 0) -> None:
        """Take a free port, and the one that is `companion` above it if that isn't 0."""
        for _ in range(_ATTEMPTS):
            self._sockets = [_bound(0)]
            self.number: int = self._sockets[0].getsockname()[1]
            if not companion:
                return
            if self.number + companion <= _LAST:
                try:
                    self._sockets.append(_bound(self.number + companion))
                except OSError:
                    pass
                else:
                    return
            self.release()
        message = "no free port"
        raise OSError(message)

    def release(self) -> None:
        """Give the port back."""
        for held in self._sockets:
            held.close()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((HOST, port))
    except OSError:
        made.close()
        raise
    return made
