"""Real servers on the loopback interface that misbehave on purpose, for the tests of `_doubt`."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

Behaviour = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(behave: Behaviour) -> Iterator[int]:
    """Run `behave` on every connection and give the port; connections left open close at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(10)
                accepted.append(connection)
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            behave(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in accepted:
            connection.close()
        thread.join(10)


@contextlib.contextmanager
def unanswering_port() -> Iterator[int]:
    """Give a port whose queue of connections is full, so that connecting to it takes for ever."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]


def raised_by(call: Callable[[], object]) -> BaseException:
    """Give what a call raises; which exception it is differs by client and is the question."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - see above
        call()
    return caught.value


def closed_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def read_request(connection: socket.socket) -> bytes:
    """Read an HTTP request's head and the part of its body that came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            break
        data += more
    return data


def hang_up_after_the_request(connection: socket.socket) -> None:
    """Read the request and close without an answer."""
    read_request(connection)
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def never_answer(connection: socket.socket) -> None:
    """Read the request and keep the connection open."""
    read_request(connection)


def answer_by_half_a_chunk(connection: socket.socket) -> None:
    """Promise a longer chunk than is sent, then close."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf")
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def answer_by_half(connection: socket.socket) -> None:
    """Promise more of a body than is sent, then close."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def reset_after_the_request(connection: socket.socket) -> None:
    """Read the request and reset the connection."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def speak_no_tls(connection: socket.socket) -> None:
    """Answer a TLS greeting in plain text."""
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def hang_up_in_the_handshake(connection: socket.socket) -> None:
    """Read a TLS greeting and reset the connection."""
    connection.recv(65_536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def answer_unavailable(connection: socket.socket) -> None:
    """Answer 503: a whole answer, which says that nothing was done."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
