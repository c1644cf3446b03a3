"""The least that a question to a Redis can cost: bytes that were encoded before, to a socket and back."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ._measure import Batch

ROOM = 4096
"""More than an answer has; it comes in one piece, as it is small and the server sends it with one call."""


@contextmanager
def asking(address: tuple[str, int], *words: str) -> Iterator[Batch]:
    """A batch that sends one command, over and over, and reads what comes back."""
    question = b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%b\r\n" % (len(word), word) for word in map(str.encode, words)
    )
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def batch(calls: int) -> None:
            send, receive = connection.sendall, connection.recv
            for _ in range(calls):
                send(question)
                receive(ROOM)

        yield batch
